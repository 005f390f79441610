//! A request that the client wants to have made.

use core::time::Duration;

use super::{batch::Batch, request::Sid};
use crate::json;

/// Which of the four requests.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum What {
    /// `POST base/open`.
    Open,
    /// `GET base/SID?after=N`: it waits at the server.
    Receive,
    /// `POST base/SID`.
    Send,
    /// `DELETE base/SID`.
    Close,
}

/// A request to make: method, path, body. Tell the client how it went, by its [`what`](Self::what).
#[derive(Clone, Copy, Debug)]
pub struct Ask<'o> {
    pub(super) what: What,
    pub(super) sid: Option<Sid>,
    pub(super) after: u64,
    pub(super) batch: Option<Batch<'o>>,
    pub(super) within: Duration,
}

impl<'o> Ask<'o> {
    /// Which of the four it is.
    #[must_use]
    pub fn what(&self) -> What {
        self.what
    }

    /// `GET`, `POST` or `DELETE`.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self.what {
            What::Open | What::Send => "POST",
            What::Receive => "GET",
            What::Close => "DELETE",
        }
    }

    /// What follows the base: `/open`, `/SID?after=7`, `/SID`.
    #[must_use]
    pub fn path(&self) -> Path {
        let mut path = Path { bytes: [0; 64], len: 0 };
        path.put("/");
        path.put(self.sid.as_ref().map_or("open", Sid::as_str));
        if self.what == What::Receive {
            path.put("?after=");
            let mut digits = [0; 20];
            path.put(core::str::from_utf8(json::write_integer(self.after, &mut digits)).unwrap_or_default());
        }
        path
    }

    /// The body of a [`What::Send`]: JSON in parts. The others have none.
    #[must_use]
    pub fn body(&self) -> Option<&Batch<'o>> {
        self.batch.as_ref()
    }

    /// How long the answer may take. Then give the request up and call [`Client::failed`](super::Client::failed).
    #[must_use]
    pub fn within(&self) -> Duration {
        self.within
    }
}

/// The path of a request below the base, with its query.
#[derive(Clone, Copy)]
pub struct Path {
    bytes: [u8; 64],
    len: usize,
}

impl Path {
    fn put(&mut self, text: &str) {
        let end = self.len + text.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(text.as_bytes());
            self.len = end;
        }
    }

    /// The target of the request, where `url` is that of the base: this path below its path, and its query goes along.
    ///
    /// ```
    /// use stillwire::{Entropy, Inbox, Instant, Outbox, http::Url, polling};
    ///
    /// let mut client = polling::Client::new(&polling::Config::default(), Entropy::insecure_seeded(1));
    /// let (inbox, outbox) = (Inbox::with_limit(1024), Outbox::with_limit(1024));
    /// let ask = client.next_request(Instant::EPOCH, &inbox, &outbox).unwrap();
    /// assert_eq!(ask.path().below(&Url::parse("http://a/poll/?k=1")?), "/poll/open?k=1");
    /// # Ok::<(), stillwire::http::UrlError>(())
    /// ```
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn below(&self, url: &crate::http::Url<'_>) -> alloc::string::String {
        let (base, query) = url.target().split_once('?').unwrap_or((url.target(), ""));
        let (base, path) = (base.strip_suffix('/').unwrap_or(base), self.as_str());
        let joint = match (query, path.contains('?')) {
            ("", _) => "",
            (_, false) => "?",
            (_, true) => "&",
        };
        [base, path, joint, query].concat()
    }

    /// It, as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.bytes.get(..self.len).unwrap_or_default()).unwrap_or_default()
    }
}

impl core::fmt::Display for Path {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Shows no session id.
impl core::fmt::Debug for Path {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Path(..)")
    }
}

/// One of the two directions: what is under way, and when the next may be.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// The request that was made and not answered.
    pub(super) flight: Option<What>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// How often in a row it had to wait, for whatever reason.
    pub(super) waits: u32,
    pub(super) not_before: Option<crate::Instant>,
    pub(super) asked_at: crate::Instant,
}

impl Lane {
    /// Whether a request may be made.
    pub(super) fn is_free(&mut self, now: crate::Instant) -> bool {
        self.pass(now);
        self.flight.is_none() && self.not_before.is_none()
    }

    /// Time has passed.
    pub(super) fn pass(&mut self, now: crate::Instant) {
        self.not_before = self.not_before.filter(|at| now < *at);
    }

    pub(super) fn took_off(&mut self, what: What, now: crate::Instant) {
        (self.flight, self.asked_at) = (Some(what), now);
    }

    /// It was answered. False: nobody asked.
    pub(super) fn landed(&mut self, what: What) -> bool {
        let expected = self.flight == Some(what);
        if expected {
            self.flight = None;
        }
        expected
    }

    pub(super) fn succeeded(&mut self) {
        (self.failures, self.waits) = (0, 0);
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use crate::http::Url;

    #[test]
    fn targets_are_below_the_base() {
        let below = |url, text| {
            let mut path = Path { bytes: [0; 64], len: 0 };
            path.put(text);
            path.below(&Url::parse(url).unwrap())
        };
        assert_eq!(below("http://a/poll", "/open"), "/poll/open");
        assert_eq!(below("http://a/", "/open"), "/open");
        assert_eq!(below("http://a/poll/?k=1", "/open"), "/poll/open?k=1");
        assert_eq!(below("http://a/poll?k=1", "/S?after=0"), "/poll/S?after=0&k=1");
    }
}
