//! What a request asks for, and why it may be refused.

use super::answer::{
    Answer,
    Part::{Number, Text},
};
use crate::{Entropy, base64, json};

/// The name of a session: 16 random bytes as 22 characters of base64url. Who knows it has the session, so it is a
/// secret: `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid([u8; 22]);

impl Sid {
    /// A new one.
    #[must_use]
    pub fn new(entropy: &mut Entropy) -> Self {
        let mut characters = [b'A'; 22];
        base64::encode(base64::URL_SAFE, &entropy.take::<16>(), &mut characters);
        Self(characters)
    }

    /// The one that a client named; `None` when it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let characters = <[u8; 22]>::try_from(text.as_bytes()).ok()?;
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        characters.iter().all(known).then_some(Self(characters))
    }

    /// Its characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl core::fmt::Display for Sid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.as_str())
    }
}

impl core::fmt::Debug for Sid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sid(..)")
    }
}

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// `POST base/open`: a new session. Answer with [`Session::opened`](super::Session::opened).
    Open,
    /// `GET base/SID?after=N`: wait for messages. [`Session::sit`](super::Session::sit).
    Receive {
        /// The session.
        sid: Sid,
        /// The client has everything up to this number.
        after: u64,
    },
    /// `POST base/SID`: take messages. [`Session::post`](super::Session::post) with the body, of which nothing above
    /// [`Session::max_bytes`](super::Session::max_bytes) needs to be read.
    Send {
        /// The session.
        sid: Sid,
    },
    /// `DELETE base/SID`: the end. [`Session::end`](super::Session::end).
    Close {
        /// The session.
        sid: Sid,
    },
}

impl Request {
    /// What is asked for. `path` is what follows the base: `/open`, `/SID`; `query` is what follows the `?`.
    ///
    /// # Errors
    /// [`Refused`], which is also the answer.
    pub fn parse(method: &str, path: &str, query: Option<&str>) -> Result<Self, Refused> {
        let name = path.strip_prefix('/').ok_or(Refused::NotFound)?;
        if name == "open" {
            return if method == "POST" { Ok(Self::Open) } else { Err(Refused::Method { allow: "POST" }) };
        }
        let sid = Sid::parse(name).ok_or(Refused::NotFound)?;
        match method {
            "GET" => {
                let mut values =
                    query.unwrap_or_default().split(['&']).filter_map(|pair| pair.strip_prefix("after="));
                match (values.next().and_then(|digits| json::integer(digits.as_bytes())), values.next()) {
                    (Some(after), None) => Ok(Self::Receive { sid, after }),
                    _ => Err(Refused::BadRequest { why: "after" }),
                }
            }
            "POST" => Ok(Self::Send { sid }),
            "DELETE" => Ok(Self::Close { sid }),
            _ => Err(Refused::Method { allow: "GET, POST, DELETE" }),
        }
    }

    /// The session that is meant; `None` for [`Open`](Self::Open).
    #[must_use]
    pub fn sid(&self) -> Option<Sid> {
        match self {
            Self::Open => None,
            Self::Receive { sid, .. } | Self::Send { sid } | Self::Close { sid } => Some(*sid),
        }
    }
}

/// Why a request is not served. Nothing was taken, nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// 400: the body is not what this protocol says, or `after` is missing.
    #[error("bad request: {why}")]
    BadRequest {
        /// Which part of it.
        why: &'static str,
    },
    /// 404: no such session (any more), or no such path.
    #[error("no such session")]
    NotFound,
    /// 405: that cannot be done here.
    #[error("only {allow}")]
    Method {
        /// The methods that can be used.
        allow: &'static str,
    },
    /// 409: `after` is a number that was acknowledged before, or one that was never sent.
    #[error("nothing before {oldest} can be served")]
    Before {
        /// The first number that can be asked for, by `after` = `oldest` - 1.
        oldest: u64,
    },
    /// 409: messages are missing before those that came.
    #[error("{expected} is expected next")]
    Gap {
        /// The number that must come next.
        expected: u64,
    },
    /// 413: above the limits that the answer to `open` told.
    #[error("too large")]
    TooLarge {
        /// The most bytes of a body.
        max_bytes: usize,
        /// The most messages of a body.
        max_messages: usize,
    },
    /// 413 with `Retry-After` (RFC 9110 §15.5.14): within the limits, but the application has not taken in yet what
    /// came before.
    #[error("no room yet")]
    Full {
        /// There is room for so many bytes.
        room: usize,
    },
}

impl Refused {
    /// 400, 404, 405, 409 or 413.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::BadRequest { .. } => 400,
            Self::NotFound => 404,
            Self::Method { .. } => 405,
            Self::Before { .. } | Self::Gap { .. } => 409,
            Self::TooLarge { .. } | Self::Full { .. } => 413,
        }
    }

    /// What to answer: an object of JSON with `error` and the numbers, and the headers that belong to the status.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let new = |body: &[_]| Answer::new(self.http_status(), body);
        let size = |n: usize| Number(n as u64);
        match *self {
            Self::BadRequest { why } => new(&[Text("{\"error\":\"bad request: "), Text(why), Text("\"}")]),
            Self::NotFound => new(&[Text("{\"error\":\"no such session\"}")]),
            Self::Method { allow } => new(&[Text("{\"error\":\"method not allowed\"}")]).with("allow", allow),
            Self::Before { oldest } => {
                new(&[Text("{\"error\":\"out of step\",\"oldest\":"), Number(oldest), Text("}")])
            }
            Self::Gap { expected } => {
                new(&[Text("{\"error\":\"out of step\",\"expected\":"), Number(expected), Text("}")])
            }
            Self::TooLarge { max_bytes, max_messages } => new(&[
                Text("{\"error\":\"too large\",\"max_bytes\":"),
                size(max_bytes),
                Text(",\"max_messages\":"),
                size(max_messages),
                Text("}"),
            ]),
            Self::Full { room } => {
                new(&[Text("{\"error\":\"no room yet\",\"room\":"), size(room), Text("}")])
                    .with("retry-after", "1")
            }
        }
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        refused.answer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    const NAME: &str = "AbCdEfGhIjKlMnOpQrSt-_";

    #[test]
    fn requests() {
        let sid = Sid::parse(NAME).unwrap();
        let path = alloc::format!("/{NAME}");
        let parse = |method, path: &str, query| Request::parse(method, path, query);
        assert_eq!(parse("POST", "/open", None), Ok(Request::Open));
        assert_eq!(parse("GET", &path, Some("after=0")), Ok(Request::Receive { sid, after: 0 }));
        assert_eq!(parse("GET", &path, Some("t=x&after=17&y")), Ok(Request::Receive { sid, after: 17 }));
        assert_eq!(parse("POST", &path, None), Ok(Request::Send { sid }));
        assert_eq!(parse("DELETE", &path, None), Ok(Request::Close { sid }));
        let status = |method, path: &str, query| parse(method, path, query).unwrap_err().http_status();
        assert_eq!(status("GET", "/open", None), 405);
        assert_eq!(status("PUT", &path, None), 405);
        assert_eq!(status("get", &path, Some("after=1")), 405);
        for query in
            [None, Some(""), Some("after="), Some("after=-1"), Some("after=01"), Some("after=1&after=1")]
        {
            assert_eq!(status("GET", &path, query), 400, "{query:?}");
        }
        for path in [
            "",
            "open",
            "/",
            "/opens",
            "/open/",
            "//open",
            "/AbCdEfGhIjKlMnOpQrSt-",
            "/AbCdEfGhIjKlMnOpQrSt-!",
        ] {
            assert_eq!(status("POST", path, None), 404, "{path}");
        }
    }

    #[test]
    fn names_are_random_and_can_be_parsed() {
        let mut entropy = Entropy::insecure_seeded(1);
        let (a, b) = (Sid::new(&mut entropy), Sid::new(&mut entropy));
        assert_ne!(a, b);
        assert_eq!(Sid::parse(a.as_str()), Some(a));
        assert_eq!(alloc::format!("{a:?}"), "Sid(..)");
    }

    #[test]
    fn every_refusal_is_whole_json() {
        let most = usize::MAX;
        for refused in [
            Refused::BadRequest { why: "body" },
            Refused::NotFound,
            Refused::Method { allow: "GET, POST, DELETE" },
            Refused::Before { oldest: u64::MAX },
            Refused::Gap { expected: u64::MAX },
            Refused::TooLarge { max_bytes: most, max_messages: most },
            Refused::Full { room: most },
        ] {
            let answer = refused.answer();
            let mut scanner = Scanner::new(answer.body());
            scanner.value().unwrap();
            scanner.end().unwrap();
            assert_eq!(answer.status(), refused.http_status());
        }
    }
}
