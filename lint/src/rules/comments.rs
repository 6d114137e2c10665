//! What comments say about intent.

use netpol_policy::source::Item;
use netpol_policy::span::Span;

use crate::edits::{line_end, line_start};
use crate::file::SourceFile;
use crate::suppress::is_suppression;

/// Whether an item of a list carries a comment: on a line of its own directly above, or on its first line. A comment
/// further down is about what stands there. In flow style one anywhere inside counts.
pub(super) fn on_item<T>(file: &SourceFile, item: &Item<T>) -> bool {
    let text = &file.text;
    let start = item.dash.unwrap_or(item.span).start;
    let line = line_start(text, start);
    let end = if item.dash.is_some() { line_end(text, start) } else { item.span.end as usize };
    // What is said to the linter says nothing about intent.
    let mut comments = file.comments_in(Span::new(start, end as u32)).iter().map(|span| file.slice(*span));
    let inside = comments.any(|comment| !is_suppression(comment));
    let begins_its_line = text[line..start as usize].trim().is_empty();
    let above = text[..line].lines().rev().find(|line| !is_suppression(line));
    let above = above.is_some_and(|line| line.trim_start().starts_with('#'));
    inside || (begins_its_line && above)
}
