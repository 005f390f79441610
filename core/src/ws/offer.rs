//! The client's side of the handshake (RFC 6455 §4.1).

use super::{
    Config, Connection, UpgradeError,
    upgrade::{KEY, accept_for, base64},
};
#[cfg(feature = "deflate")]
use super::{Deflate, upgrade::Text128};
use crate::{
    Entropy, Outbox,
    http::{Fetch, ResponseView, SendError, is_token},
};

/// The most headers of one request, ours included.
const MAX_HEADERS: usize = 32;
/// The longest list of subprotocols, in bytes.
const MAX_LIST: usize = 512;

/// A request for an upgrade, and the check of the answer to it.
#[derive(Clone, Debug)]
pub struct Offer {
    key: [u8; KEY],
    /// The settings that are wanted, and the offer that says so.
    #[cfg(feature = "deflate")]
    deflate: Option<(Deflate, Text128)>,
}

impl Offer {
    /// An offer with a fresh key. `config` says which extensions are offered.
    #[must_use]
    pub fn new(entropy: &mut Entropy, config: &Config) -> Self {
        #[cfg(not(feature = "deflate"))]
        let _ = config;
        Self {
            key: base64(&entropy.take::<16>()),
            #[cfg(feature = "deflate")]
            deflate: config.deflate.map(|deflate| (deflate, deflate.offer())),
        }
    }

    /// The value of Sec-WebSocket-Key, for a request that another HTTP stack writes: GET, `Upgrade: websocket`,
    /// `Connection: Upgrade`, `Sec-WebSocket-Version: 13`, this, and `Sec-WebSocket-Extensions` with
    /// [`extensions`](Self::extensions) if there are any.
    #[must_use]
    pub fn key(&self) -> &str {
        core::str::from_utf8(&self.key).unwrap_or_default()
    }

    /// The value of Sec-WebSocket-Extensions, if any is offered.
    #[must_use]
    pub fn extensions(&self) -> Option<&str> {
        #[cfg(feature = "deflate")]
        if let Some((_, offer)) = &self.deflate {
            return Some(offer.as_str());
        }
        None
    }

    /// Sends the request: `target` is path and query, `subprotocols` are in the order of preference, `headers` are
    /// your own (`Origin`, cookies, authorisation; at most 26).
    ///
    /// # Errors
    /// [`SendError::BadHeader`] for subprotocols that are not different tokens or take more than 512 bytes, for
    /// headers of the handshake among `headers`, and for what [`Fetch::request`] refuses; [`SendError::NotYourTurn`];
    /// [`SendError::Full`].
    pub fn send(
        &self,
        fetch: &mut Fetch,
        host: &str,
        target: &str,
        subprotocols: &[&str],
        headers: &[(&str, &str)],
        outbox: &mut Outbox<'_>,
    ) -> Result<(), SendError> {
        let mut list = [0; MAX_LIST];
        let list = join(subprotocols, &mut list).ok_or(SendError::BadHeader)?;
        let ours = [
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", self.key()),
            ("Sec-WebSocket-Version", "13"),
        ];
        let of_handshake = |name: &str| {
            ours.iter().any(|(other, _)| name.eq_ignore_ascii_case(other))
                || name.get(..14).is_some_and(|front| front.eq_ignore_ascii_case("sec-websocket-"))
        };
        if headers.iter().any(|(name, _)| of_handshake(name)) {
            return Err(SendError::BadHeader);
        }
        let subprotocols = (!list.is_empty()).then_some(("Sec-WebSocket-Protocol", list));
        let mut all = [("", ""); MAX_HEADERS];
        let mut slots = all.iter_mut();
        let mut count = 0;
        let extensions = self.extensions().map(|value| ("Sec-WebSocket-Extensions", value));
        for header in ours.iter().chain(&subprotocols).chain(&extensions).chain(headers) {
            *slots.next().ok_or(SendError::BadHeader)? = *header;
            count += 1;
        }
        fetch.request("GET", target, all.get(..count).unwrap_or_default(), &[], outbox)
    }

    /// Checks the answer; `subprotocols` are those that were sent. Behind the head comes the server's first frame: it is
    /// time for `link.switch(|_| agreement.connection(config, entropy))`.
    ///
    /// # Errors
    /// The first thing that is wrong; there is no WebSocket then (§4.1). [`UpgradeError::Status`] is the common one:
    /// the answer is a redirection or a refusal, and a whole HTTP answer.
    pub fn check(
        &self,
        response: &impl ResponseView,
        subprotocols: &[&str],
    ) -> Result<Agreement, UpgradeError> {
        if response.status() != 101 {
            return Err(UpgradeError::Status(response.status()));
        }
        if !response.has_token("upgrade", "websocket") || !response.has_token("connection", "upgrade") {
            return Err(UpgradeError::NoUpgrade);
        }
        if response.only("sec-websocket-accept") != Some(&accept_for(&self.key)) {
            return Err(UpgradeError::Accept);
        }
        let mut agreement = Agreement {
            subprotocol: None,
            #[cfg(feature = "deflate")]
            deflate: None,
        };
        if response.header("sec-websocket-extensions").is_some() {
            #[cfg(not(feature = "deflate"))]
            return Err(UpgradeError::Extension);
            #[cfg(feature = "deflate")]
            {
                let (deflate, _) = self.deflate.ok_or(UpgradeError::Extension)?;
                let agreed = deflate.agree(response.values("sec-websocket-extensions"));
                agreement.deflate = Some(agreed.ok_or(UpgradeError::Extension)?);
            }
        }
        if response.header("sec-websocket-protocol").is_none() {
            return Ok(agreement);
        }
        let chosen = response.only("sec-websocket-protocol").unwrap_or_default();
        let number = subprotocols.iter().position(|offer| offer.as_bytes() == chosen);
        agreement.subprotocol = Some(number.ok_or(UpgradeError::Subprotocol)?);
        Ok(agreement)
    }
}

/// What client and server agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Agreement {
    /// The number of the subprotocol that the server chose, among those that were offered.
    pub subprotocol: Option<usize>,
    #[cfg(feature = "deflate")]
    deflate: Option<Deflate>,
}

impl Agreement {
    /// The client's side of the connection, with what was agreed on; `config` as it was given to [`Offer::new`].
    /// Mask keys come from `entropy`.
    #[must_use]
    pub fn connection(&self, config: Config, entropy: Entropy) -> Connection {
        #[cfg(feature = "deflate")]
        if let Some(deflate) = self.deflate {
            return Connection::client(config, entropy).with(deflate);
        }
        Connection::client(config, entropy)
    }
}

/// The list as one value; `None` when they are not different tokens, or do not fit.
fn join<'b>(subprotocols: &[&str], buffer: &'b mut [u8]) -> Option<&'b str> {
    let mut end = 0;
    for (i, name) in subprotocols.iter().enumerate() {
        if !is_token(name.as_bytes()) || subprotocols.iter().take(i).any(|other| other == name) {
            return None;
        }
        for part in [if i > 0 { ", " } else { "" }, name] {
            buffer.get_mut(end..end + part.len())?.copy_from_slice(part.as_bytes());
            end += part.len();
        }
    }
    core::str::from_utf8(buffer.get(..end)?).ok()
}
