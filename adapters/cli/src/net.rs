//! What the clients have in common on their way to a server.

use core::time::Duration;

use stillwire_tokio::{Proxy, Route, Waits, tls};

/// Options of every client.
#[derive(clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Net {
    /// Another header for each request, such as 'authorization: Bearer …'
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Go through the tunnel (CONNECT) of this proxy: http://HOST:PORT
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Name and password for the proxy
    #[arg(long, value_name = "NAME:PASSWORD", requires = "proxy")]
    proxy_user: Option<String>,
    /// Trust the certificates in this file (PEM), and no others. Default: those that the system trusts
    #[arg(long, value_name = "FILE")]
    cacert: Option<std::path::PathBuf>,
    /// How long each step to the connection may take: name, TCP, proxy, TLS, answer
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
}

impl Net {
    pub(crate) fn waits(&self) -> Waits {
        let mut waits = Waits::default();
        if let Some(time) = self.timeout {
            (waits.resolve, waits.connect, waits.proxy, waits.tls, waits.answer) =
                (time, time, time, time, time);
        }
        waits
    }

    /// Whom to trust; `None`: the default.
    fn tls(&self) -> Result<Option<std::sync::Arc<tls::rustls::ClientConfig>>, String> {
        let Some(file) = &self.cacert else { return Ok(None) };
        let at = |error: &dyn core::fmt::Display| format!("--cacert {}: {error}", file.display());
        let pem = std::fs::read(file).map_err(|error| at(&error))?;
        tls::client_trusting(&pem).map(Some).map_err(|error| at(&error))
    }

    pub(crate) fn route(&self) -> Result<Route, String> {
        let mut route = Route::default();
        (route.waits, route.tls) = (self.waits(), self.tls()?);
        let basic = self.proxy_user.as_deref().map(|text| text.split_once(':').unwrap_or((text, "")));
        route.proxy = match (self.proxy.as_deref().map(Proxy::new), basic) {
            (Some(proxy), Some((user, password))) => {
                Some(proxy.basic(user, password).map_err(|error| format!("--proxy-user: {error}"))?)
            }
            (proxy, _) => proxy,
        };
        Ok(route)
    }
}

fn header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("a header looks like 'name: value'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// A time, as people write it: 3, 0.5.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(header("A: b:c "), Ok(("A".to_owned(), "b:c".to_owned())));
        assert!(header("A").is_err());
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "x", "-1", "NaN", "1e99"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
