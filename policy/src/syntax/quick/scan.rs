//! From characters to scalars.

use super::super::node::ScalarStyle;
use super::span;
use crate::span::Span;

/// A text. Its end reads like the end of a line.
#[derive(Clone, Copy)]
pub(super) struct Scan<'t> {
    pub(super) text: &'t str,
    bytes: &'t [u8],
}

/// A scalar of one line.
pub(super) struct Scalar<'t> {
    /// Without quotes.
    pub(super) text: &'t str,
    pub(super) style: ScalarStyle,
    pub(super) span: Span,
    /// Where to go on. Never a blank with a colon behind it.
    pub(super) next: usize,
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, bytes: text.as_bytes() }
    }

    pub(super) fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(b'\n')
    }

    pub(super) fn starts_with(&self, at: usize, what: &str) -> bool {
        self.bytes.get(at..).is_some_and(|rest| rest.starts_with(what.as_bytes()))
    }

    /// Past blanks.
    pub(super) fn blanks(&self, mut at: usize) -> usize {
        while self.byte(at) == b' ' {
            at += 1;
        }
        at
    }

    pub(super) fn line_end(&self, at: usize) -> usize {
        memchr::memchr(b'\n', &self.bytes[at..]).map_or(self.bytes.len(), |length| at + length)
    }

    /// A scalar outside of flow collections.
    pub(super) fn scalar(&self, at: usize) -> Option<Scalar<'t>> {
        let first = self.byte(at);
        let scalar = match first {
            b'"' | b'\'' => self.quoted(at)?,
            _ if !is(first, BEGINS) => return None,
            _ => {
                let mut stop = at + 1;
                loop {
                    match self.byte(stop) {
                        byte if !is(byte, STOPS) => {}
                        b'\n' => break,
                        b':' if matches!(self.byte(stop + 1), b' ' | b'\n') => break,
                        b'#' if self.bytes[stop - 1] == b' ' => break,
                        _ => {}
                    }
                    stop += 1;
                }
                while self.bytes[stop - 1] == b' ' {
                    stop -= 1;
                }
                let (text, style) = (self.text.get(at..stop)?, ScalarStyle::Plain);
                Scalar { text, style, span: span(at, stop), next: stop }
            }
        };
        // A blank before the colon: leave it to the full parser.
        let is_doubtful = self.byte(scalar.next) == b' ' && self.byte(self.blanks(scalar.next)) == b':';
        (!is_doubtful).then_some(scalar)
    }

    /// A scalar in a flow collection.
    pub(super) fn flow_scalar(&self, at: usize) -> Option<Scalar<'t>> {
        let first = self.byte(at);
        let scalar = match first {
            b'"' | b'\'' => self.quoted(at)?,
            _ if !is(first, BEGINS) => return None,
            _ => {
                let mut stop = at;
                while is(self.byte(stop), FLOW) {
                    stop += 1;
                }
                let (text, style) = (self.text.get(at..stop)?, ScalarStyle::Plain);
                Scalar { text, style, span: span(at, stop), next: stop }
            }
        };
        let is_fine = !scalar.span.is_empty()
            && (self.byte(scalar.next) != b'\n' || scalar.next < self.bytes.len())
            && scalar.span.len() <= super::LONGEST_KEY;
        is_fine.then_some(scalar)
    }

    /// A quoted scalar without escapes.
    fn quoted(&self, at: usize) -> Option<Scalar<'t>> {
        let quote = self.bytes[at];
        let mut close = at + 1;
        loop {
            match self.byte(close) {
                b'\n' | b'\\' => return None,
                byte if byte == quote => break,
                _ => close += 1,
            }
        }
        let next = close + 1;
        // A doubled quote is one of the text.
        if quote == b'\'' && self.byte(next) == b'\'' {
            return None;
        }
        let style = if quote == b'"' { ScalarStyle::DoubleQuoted } else { ScalarStyle::SingleQuoted };
        Some(Scalar { text: self.text.get(at + 1..close)?, style, span: span(at, next), next })
    }

    /// Past blanks and the ends of lines, to a character.
    pub(super) fn skip_lines(&self, mut at: usize) -> Option<usize> {
        while matches!(self.byte(at), b' ' | b'\n') {
            if at >= self.bytes.len() {
                return None;
            }
            at += 1;
        }
        Some(at)
    }

    /// Past blanks, to a character of the same line.
    pub(super) fn skip(&self, at: usize) -> Option<usize> {
        let at = self.blanks(at);
        (self.byte(at) != b'\n').then_some(at)
    }
}

/// No tabs, no carriage returns, no control characters, and of the rest of Unicode nothing that isn't seen.
pub(super) fn is_plain(text: &str) -> bool {
    let ascii = |b: &u8| matches!(b, b' '..=b'~' | b'\n');
    let seen = |c: char| match c {
        '\0'..='\x7f' => ascii(&(c as u8)),
        '\u{80}'..='\u{9f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' => false,
        _ => !c.is_control() && !c.is_whitespace(),
    };
    // Without a way out in the middle of a chunk the compiler compares many bytes at once.
    let all_ascii = |chunk: &[u8]| chunk.iter().fold(true, |all, b| all & ascii(b));
    text.as_bytes().chunks(64).all(all_ascii) || text.chars().all(seen)
}

/// Begins a plain scalar whatever follows.
const BEGINS: u8 = 1;
/// May end a plain scalar outside of flow collections.
const STOPS: u8 = 2;
/// In a flow collection no more than part of a plain scalar.
const FLOW: u8 = 4;

/// Ends a text in double quotes, or is something that it can't hold as it is.
const ENDS_TEXT: u8 = 8;

/// Whether a text in double quotes can't go on with this byte as it is.
pub(super) fn ends_text(byte: u8) -> bool {
    is(byte, ENDS_TEXT)
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let word = byte.is_ascii_alphanumeric();
        let mut class = 0;
        if word || matches!(byte, b'_' | b'/' | b'.' | b'$' | b'(' | b'~' | b'+') {
            class |= BEGINS;
        }
        if matches!(byte, b'\n' | b'"' | b'\\') {
            class |= ENDS_TEXT;
        }
        if matches!(byte, b'\n' | b':' | b'#') {
            class |= STOPS;
        }
        if word || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+') {
            class |= FLOW;
        }
        classes[byte as usize] = class;
        byte += 1;
    }
    classes
};
