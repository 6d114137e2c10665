//! A fast way through the YAML that most manifests are written in.
//!
//! The full parser costs several times what the rest of reading does. Nearly all manifests use a small part of the
//! language: ASCII, block mappings and sequences, scalars of one line, flow collections of one line, comments. This
//! reads that part, line by line, and gives up at anything else, at anything doubtful and at every error; the full
//! parser then starts over. So it decides nothing: where it answers, it answers what the full parser would, which
//! the tests hold it to.

use std::borrow::Cow;

use super::Stream;
use super::build::ScalarEvent;
use super::limits::Limits;
use super::node::{ScalarStyle, Style};
use super::parse::Reader;
use super::scalar::Tag;
use crate::span::Span;

/// Beyond this a key needs an explicit `?`; well below the limit of 1024 characters.
const LONGEST_KEY: usize = 512;

/// Reads a text, or gives up.
pub(super) fn parse<'t>(text: &'t str, limits: &Limits) -> Option<Stream<'t>> {
    let bytes = text.as_bytes();
    if !is_plain(text) {
        return None;
    }
    let mut quick =
        Quick { text, bytes, reader: Reader::new(text, limits), levels: Vec::new(), state: State::Between };
    let mut start = 0;
    while start < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
        quick.line(start, end)?;
        start = end + 1;
    }
    quick.end_document()?;
    Some(quick.reader.stream)
}

struct Quick<'t> {
    text: &'t str,
    bytes: &'t [u8],
    reader: Reader<'t>,
    /// The block collections that are open.
    levels: Vec<Level>,
    state: State,
}

#[derive(Clone, Copy)]
struct Level {
    column: usize,
    is_sequence: bool,
    /// After a key or a dash without a value so far.
    awaits: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No document is open.
    Between,
    /// After `---`.
    Empty,
    /// The root is there.
    Content,
}

/// Where a token ends.
enum Token {
    /// A scalar, up to the end of its text; where to go on.
    Scalar(Span, ScalarStyle, usize),
    /// A scalar that a colon makes a key; after the colon.
    Key(Span, ScalarStyle, usize),
}

impl<'t> Quick<'t> {
    fn line(&mut self, start: usize, end: usize) -> Option<()> {
        let bytes = self.bytes;
        let mut at = start + spaces(&bytes[start..end]);
        if at == end {
            return Some(());
        }
        if bytes[at] == b'#' {
            self.comment(at, end);
            return Some(());
        }
        if at == start {
            match &bytes[start..end] {
                [b'-', b'-', b'-', rest @ ..] if matches!(rest.first(), None | Some(b' ')) => {
                    self.end_document()?;
                    self.reader.builder.start(narrow(start + 3));
                    self.state = State::Empty;
                    return self.rest(start + 3, end);
                }
                [b'%', ..] | [b'.', b'.', b'.', ..] => return None,
                _ => {}
            }
        }
        if self.state == State::Between {
            self.reader.builder.start(narrow(at));
            self.state = State::Empty;
        }
        // Any number of dashes, then a key, or after a dash a scalar.
        let mut after_dash = false;
        loop {
            let column = at - start;
            if bytes[at] == b'-' {
                if !matches!(bytes.get(at + 1), None | Some(b' ' | b'\n')) {
                    return None;
                }
                self.dash(column, at)?;
                let next = at + 1 + spaces(&bytes[at + 1..end]);
                if next == end || bytes[next] == b'#' {
                    return self.rest(at + 1, end);
                }
                (at, after_dash) = (next, true);
                continue;
            }
            if matches!(bytes[at], b'[' | b'{') {
                if !after_dash {
                    return None;
                }
                return self.flow_value(at, end);
            }
            return match self.token(at, end)? {
                Token::Key(span, style, next) => {
                    self.key(column, span, style)?;
                    self.value(next, end)
                }
                Token::Scalar(span, style, next) if after_dash => {
                    self.scalar(span, style)?;
                    self.rest(next, end)
                }
                Token::Scalar(..) => None,
            };
        }
    }

    /// What follows a key on its line.
    fn value(&mut self, from: usize, end: usize) -> Option<()> {
        let at = from + spaces(&self.bytes[from..end]);
        if at == end || self.bytes[at] == b'#' {
            return self.rest(from, end);
        }
        if matches!(self.bytes[at], b'[' | b'{') {
            return self.flow_value(at, end);
        }
        match self.token(at, end)? {
            Token::Scalar(span, style, next) => {
                self.scalar(span, style)?;
                self.rest(next, end)
            }
            Token::Key(..) => None,
        }
    }

    fn flow_value(&mut self, at: usize, end: usize) -> Option<()> {
        let next = self.flow(at, end)?;
        if let Some(level) = self.levels.last_mut() {
            level.awaits = false;
        }
        self.rest(next, end)
    }

    /// The end of a line: blanks, and a comment that blanks set apart.
    fn rest(&mut self, from: usize, end: usize) -> Option<()> {
        let at = from + spaces(&self.bytes[from..end]);
        if at == end {
            return Some(());
        }
        if self.bytes[at] != b'#' || at == from {
            return None;
        }
        self.comment(at, end);
        Some(())
    }

    fn comment(&mut self, at: usize, end: usize) {
        self.reader.stream.comments.push(span(at, end));
    }

    fn end_document(&mut self) -> Option<()> {
        if self.state != State::Between {
            self.close_beyond(None)?;
            self.reader.finish();
            self.state = State::Between;
        }
        Some(())
    }

    /// An item of a sequence begins.
    fn dash(&mut self, column: usize, at: usize) -> Option<()> {
        self.close_beyond(Some(column))?;
        match self.levels.last().copied() {
            Some(Level { column: own, is_sequence: true, awaits }) if own == column => {
                if awaits {
                    self.null()?;
                }
                self.levels.last_mut()?.awaits = true;
                Some(())
            }
            // At its key's own column or further in.
            Some(Level { column: own, awaits: true, .. }) if own <= column => self.open(column, at, true),
            None if self.state == State::Empty => self.open(column, at, true),
            _ => None,
        }
    }

    fn key(&mut self, column: usize, key: Span, style: ScalarStyle) -> Option<()> {
        self.close_beyond(Some(column))?;
        if let [
            ..,
            Level { column: outer, is_sequence: false, .. },
            Level { column: own, is_sequence: true, .. },
        ] = self.levels[..]
            && own == column
            && outer == column
        {
            self.close()?;
        }
        match self.levels.last().copied() {
            Some(Level { column: own, is_sequence: false, awaits }) if own == column => {
                if awaits {
                    self.null()?;
                }
            }
            Some(Level { column: own, awaits: true, .. }) if own < column => {
                self.open(column, key.start as usize, false)?;
            }
            None if self.state == State::Empty => self.open(column, key.start as usize, false)?,
            _ => return None,
        }
        let text = self.content(key, style);
        // Merge keys are rare enough.
        if text == "<<" || key.len() > LONGEST_KEY {
            return None;
        }
        self.emit(text, key, style)?;
        self.levels.last_mut()?.awaits = true;
        Some(())
    }

    fn scalar(&mut self, place: Span, style: ScalarStyle) -> Option<()> {
        self.emit(self.content(place, style), place, style)?;
        self.levels.last_mut()?.awaits = false;
        Some(())
    }

    /// A value that isn't written.
    fn null(&mut self) -> Option<()> {
        let place = Span::new(self.reader.builder.position(), self.reader.builder.position());
        self.emit("", place, ScalarStyle::Plain)?;
        self.levels.last_mut()?.awaits = false;
        Some(())
    }

    fn emit(&mut self, text: &'t str, place: Span, style: ScalarStyle) -> Option<()> {
        let text = Cow::Borrowed(text);
        let event = ScalarEvent { text, style, tag: Tag::None, anchor: 0, has_property: false, span: place };
        self.reader.builder.scalar(event).ok()
    }

    fn open(&mut self, column: usize, at: usize, is_sequence: bool) -> Option<()> {
        let place = span(at, at);
        let builder = &mut self.reader.builder;
        if is_sequence {
            builder.start_sequence(Style::Block, 0, place).ok()?;
        } else {
            builder.start_mapping(Style::Block, 0, place).ok()?;
        }
        if let Some(level) = self.levels.last_mut() {
            level.awaits = false;
        }
        self.levels.push(Level { column, is_sequence, awaits: is_sequence });
        self.state = State::Content;
        Some(())
    }

    /// Ends the collections further in than a column, or all.
    fn close_beyond(&mut self, column: Option<usize>) -> Option<()> {
        while self.levels.last().is_some_and(|level| column.is_none_or(|column| level.column > column)) {
            self.close()?;
        }
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        if self.levels.last()?.awaits {
            self.null()?;
        }
        self.levels.pop();
        let end = self.reader.builder.position();
        self.reader.builder.end_collection(Span::new(end, end)).ok()
    }

    /// A scalar outside of flow collections.
    fn token(&self, at: usize, end: usize) -> Option<Token> {
        let bytes = self.bytes;
        let (place, style, next) = match bytes[at] {
            b'"' | b'\'' => self.quoted(at, end)?,
            first if begins_plain(first) => {
                let mut from = at;
                let stop = loop {
                    let Some(found) = memchr::memchr2(b':', b'#', &bytes[from..end]) else { break end };
                    let mark = from + found;
                    let colon = bytes[mark] == b':' && (mark + 1 == end || bytes[mark + 1] == b' ');
                    let comment = bytes[mark] == b'#' && bytes[mark - 1] == b' ';
                    if colon || comment {
                        break mark;
                    }
                    from = mark + 1;
                };
                let length = bytes[at..stop].trim_ascii_end().len();
                (span(at, at + length), ScalarStyle::Plain, at + length)
            }
            _ => return None,
        };
        match bytes.get(next) {
            Some(b':') if next < end => {
                (next + 1 == end || bytes[next + 1] == b' ').then_some(Token::Key(place, style, next + 1))
            }
            _ => {
                // A blank before the colon: leave it to the full parser.
                let after = next + spaces(&bytes[next..end]);
                (bytes.get(after) != Some(&b':') || after >= end).then_some(Token::Scalar(place, style, next))
            }
        }
    }

    /// A quoted scalar without escapes.
    fn quoted(&self, at: usize, end: usize) -> Option<(Span, ScalarStyle, usize)> {
        let quote = self.bytes[at];
        let inner = &self.bytes[at + 1..end];
        let close = memchr::memchr2(quote, b'\\', inner)?;
        // An escape, or a doubled quote.
        let doubled = quote == b'\'' && inner.get(close + 1) == Some(&b'\'');
        if inner[close] != quote || doubled {
            return None;
        }
        let style = if quote == b'"' { ScalarStyle::DoubleQuoted } else { ScalarStyle::SingleQuoted };
        let next = at + 1 + close + 1;
        Some((span(at, next), style, next))
    }

    fn content(&self, place: Span, style: ScalarStyle) -> &'t str {
        let range = place.range();
        match style {
            ScalarStyle::Plain => &self.text[range],
            _ => &self.text[range.start + 1..range.end - 1],
        }
    }

    /// A flow collection on one line; where to go on.
    fn flow(&mut self, at: usize, end: usize) -> Option<usize> {
        let is_sequence = self.bytes[at] == b'[';
        let builder = &mut self.reader.builder;
        if is_sequence {
            builder.start_sequence(Style::Flow, 0, span(at, at + 1)).ok()?;
        } else {
            builder.start_mapping(Style::Flow, 0, span(at, at + 1)).ok()?;
        }
        let close = if is_sequence { b']' } else { b'}' };
        let mut at = self.skip(at + 1, end)?;
        let mut first = true;
        while self.bytes[at] != close || !first {
            if !is_sequence {
                let (key, style, next) = self.flow_scalar(at, end)?;
                let text = self.content(key, style);
                if text == "<<" || self.bytes[next] != b':' || self.bytes.get(next + 1) != Some(&b' ') {
                    return None;
                }
                self.emit(text, key, style)?;
                at = self.skip(next + 1, end)?;
            }
            at = match self.bytes[at] {
                b'[' | b'{' => self.flow(at, end)?,
                _ => {
                    let (value, style, next) = self.flow_scalar(at, end)?;
                    self.emit(self.content(value, style), value, style)?;
                    next
                }
            };
            at = self.skip(at, end)?;
            first = false;
            match self.bytes[at] {
                b',' => at = self.skip(at + 1, end)?,
                byte if byte == close => break,
                _ => return None,
            }
        }
        self.reader.builder.end_collection(span(at, at + 1)).ok()?;
        Some(at + 1)
    }

    fn flow_scalar(&self, at: usize, end: usize) -> Option<(Span, ScalarStyle, usize)> {
        let (place, style, next) = match self.bytes[at] {
            b'"' | b'\'' => self.quoted(at, end)?,
            first if begins_plain(first) => {
                let plain =
                    |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/' | b'+');
                let length = self.bytes[at..end].iter().take_while(|b| plain(b)).count();
                (span(at, at + length), ScalarStyle::Plain, at + length)
            }
            _ => return None,
        };
        (!place.is_empty() && next < end && place.len() <= LONGEST_KEY).then_some((place, style, next))
    }

    /// Past blanks, to a character of the same line.
    fn skip(&self, at: usize, end: usize) -> Option<usize> {
        let at = at + spaces(&self.bytes[at..end]);
        (at < end).then_some(at)
    }
}

/// No tabs, no carriage returns, no control characters, and of the rest of Unicode nothing that isn't seen.
fn is_plain(text: &str) -> bool {
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

/// Characters that begin a plain scalar whatever follows.
fn begins_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'$' | b'(' | b'~' | b'+')
}

fn spaces(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| **b == b' ').count()
}

fn span(start: usize, end: usize) -> Span {
    Span::new(narrow(start), narrow(end))
}

/// Texts longer than 4 GiB are refused before this.
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, prop, proptest};

    use super::*;

    /// What it answers is what the full parser answers.
    fn agrees(text: &str) -> bool {
        let limits = Limits::default();
        let Some(quick) = parse(text, &limits) else { return false };
        let full = super::super::parse::parse(text, &limits);
        assert_eq!(format!("{quick:#?}"), format!("{full:#?}"), "{text}");
        true
    }

    #[test]
    fn reads_what_manifests_are_made_of() {
        let texts = [
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: a-b # c\n  namespace: x\nspec:\n  podSelector: {}\n  policyTypes: [Ingress, \"Egress\"]\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels: {app: web, 'tier': x}\n    # both\n    - ipBlock:\n        cidr: 10.0.0.0/8\n        except:\n          - 10.1.0.0/16\n    ports:\n    - port: 80\n      protocol: TCP\n    -   port: 81\n  egress:\n    -\n    - {}\n",
            "a:\nb:\n- c\n-\n- - d\n  - e: f\n    g:\n  -\nh: 'x'\n",
            "# top\n---\n# a\na: 1   \n\n---  # next\n---\n- x:y\n- \"q\" # z\n",
            "a: http://x/y#z\nb: x - y\nc: ~\n",
            "",
            "# only\n",
            "---\n",
            "a: {b: [{c: d}, [], {}]}",
            "a: bé # ü\nb: ['日本', 5] # –\n",
        ];
        for text in texts {
            assert!(agrees(text), "{text}");
        }
    }

    #[test]
    fn gives_up_on_the_rest() {
        let texts = [
            "a:\n  text\n",
            "a: b\n  c\n",
            "a: |\n  b\n",
            "a: &x b\n",
            "a: *x\n",
            "a: !t b\n",
            "? a\n",
            "a: b: c\n",
            "a : b\n",
            "a: 'b\n",
            "a: \"\\n\"\n",
            "a: 'it''s'\n",
            "a:\tb\n",
            "a: b\r\n",
            "\u{feff}a: b\n",
            "é: b\n",
            "%YAML 1.2\n---\n",
            "a: b\n...\n",
            "text\n",
            "[a]\n",
            "{a: b}\n",
            "a: [b\n]\n",
            "a: [b,]\n",
            "a: {b}\n",
            "a: [b: c]\n",
            "a: {{ b }}\n",
            "<<: {a: b}\n",
            "a: b\n c: d\n",
            " a: b\nc: d\n",
            "- a\nb: c\n",
            "a: 1\n- b\n",
            "a: -\n",
            "- -1\n",
            "--- a\n",
            "a: \"b\"c\n",
            "a: [b]c\n",
            "a: [b]: c\n",
        ];
        for text in texts {
            assert!(!agrees(text), "{text}");
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let indent = prop::sample::select(vec!["", "", "  ", "  ", "    ", " ", "      "]);
        let dashes = prop::sample::select(vec!["", "", "", "- ", "- ", "-   ", "- - ", "-"]);
        let keys = prop::sample::select(vec![
            "", "a: ", "b: ", "a: ", "b:", "'c': ", "\"d\": ", "e:", "a :", "spec: ", "- ",
        ]);
        let values = prop::sample::select(vec![
            "",
            "",
            "x",
            "1",
            "x y",
            "'q'",
            "\"q\"",
            "{}",
            "[]",
            "[a, 'b']",
            "{a: b}",
            "{a: [b, {c: d}] }",
            "[a b]",
            "x:y",
            "x: y",
            "http://x",
            "# c",
            "[a",
            "a]",
            "- x",
            "~",
            "{{ x }}",
            "x#y",
            "-1",
            "xé",
            "'é'",
            "# ü\u{a0}",
            "['é'] # é",
            "*a",
            "&a b",
            "|",
            "...",
            "---",
        ]);
        let ends = prop::sample::select(vec![
            "\n",
            "\n",
            "\n",
            " # c\n",
            "  \n",
            "\n\n",
            "#c\n",
            "\n---\n",
            "\n# c\n",
            "\n  # c\n",
            "",
        ]);
        (indent, dashes, keys, values, ends).prop_map(|(a, b, c, d, e)| [a, b, c, d, e].concat())
    }
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn agrees_with_the_full_parser(lines in prop::collection::vec(line(), 1..8)) {
                agrees(&lines.concat());
        }

        #[test]
        fn agrees_on_noise(text in "([a:\\-# \n'\"\\[\\]{},]|- |: |\n  ){0,24}") {
            agrees(&text);
        }
    }
}
