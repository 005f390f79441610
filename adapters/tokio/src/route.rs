//! How to get to a server, again and again.

use stillwire::http::Url;

use crate::{ConnectError, MaybeTls, Proxy, Waits, dial::Dial};

/// How clients that make many connections, [`Source`](crate::Source) and [`PollClient`](crate::PollClient), get to their
/// server: what [`Connect`](crate::Connect) is told for one. The default goes there directly.
///
/// ```
/// use stillwire_tokio::{PollClient, Proxy, Route};
///
/// let mut route = Route::default().via(Proxy::new("http://proxy.example:3128").basic("me", "secret"));
/// route.waits.connect = std::time::Duration::from_secs(3);
/// let client = PollClient::with("http://chat.example/poll", &Default::default(), route)?;
/// # Ok::<(), stillwire_tokio::ConnectError>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Route {
    /// How long each step may take; [`Waits::answer`] is not for these clients, they have waits of their own.
    pub waits: Waits,
    /// Whom to trust. Default: [`tls::client`](crate::tls::client), which needs one of the features with roots.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<crate::tls::rustls::ClientConfig>>,
    proxy: Option<Via>,
}

/// A [`Proxy`], owned.
#[derive(Clone)]
struct Via {
    url: String,
    basic: Option<(String, String)>,
}

impl Route {
    /// Through the tunnel of this proxy.
    #[must_use]
    pub fn via(self, proxy: Proxy<'_>) -> Self {
        let basic = proxy.basic.map(|(user, password)| (user.to_owned(), password.to_owned()));
        Self { proxy: Some(Via { url: proxy.url.to_owned(), basic }), ..self }
    }

    pub(crate) async fn open(&self, url: &Url<'_>) -> Result<MaybeTls, ConnectError> {
        let proxy = self.proxy.as_ref().map(|Via { url, basic }| Proxy {
            url,
            basic: basic.as_ref().map(|(user, password)| (user.as_str(), password.as_str())),
        });
        let dial = Dial {
            waits: &self.waits,
            proxy,
            #[cfg(feature = "tls")]
            tls: self.tls.as_ref(),
        };
        dial.open(url).await
    }
}

/// Shows no credentials.
impl core::fmt::Debug for Route {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Route").field("waits", &self.waits).finish_non_exhaustive()
    }
}
