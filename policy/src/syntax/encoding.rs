//! From bytes to a text that is worth parsing.

use super::error::{SyntaxError, SyntaxErrorKind};
use super::limits::Limits;
use crate::span::Span;

/// See [`super::decode`].
pub(super) fn decode(bytes: &[u8]) -> Result<&str, SyntaxError> {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = bytes {
        let help = "save the file as UTF-8";
        return Err(whole_text(SyntaxErrorKind::Encoding, Span::new(0, 2), "the text is UTF-16", help));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        let end = start + error.error_len().unwrap_or(bytes.len() - start);
        let message = format!("byte {:#04x} is not UTF-8 here", bytes[start]);
        whole_text(SyntaxErrorKind::Encoding, narrow(start, end), &message, "save the file as UTF-8")
    })
}

/// What no parser needs to look at.
pub(super) fn refuse(text: &str, limits: &Limits) -> Option<SyntaxError> {
    let limit = limits.bytes.min(u32::MAX as usize - 1);
    if text.len() > limit {
        let message = format!("the text is {} bytes long, more than {limit} are not read", text.len());
        let help = "split it into several files, or exclude it";
        return Some(whole_text(SyntaxErrorKind::Limit, Span::default(), &message, help));
    }
    let nul = memchr::memchr(0, text.as_bytes())?;
    let help = "remove it; a file with NUL bytes is probably no manifest";
    Some(whole_text(SyntaxErrorKind::Encoding, narrow(nul, nul + 1), "YAML has no NUL character", help))
}

fn whole_text(kind: SyntaxErrorKind, span: Span, message: &str, help: &str) -> SyntaxError {
    SyntaxError { document: 0, span, kind, message: message.into(), help: Some(help.into()) }
}

/// Offsets beyond what a span can hold become its largest.
fn narrow(start: usize, end: usize) -> Span {
    let clamp = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span::new(clamp(start), clamp(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn located() {
        let error = decode(b"a: 1\nb: \xe9t\xe9\n").unwrap_err();
        assert_eq!((error.kind, error.span), (SyntaxErrorKind::Encoding, Span::new(8, 9)));
        let error = decode(b"\xff\xfea\0:\0").unwrap_err();
        assert_eq!((error.kind, error.span), (SyntaxErrorKind::Encoding, Span::new(0, 2)));
        let error = refuse("a: \0", &Limits::default()).unwrap();
        assert_eq!((error.kind, error.span), (SyntaxErrorKind::Encoding, Span::new(3, 4)));
        let error = refuse("a: b", &Limits { bytes: 3, ..Limits::default() }).unwrap();
        assert_eq!(error.kind, SyntaxErrorKind::Limit);
        assert!(refuse("\u{feff}a: b", &Limits::default()).is_none());
    }
}
