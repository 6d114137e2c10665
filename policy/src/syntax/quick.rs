//! A fast way through the YAML that most manifests are written in.
//!
//! The full parser costs many times what the rest of reading does. Nearly all manifests use a small part of the
//! language: ASCII, block mappings and sequences, scalars of one line, flow collections of one line, comments; or it is
//! JSON. This reads that part, line by line, and gives up at anything else, at anything doubtful and at every error; the full
//! parser then starts over. So it decides nothing: where it answers, it answers what the full parser would, which
//! the tests hold it to.

mod flow;
pub(super) mod json;
mod scan;
#[cfg(test)]
mod tests;
mod tree;

use self::scan::{Scalar, Scan};
use self::tree::Tree;
use super::limits::Limits;
use super::node::{ScalarStyle, Style};
use super::{Stream, diagnose};
use crate::span::Span;

/// Beyond this a key needs an explicit `?`; well below the limit of 1024 characters.
const LONGEST_KEY: usize = 512;

/// Reads a text, or gives up.
pub(super) fn parse<'t>(text: &'t str, limits: &Limits) -> Option<Stream<'t>> {
    if !scan::is_plain(text) {
        return None;
    }
    let mut quick = Quick {
        scan: Scan::new(text),
        tree: Tree::new(text, limits),
        levels: Vec::with_capacity(16),
        state: State::Between,
        stream: Stream::default(),
    };
    let mut start = 0;
    while start < text.len() {
        start = quick.line(start)?;
    }
    quick.end_document()?;
    Some(quick.stream)
}

struct Quick<'t> {
    scan: Scan<'t>,
    tree: Tree<'t>,
    /// The block collections that are open.
    levels: Vec<Level>,
    state: State,
    stream: Stream<'t>,
}

#[derive(Clone, Copy)]
struct Level {
    column: usize,
    is_sequence: bool,
    /// After a key or a dash without a value so far: where such a value would begin.
    awaits: Option<u32>,
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

impl<'t> Quick<'t> {
    /// Reads a line; where the next begins.
    fn line(&mut self, start: usize) -> Option<usize> {
        let mut at = self.scan.blanks(start);
        match self.scan.byte(at) {
            b'\n' => return Some(at + 1),
            b'#' => return Some(self.comment(at)),
            _ => {}
        }
        if at == start {
            match self.scan.byte(at) {
                b'-' if self.scan.starts_with(at, "---")
                    && matches!(self.scan.byte(at + 3), b' ' | b'\n') =>
                {
                    self.end_document()?;
                    self.start_document(at + 3);
                    return self.rest(at + 3);
                }
                b'%' => return None,
                b'.' if self.scan.starts_with(at, "...") => return None,
                _ => {}
            }
        }
        if self.state == State::Between {
            self.start_document(at);
        }
        // Any number of dashes, then a key, or after a dash a scalar.
        let mut after_dash = false;
        loop {
            let column = at - start;
            match self.scan.byte(at) {
                b'-' => {
                    if !matches!(self.scan.byte(at + 1), b' ' | b'\n') {
                        return None;
                    }
                    self.dash(column, at)?;
                    let next = self.scan.blanks(at + 1);
                    if matches!(self.scan.byte(next), b'\n' | b'#') {
                        return self.rest(at + 1);
                    }
                    (at, after_dash) = (next, true);
                }
                b'[' | b'{' if after_dash => return self.flow_value(at, false),
                b'[' | b'{' if self.state == State::Empty => {
                    self.state = State::Content;
                    return self.flow_value(at, true);
                }
                _ => {
                    let scalar = self.scan.scalar(at)?;
                    if self.scan.byte(scalar.next) == b':' {
                        if !matches!(self.scan.byte(scalar.next + 1), b' ' | b'\n') {
                            return None;
                        }
                        self.key(column, &scalar)?;
                        return self.value(scalar.next + 1);
                    }
                    return if after_dash { self.scalar(&scalar) } else { None };
                }
            }
        }
    }

    /// What follows a key on its line.
    fn value(&mut self, from: usize) -> Option<usize> {
        let at = self.scan.blanks(from);
        match self.scan.byte(at) {
            b'\n' => Some(at + 1),
            b'#' => self.rest(from),
            b'[' | b'{' => self.flow_value(at, false),
            _ => {
                let scalar = self.scan.scalar(at)?;
                if self.scan.byte(scalar.next) == b':' { None } else { self.scalar(&scalar) }
            }
        }
    }

    fn flow_value(&mut self, at: usize, lines: bool) -> Option<usize> {
        let next = self.tree.flow(&self.scan, at, lines)?;
        self.filled();
        self.rest(next)
    }

    /// A value, and the rest of its line.
    fn scalar(&mut self, scalar: &Scalar<'t>) -> Option<usize> {
        self.tree.scalar(scalar.text, scalar.style, scalar.span)?;
        self.filled();
        self.rest(scalar.next)
    }

    /// The end of a line: blanks, and a comment that blanks set apart.
    fn rest(&mut self, from: usize) -> Option<usize> {
        let at = self.scan.blanks(from);
        match self.scan.byte(at) {
            b'\n' => Some(at + 1),
            b'#' if at > from => Some(self.comment(at)),
            _ => None,
        }
    }

    fn comment(&mut self, at: usize) -> usize {
        let end = self.scan.line_end(at);
        self.stream.comments.push(span(at, end));
        end + 1
    }

    fn start_document(&mut self, at: usize) {
        self.tree.start(narrow(at));
        self.state = State::Empty;
    }

    fn end_document(&mut self) -> Option<()> {
        if self.state != State::Between {
            while !self.levels.is_empty() {
                self.close()?;
            }
            let document = self.tree.finish(self.stream.documents.len())?;
            if diagnose::misread(self.scan.text, &document).is_some() {
                return None;
            }
            self.stream.documents.push(document);
            self.state = State::Between;
        }
        Some(())
    }

    /// An item of a sequence begins.
    fn dash(&mut self, column: usize, at: usize) -> Option<()> {
        self.close_beyond(column)?;
        match self.levels.last().copied() {
            Some(Level { column: own, is_sequence: true, awaits }) if own == column => {
                if let Some(at) = awaits {
                    self.null(at)?;
                }
            }
            // At its key's own column or further in.
            Some(Level { column: own, awaits: Some(_), .. }) if own <= column => {
                self.open(column, at, true)?;
            }
            None if self.state == State::Empty => self.open(column, at, true)?,
            _ => return None,
        }
        self.tree.dash(narrow(at));
        self.levels.last_mut()?.awaits = Some(narrow(at + 1));
        Some(())
    }

    fn key(&mut self, column: usize, key: &Scalar<'t>) -> Option<()> {
        self.close_beyond(column)?;
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
                if let Some(at) = awaits {
                    self.null(at)?;
                }
            }
            Some(Level { column: own, awaits: Some(_), .. }) if own < column => {
                self.open(column, key.span.start as usize, false)?;
            }
            None if self.state == State::Empty => self.open(column, key.span.start as usize, false)?,
            _ => return None,
        }
        self.tree.key(key)?;
        self.levels.last_mut()?.awaits = Some(narrow(key.next + 1));
        Some(())
    }

    /// A value that isn't written.
    fn null(&mut self, at: u32) -> Option<()> {
        self.tree.scalar("", ScalarStyle::Plain, Span::new(at, at))?;
        self.filled();
        Some(())
    }

    /// The innermost collection has the value that it waited for.
    fn filled(&mut self) {
        if let Some(level) = self.levels.last_mut() {
            level.awaits = None;
        }
    }

    fn open(&mut self, column: usize, at: usize, is_sequence: bool) -> Option<()> {
        self.tree.open(is_sequence, Style::Block, narrow(at))?;
        self.filled();
        self.levels.push(Level { column, is_sequence, awaits: None });
        self.state = State::Content;
        Some(())
    }

    /// Ends the collections further in than a column.
    fn close_beyond(&mut self, column: usize) -> Option<()> {
        while self.levels.last().is_some_and(|level| level.column > column) {
            self.close()?;
        }
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        if let Some(at) = self.levels.pop()?.awaits {
            self.tree.scalar("", ScalarStyle::Plain, Span::new(at, at))?;
        }
        self.tree.close(None)
    }
}

fn span(start: usize, end: usize) -> Span {
    Span::new(narrow(start), narrow(end))
}

/// Texts longer than 4 GiB are refused before this.
#[allow(clippy::cast_possible_truncation, reason = "see above")]
const fn narrow(at: usize) -> u32 {
    at as u32
}
