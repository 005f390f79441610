//! The grammar of Sec-WebSocket-Extensions (RFC 6455 §9.1), in one pass.

use crate::http::is_token;

/// One extension of a list: its name, and its parameters as an iterator; `None` is a parameter that is none.
pub(super) struct Params<'v> {
    pub(super) name: &'v [u8],
    /// What follows the name, from a semicolon on.
    rest: &'v [u8],
}

/// One parameter.
pub(super) struct Param<'v> {
    pub(super) name: &'v [u8],
    pub(super) value: Option<&'v [u8]>,
}

/// The extensions that one header names. What is no extension has an empty name or broken parameters.
pub(super) fn extensions(header: &[u8]) -> impl Iterator<Item = Params<'_>> {
    split(header, b',').map(|one| {
        let at = one.iter().position(|byte| *byte == b';').unwrap_or(one.len());
        let (name, rest) = one.split_at(at);
        Params { name: name.trim_ascii(), rest }
    })
}

impl<'v> Iterator for Params<'v> {
    type Item = Option<Param<'v>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.strip_prefix(b";")?;
        let param = split(rest, b';').next().unwrap_or_default();
        self.rest = rest.get(param.len()..).unwrap_or_default();
        Some(parse(param.trim_ascii()))
    }
}

/// `token [ "=" (token | quoted-string) ]`; what is quoted must be a token, too, so a backslash in it is not worth reading.
fn parse(param: &[u8]) -> Option<Param<'_>> {
    let at = param.iter().position(|byte| *byte == b'=');
    let (name, value) = match at {
        Some(at) => {
            let value = param.get(at + 1..)?.trim_ascii();
            let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            (param.get(..at)?.trim_ascii(), Some(bare.unwrap_or(value)))
        }
        None => (param, None),
    };
    let good = is_token(name) && value.is_none_or(is_token);
    good.then_some(Param { name, value })
}

/// The parts between separators that do not stand in quotes. A quote that is never closed reaches to the end.
fn split(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |byte| {
        let plain = !escaped;
        escaped = quoted && plain && *byte == b'\\';
        quoted ^= plain && *byte == b'"';
        plain && !quoted && *byte == separator
    })
}
