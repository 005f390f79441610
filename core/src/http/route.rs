//! The way to a server: how long each step of it may take, and a proxy in between.

use alloc::{format, string::String, vec};
use core::{fmt, time::Duration};

use super::{Fetch, SendError, Url, UrlError, basic_credentials};
use crate::Outbox;

/// How long each step on the way to a server may take. The adapters' clients keep to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Waits {
    /// To find the addresses of a name. Default: 5 s.
    pub resolve: Duration,
    /// To connect, all addresses together. Default: 10 s.
    pub connect: Duration,
    /// For a proxy to make the tunnel. Default: 10 s.
    pub proxy: Duration,
    /// To shake hands for TLS. Default: 10 s.
    pub tls: Duration,
    /// To get the head of the answer. Default: 10 s.
    pub answer: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        let ten = Duration::from_secs(10);
        Self { resolve: Duration::from_secs(5), connect: ten, proxy: ten, tls: ten, answer: ten }
    }
}

/// What took longer than [`Waits`] allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Step {
    /// To find the addresses of the name.
    Resolve,
    /// To connect to one of them.
    Connect,
    /// The tunnel of the proxy.
    Proxy,
    /// The handshake of TLS.
    Tls,
    /// The head of the answer.
    Answer,
}

/// An HTTP proxy that makes tunnels (`CONNECT`, RFC 9110, 9.3.6). It is never looked up in the environment.
///
/// ```
/// use stillwire::http::{Fetch, Proxy, Url};
///
/// let proxy = Proxy::new("http://proxy.example:3128").basic("me", "secret")?;
/// assert_eq!(proxy.at()?.port(), 3128); // connect to it, and then
/// let (mut fetch, mut outbox) = (Fetch::new(Default::default()), stillwire::Outbox::with_limit(1024));
/// proxy.ask(&Url::parse("wss://chat.example/room")?, &mut fetch, &mut outbox)?;
/// assert!(outbox.chunk().starts_with(b"CONNECT chat.example:443 HTTP/1.1\r\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    url: String,
    /// The value of `Proxy-Authorization`.
    basic: Option<String>,
}

impl Proxy {
    /// The proxy at `http://host:port`, which asks for nothing.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.into(), basic: None }
    }

    /// With a name and a password (RFC 7617).
    ///
    /// # Errors
    /// [`SendError::BadHeader`]: see [`basic_credentials`].
    pub fn basic(self, user: &str, password: &str) -> Result<Self, SendError> {
        Ok(Self { basic: Some(basic_credentials(user, password)?), ..self })
    }

    /// Where it is.
    ///
    /// # Errors
    /// [`UrlError`]; [`UrlError::Scheme`], too, if it is not `http`: a proxy is not spoken to by TLS.
    pub fn at(&self) -> Result<Url<'_>, UrlError> {
        let at = Url::parse(&self.url)?;
        if at.scheme() == "http" { Ok(at) } else { Err(UrlError::Scheme) }
    }

    /// Asks it for a tunnel to the server of `to`. An answer of 2xx makes one: what follows is between the two ends.
    ///
    /// # Errors
    /// [`SendError`]: there is no room, or it is not the turn of `fetch`.
    pub fn ask(&self, to: &Url<'_>, fetch: &mut Fetch, outbox: &mut Outbox<'_>) -> Result<(), SendError> {
        let (host, port) = (to.host(), to.port());
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut headers = vec![("Host", &*authority)];
        headers.extend(self.basic.as_deref().map(|value| ("Proxy-Authorization", value)));
        fetch.tunnel(&authority, &headers, outbox)
    }
}

/// Shows no credentials.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_is_asked() {
        let asked = |proxy: &Proxy, url: &str| {
            let (mut fetch, mut outbox) = (Fetch::new(Default::default()), Outbox::with_limit(1024));
            proxy.ask(&Url::parse(url).unwrap(), &mut fetch, &mut outbox)?;
            Ok::<_, SendError>(String::from_utf8(outbox.chunk().into()).unwrap())
        };
        let plain = Proxy::new("http://p");
        assert_eq!(
            asked(&plain, "ws://[::1]/x").unwrap(),
            "CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"
        );
        let known = plain.clone().basic("test", "123£").unwrap();
        assert!(
            asked(&known, "wss://a/")
                .unwrap()
                .contains("\r\nProxy-Authorization: Basic dGVzdDoxMjPCow==\r\n")
        );
        assert_eq!(plain.basic("a:b", "").err(), Some(SendError::BadHeader));
        assert!(!format!("{known:?}").contains("dGVz"));
    }

    #[test]
    fn proxies_are_spoken_to_without_tls() {
        assert_eq!(Proxy::new("https://p").at().err(), Some(UrlError::Scheme));
        assert_eq!(Proxy::new("http://p").at().map(|at| at.port()), Ok(80));
    }
}
