//! JSON as programs write it.

use std::borrow::Cow;

use super::super::limits::Limits;
use super::super::node::{ScalarStyle, Style};
use super::super::{Stream, diagnose};
use super::scan;
use super::tree::Tree;
use super::{narrow, span};

/// Reads one JSON value, or gives up: at what isn't JSON, and at what JSON and YAML may not understand alike.
pub(in super::super) fn parse<'t>(text: &'t str, limits: &Limits) -> Option<Stream<'t>> {
    if text.len() > limits.bytes.min(u32::MAX as usize - 1) || !scan::is_plain(text) {
        return None;
    }
    let mut json = Json { text, bytes: text.as_bytes(), tree: Tree::new(text, limits) };
    json.tree.start(0);
    let end = json.value(json.skip(0))?;
    if json.skip(end) < text.len() {
        return None;
    }
    let documents = vec![json.tree.finish(0)?];
    Some(Stream { documents, ..Stream::default() })
}

/// Reads one JSON object after another, each a document, as `kubectl` does with a text that begins with a brace. Gives up like [`parse`].
pub(in super::super) fn objects<'t>(text: &'t str, limits: &Limits) -> Option<Stream<'t>> {
    if !text.trim_start().starts_with('{') || !scan::is_plain(text) {
        return None;
    }
    let mut json = Json { text, bytes: text.as_bytes(), tree: Tree::new(text, limits) };
    let mut stream = Stream::default();
    let mut at = json.skip(0);
    while at < text.len() {
        json.tree.start(narrow(at));
        if json.byte(at) != b'{' {
            return None;
        }
        at = json.value(at)?;
        let document = json.tree.finish(stream.documents.len())?;
        if diagnose::misread(text, &document).is_some() {
            return None;
        }
        stream.documents.push(document);
        at = json.skip(at);
    }
    Some(stream)
}

struct Json<'t> {
    text: &'t str,
    bytes: &'t [u8],
    tree: Tree<'t>,
}

/// The most digits of a number that is read: it fits 64 bits.
const DIGITS: usize = 18;

impl<'t> Json<'t> {
    /// A value; where to go on.
    fn value(&mut self, at: usize) -> Option<usize> {
        match self.byte(at) {
            open @ (b'{' | b'[') => self.collection(at, open == b'['),
            b'"' => {
                let (text, next) = self.string(at)?;
                self.tree.text(text, span(at, next))?;
                Some(next)
            }
            _ => {
                let word = |byte: &u8| !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'+' | b'-');
                let rest = &self.bytes[at..];
                let next = at + rest.iter().position(word).unwrap_or(rest.len());
                let text = &self.text[at..next];
                let is_number = text.bytes().all(|byte| byte.is_ascii_digit())
                    && (1..=DIGITS).contains(&text.len())
                    && (text == "0" || !text.starts_with('0'));
                if !is_number && !matches!(text, "true" | "false" | "null") {
                    return None;
                }
                self.tree.scalar(text, ScalarStyle::Plain, span(at, next))?;
                Some(next)
            }
        }
    }

    fn collection(&mut self, at: usize, is_sequence: bool) -> Option<usize> {
        self.tree.open(is_sequence, Style::Flow, narrow(at))?;
        let close = if is_sequence { b']' } else { b'}' };
        let mut at = self.skip(at + 1);
        if self.byte(at) != close {
            loop {
                if !is_sequence {
                    if self.byte(at) != b'"' {
                        return None;
                    }
                    let (key, next) = self.string(at)?;
                    self.tree.quoted_key(key, span(at, next))?;
                    at = self.skip(next);
                    if self.byte(at) != b':' {
                        return None;
                    }
                    at = self.skip(at + 1);
                }
                at = self.value(at)?;
                at = self.skip(at);
                match self.byte(at) {
                    b',' => at = self.skip(at + 1),
                    byte if byte == close => break,
                    _ => return None,
                }
            }
        }
        self.tree.close(Some(narrow(at + 1)))?;
        Some(at + 1)
    }

    /// A text in quotes; where to go on.
    fn string(&self, at: usize) -> Option<(Cow<'t, str>, usize)> {
        // Lines end only between tokens. Most texts are too short for anything cleverer.
        let end = at + 1 + self.bytes[at + 1..].iter().position(|byte| scan::ends_text(*byte))?;
        match self.bytes[end] {
            b'"' => Some((Cow::Borrowed(&self.text[at + 1..end]), end + 1)),
            b'\\' => self.escaped(at),
            _ => None,
        }
    }

    /// The same with escapes.
    #[cold]
    fn escaped(&self, at: usize) -> Option<(Cow<'t, str>, usize)> {
        let (mut text, mut at) = (String::new(), at + 1);
        loop {
            let rest = &self.bytes[at..];
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
            text.push_str(&self.text[at..at + plain]);
            at += plain + 1;
            match rest[plain] {
                b'"' => return Some((Cow::Owned(text), at)),
                b'\\' => {}
                _ => return None,
            }
            let letter = self.byte(at);
            at += 1;
            text.push(match letter {
                b'"' | b'\\' | b'/' => char::from(letter),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => {
                    let first = self.unit(at)?;
                    at += 4;
                    if (0xd800..0xdc00).contains(&first) && self.bytes.get(at..at + 2) == Some(b"\\u") {
                        let second = self.unit(at + 2)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                        at += 6;
                        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)?
                    } else {
                        // Half a pair is no character.
                        char::from_u32(first)?
                    }
                }
                _ => return None,
            });
        }
    }

    /// Four hexadecimal digits.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    }

    /// Past what may stand between tokens.
    fn skip(&self, mut at: usize) -> usize {
        while matches!(self.bytes.get(at), Some(b' ' | b'\n')) {
            at += 1;
        }
        at
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or_default()
    }
}
