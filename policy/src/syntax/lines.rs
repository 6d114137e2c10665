//! Byte offsets as lines and columns.

use crate::span::Span;

/// Where the lines of a text begin.
#[derive(Debug, Clone)]
pub struct LineIndex {
    starts: Vec<u32>,
}

/// A place as people count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl LineIndex {
    /// Finds the lines of a text. A line ends with `\n`; a `\r` before it belongs to the line.
    pub fn new(text: &str) -> Self {
        let newlines = memchr::memchr_iter(b'\n', text.as_bytes());
        let starts = newlines.map_while(|at| u32::try_from(at + 1).ok());
        Self { starts: std::iter::once(0).chain(starts).collect() }
    }

    /// The place of a byte offset in the text that the index was made of. An offset beyond the end is the end, one
    /// inside a character is that character.
    pub fn position(&self, text: &str, offset: u32) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1] as usize;
        let end = text.floor_char_boundary((offset as usize).min(text.len()));
        let column = text.get(start..end).map_or(0, |before| before.chars().count());
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Position { line: narrow(line), column: narrow(column + 1) }
    }

    /// The bytes of a line, counted from 1, without its line break.
    pub fn line(&self, text: &str, line: u32) -> Option<Span> {
        let index = (line as usize).checked_sub(1)?;
        let start = *self.starts.get(index)?;
        let end = self.starts.get(index + 1).map_or(text.len(), |next| *next as usize);
        let line = text.get(start as usize..end)?.trim_end_matches(['\n', '\r']);
        Some(Span::new(start, start + u32::try_from(line.len()).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "a: é\r\nb: ü# c\n";
        let index = LineIndex::new(text);
        let at = |offset| {
            let Position { line, column } = index.position(text, offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(4), (1, 4), "inside a character");
        assert_eq!(at(5), (1, 5));
        assert_eq!(at(7), (2, 1));
        assert_eq!(at(12), (2, 5));
        assert_eq!(at(16), (3, 1));
        assert_eq!(at(999), (3, 1));
        assert_eq!(index.line(text, 1), Some(Span::new(0, 5)));
        assert_eq!(index.line(text, 3), Some(Span::new(16, 16)));
        assert_eq!(index.line(text, 4), None);
        assert_eq!(LineIndex::new("").position("", 0), Position { line: 1, column: 1 });
    }
}
