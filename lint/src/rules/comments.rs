//! What comments say about intent.

use netpol_policy::source::Item;
use netpol_policy::span::Span;

use crate::edits::{line_end, line_start};
use crate::file::SourceFile;

/// Whether an item of a list carries a comment: on a line of its own directly above, or on its first line. A comment
/// further down is about what stands there. In flow style one anywhere inside counts.
pub(super) fn on_item<T>(file: &SourceFile, item: &Item<T>) -> bool {
    let text = &file.text;
    let start = item.dash.unwrap_or(item.span).start;
    let line = line_start(text, start);
    let end = if item.dash.is_some() { line_end(text, start) } else { item.span.end as usize };
    let inside = !file.comments_in(Span::new(start, end as u32)).is_empty();
    let begins_its_line = text[line..start as usize].trim().is_empty();
    let above = line > 0 && text[line_start(text, line as u32 - 1)..line].trim_start().starts_with('#');
    inside || (begins_its_line && above)
}
