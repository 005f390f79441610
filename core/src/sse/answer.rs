//! What the head of an answer means to an event source: where to go, whether to read, when to come back.

use alloc::string::String;
use core::time::Duration;

use super::error::SourceError;
use crate::http::{ResponseView, Url, UrlError, date};

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) url: String,
    /// Of another origin than what the application asked for; it stays so, wherever it leads from there.
    pub(super) foreign: bool,
    pub(super) as_get: bool,
}

impl Place {
    /// What the application asks for.
    pub(super) fn new(url: &str) -> Result<Self, UrlError> {
        let url = Url::normalize(url)?;
        check_scheme(Url::parse(&url)?)?;
        Ok(Self { url, foreign: false, as_get: false })
    }

    /// Where this redirection leads.
    pub(super) fn redirected(
        &self,
        status: u16,
        head: &impl ResponseView,
        method: &str,
    ) -> Result<Self, SourceError> {
        let location = head.only("location").and_then(|value| core::str::from_utf8(value).ok());
        let location = location.ok_or(SourceError::Redirect(None))?;
        let wrong = |error| SourceError::Redirect(Some(error));
        let from = Url::parse(&self.url).map_err(wrong)?;
        let url = from.join(location).map_err(wrong)?;
        let to = Url::parse(&url).map_err(wrong)?;
        check_scheme(to).map_err(wrong)?;
        if from.is_secure() && !to.is_secure() {
            return Err(SourceError::Insecure);
        }
        // Fetch, HTTP-redirect fetch, 12.
        let as_get = status == 303 || matches!(status, 301 | 302) && method == "POST";
        let foreign = self.foreign || !from.same_origin(&to);
        Ok(Self { foreign, as_get: self.as_get || as_get, url })
    }
}

fn check_scheme(url: Url<'_>) -> Result<(), UrlError> {
    if matches!(url.scheme(), "http" | "https") { Ok(()) } else { Err(UrlError::Scheme) }
}

/// HTML 9.2.3, and as in browsers a charset that is named is UTF-8.
pub(super) fn is_event_stream(head: &impl ResponseView) -> bool {
    let Some(value) = head.only("content-type") else { return false };
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let is_type = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(b"text/event-stream"));
    let other_charset = parts.any(|parameter| {
        let Some((name, charset)) = parameter.split_at_checked(8) else { return false };
        let charset =
            charset.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(charset);
        name.eq_ignore_ascii_case(b"charset=")
            && ![&b"utf-8"[..], b"utf8"].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8))
    });
    is_type && !other_charset
}

/// RFC 9110, 10.2.3: seconds, or a date. There is no clock here: until then it is as long as since the date of the answer.
pub(super) fn retry_after(head: &impl ResponseView) -> Option<Duration> {
    let value = head.only("retry-after")?;
    let seconds = value.iter().try_fold(0_u64, |seconds, byte| {
        let digit = byte.is_ascii_digit().then_some(u64::from(byte & 0xf))?;
        Some(seconds.saturating_mul(10).saturating_add(digit))
    });
    let until = || Some(date::seconds(value)?.saturating_sub(date::seconds(head.only("date")?)?));
    seconds.or_else(until).map(Duration::from_secs)
}
