//! Places as editors count them.

use lsp_types::{Position, PositionEncodingKind, Range, TextDocumentContentChangeEvent};
use netpol_policy::span::Span;
use netpol_policy::syntax::LineIndex;

/// What columns count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Bytes.
    Utf8,
    /// Units of two bytes, which every client knows.
    Utf16,
}

impl Encoding {
    /// Bytes when the client can count them.
    pub(super) fn choose(offered: &[PositionEncodingKind]) -> Self {
        if offered.contains(&PositionEncodingKind::UTF8) { Self::Utf8 } else { Self::Utf16 }
    }

    pub(super) fn kind(self) -> PositionEncodingKind {
        match self {
            Self::Utf8 => PositionEncodingKind::UTF8,
            Self::Utf16 => PositionEncodingKind::UTF16,
        }
    }

    fn units(self, text: &str) -> u32 {
        let units = match self {
            Self::Utf8 => text.len(),
            Self::Utf16 => text.encode_utf16().count(),
        };
        u32::try_from(units).unwrap_or(u32::MAX)
    }
}

/// The lines of a text.
pub(super) struct Lines<'t> {
    text: &'t str,
    index: LineIndex,
    encoding: Encoding,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str, encoding: Encoding) -> Self {
        Self { text, index: LineIndex::new(text), encoding }
    }

    /// The place of a byte; one beyond the end is the end.
    pub(super) fn position(&self, offset: u32) -> Position {
        let line = self.index.position(self.text, offset).line;
        let start = self.index.line(self.text, line).map_or(0, |line| line.start as usize);
        let end = self.text.floor_char_boundary((offset as usize).min(self.text.len()));
        let before = self.text.get(start..end).unwrap_or_default();
        Position { line: line - 1, character: self.encoding.units(before) }
    }

    pub(super) fn range(&self, span: Span) -> Range {
        Range { start: self.position(span.start), end: self.position(span.end) }
    }

    /// The byte at a place. A column beyond the end of its line is that end, one inside a character is its beginning.
    pub(super) fn offset(&self, position: Position) -> usize {
        let Some(line) = self.index.line(self.text, position.line.saturating_add(1)) else {
            return self.text.len();
        };
        let mut left = position.character;
        let mut offset = line.start as usize;
        for character in self.text[line.range()].chars() {
            let units = match self.encoding {
                Encoding::Utf8 => character.len_utf8(),
                Encoding::Utf16 => character.len_utf16(),
            };
            let units = u32::try_from(units).unwrap_or(u32::MAX);
            if units > left {
                break;
            }
            left -= units;
            offset += character.len_utf8();
        }
        offset
    }
}

/// The text after a change.
pub(super) fn change(text: &mut String, change: &TextDocumentContentChangeEvent, encoding: Encoding) {
    let Some(range) = change.range else {
        change.text.clone_into(text);
        return;
    };
    let lines = Lines::new(text, encoding);
    let (start, end) = (lines.offset(range.start), lines.offset(range.end));
    text.replace_range(start.min(end)..start.max(end), &change.text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(line: u32, character: u32) -> Position {
        Position { line, character }
    }

    #[test]
    fn both_encodings() {
        let text = "aé😀b\r\nx\n";
        for (encoding, places) in [
            (Encoding::Utf16, [(0, at(0, 0)), (1, at(0, 1)), (3, at(0, 2)), (7, at(0, 4)), (10, at(1, 0))]),
            (Encoding::Utf8, [(0, at(0, 0)), (1, at(0, 1)), (3, at(0, 3)), (7, at(0, 7)), (10, at(1, 0))]),
        ] {
            let lines = Lines::new(text, encoding);
            for (offset, position) in places {
                assert_eq!(lines.position(offset), position, "{encoding:?}");
                assert_eq!(lines.offset(position), offset as usize, "{encoding:?}");
            }
            assert_eq!(lines.offset(at(0, 99)), 8, "the end of the line");
            assert_eq!(lines.offset(at(9, 0)), text.len());
            assert_eq!(lines.offset(at(u32::MAX, u32::MAX)), text.len());
            assert_eq!(lines.offset(at(2, 0)), 12, "after the last line end");
        }
        assert_eq!(Lines::new(text, Encoding::Utf16).offset(at(0, 3)), 3, "inside a pair");
    }

    proptest! {
        /// Replacing by positions is the same as replacing by bytes.
        #[test]
        fn changes(text in "[aé😀\r\n]{0,12}", new in "[bü\n]{0,3}", a in 0..40usize, b in 0..40usize, utf8: bool) {
            let encoding = if utf8 { Encoding::Utf8 } else { Encoding::Utf16 };
            let lines = Lines::new(&text, encoding);
            // A place between the two characters of a line end is the end of the line.
            let whole = |at: usize| lines.offset(lines.position(text.floor_char_boundary(at.min(text.len())) as u32));
            let (start, end) = (whole(a.min(b)), whole(a.max(b)));
            let mut expected = text.clone();
            expected.replace_range(start..end, &new);
            let range = lines.range(Span::new(start as u32, end as u32));
            let event = TextDocumentContentChangeEvent { range: Some(range), range_length: None, text: new };
            let mut changed = text.clone();
            change(&mut changed, &event, encoding);
            prop_assert_eq!(changed, expected);
        }
    }
}
