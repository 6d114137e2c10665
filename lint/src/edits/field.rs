//! New fields of mappings.

use netpol_policy::span::Span;

use super::{column, line_end, newline};
use crate::finding::Edit;

/// Whether a mapping is written as JSON, where texts need quotes.
pub(crate) fn is_json(text: &str, mapping: Span) -> bool {
    let written = text.get(mapping.range()).unwrap_or_default();
    written.strip_prefix('{').is_some_and(|inner| inner.trim_start().starts_with('"'))
}

/// Writes a field into a mapping, after the value of another of its fields. `None` where other text follows that value on
/// its line.
pub(crate) fn insert_field(
    text: &str,
    mapping: Span,
    after: Span,
    key: &str,
    value: &str,
) -> Option<Vec<Edit>> {
    if text.get(mapping.range())?.starts_with('{') {
        let quote = if is_json(text, mapping) { "\"" } else { "" };
        return Some(vec![Edit::insert(after.end, format!(", {quote}{key}{quote}: {value}"))]);
    }
    let end = line_end(text, after.end.saturating_sub(1));
    let rest = text.get(after.end as usize..end)?.trim();
    if !rest.is_empty() && !rest.starts_with('#') {
        return None;
    }
    let at = text[..end].trim_end_matches(['\n', '\r']).len();
    let indent = " ".repeat(column(text, mapping.start));
    Some(vec![Edit::insert(at as u32, format!("{}{indent}{key}: {value}", newline(text)))])
}
