//! How to get to a server.

use crate::{Proxy, Waits};

/// How clients get to their server. The default goes there directly.
///
/// ```
/// use stillwire_std::{PollClient, Proxy, Route};
///
/// let mut route = Route::default().via(Proxy::new("http://proxy.example:3128").basic("me", "secret")?);
/// route.waits.connect = std::time::Duration::from_secs(3);
/// let client = PollClient::with("http://chat.example/poll", &Default::default(), route)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Route {
    /// How long each step may take. [`Waits::answer`] is for [`Connect`](crate::Connect); the clients that make many
    /// connections, [`Source`](crate::Source) and [`PollClient`](crate::PollClient), have waits of their own for it.
    pub waits: Waits,
    /// The proxy whose tunnel to go through. Default: none.
    pub proxy: Option<Proxy>,
    /// Whom to trust. Default: [`tls::client`](crate::tls::client), which needs one of the features with roots.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<crate::tls::rustls::ClientConfig>>,
}

impl Route {
    /// Through the tunnel of this proxy.
    #[must_use]
    pub fn via(self, proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..self }
    }
}

/// Shows no keys.
impl core::fmt::Debug for Route {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("Route");
        shown.field("waits", &self.waits).field("proxy", &self.proxy).finish_non_exhaustive()
    }
}
