//! Answers for the HTTP stack: from the protocols' own, and when an upgrade is refused.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, Version, header};
use stillwire::{polling::Answer, ws};

use crate::Body;

/// Why a request is not upgraded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    why: ws::UpgradeError,
    version: Version,
}

impl Refusal {
    pub(crate) fn new(why: ws::UpgradeError, version: Version) -> Self {
        Self { why, version }
    }

    /// The rule that was broken. [`UpgradeError::NoUpgrade`](ws::UpgradeError::NoUpgrade) is also said when the stack
    /// cannot upgrade: its connection must be served "with upgrades", and no layer may have taken the upgrade before.
    #[must_use]
    pub fn why(&self) -> ws::UpgradeError {
        self.why
    }

    /// The answer: the status of the rule, its headers, and the reason as text. Over HTTP/1.1 the connection closes
    /// behind it, so that no byte that follows is taken for another request.
    #[must_use]
    pub fn response(&self) -> Response<Body> {
        let plain = [("content-type", "text/plain; charset=utf-8"), ("connection", "close")];
        // RFC 9113, 8.2.2: HTTP/2 has no headers about the connection.
        let is_fit = |(name, _): &(&str, &str)| {
            self.version < Version::HTTP_2
                || !["connection", "upgrade"].iter().any(|other| name.eq_ignore_ascii_case(other))
        };
        let headers = plain.into_iter().chain(self.why.headers().iter().copied()).filter(is_fit);
        response(self.why.http_status(), headers, Bytes::from(format!("{}\n", self.why)).into())
    }
}

/// An answer; 500 without anything where a name or a value cannot be sent, which is the application's mistake.
pub(crate) fn response<'a, 'b>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, &'b str)>,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    let fill = || {
        *response.status_mut() = StatusCode::from_u16(status).ok()?;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            response.headers_mut().append(name, HeaderValue::from_str(value).ok()?);
        }
        Some(())
    };
    if fill().is_none() {
        response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

/// What the application's hooks answer.
pub(crate) fn of_application(answer: &stillwire_tokio::Response) -> Response<Body> {
    let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    response(answer.status, headers, answer.body.clone().into())
}

/// What the polling protocol answers.
pub(crate) fn of_polling(answer: &Answer) -> Response<Body> {
    response(answer.status(), answer.headers(), Bytes::copy_from_slice(answer.body()).into())
}

/// With headers for every answer; one that is there already stays.
pub(crate) fn with_headers(mut answer: Response<Body>, headers: &[(String, String)]) -> Response<Body> {
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            continue;
        };
        if name != header::CONTENT_LENGTH {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}
