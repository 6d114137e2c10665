//! Whole items of lists.

use netpol_policy::source::Item;
use netpol_policy::span::Span;

use super::{column, line_end, line_start, newline, write_flow_field};
use crate::finding::Edit;

/// Writes a mapping of plain texts as an item after another, in the style of that one. `None` where the text around
/// is too unusual.
pub(crate) fn insert_after<T>(text: &str, item: &Item<T>, fields: &[(&str, &str)]) -> Option<Vec<Edit>> {
    if item.shared || item.span.is_empty() {
        return None;
    }
    let written = text.get(item.span.range())?;
    let flow = match written.strip_prefix('{') {
        // Keys in quotes are JSON, where texts are quoted and numbers are not.
        Some(inner) if inner.trim_start().starts_with('"') => Some(join(fields, |(key, value)| {
            let quote = if value.bytes().all(|b| b.is_ascii_digit()) { "" } else { "\"" };
            format!("\"{key}\": {quote}{value}{quote}")
        })),
        Some(_) => Some(join(fields, |(key, value)| format!("{key}: {value}"))),
        None => None,
    };
    let Some(dash) = item.dash else {
        return Some(vec![Edit::insert(item.span.end, format!(", {{{}}}", flow?))]);
    };
    let gap = text.get(dash.end as usize..item.span.start as usize)?;
    if !gap.bytes().all(|b| b == b' ') || !is_first_of_line(text, dash) {
        return None;
    }
    let (newline, indent) = (newline(text), " ".repeat(column(text, dash.start)));
    let content = match flow {
        Some(flow) => format!("{{{flow}}}"),
        None => {
            let indent = " ".repeat(column(text, item.span.start));
            let lines = fields.iter().map(|(key, value)| format!("{key}: {value}"));
            lines.collect::<Vec<_>>().join(&format!("{newline}{indent}"))
        }
    };
    let end = line_end(text, item.span.end.saturating_sub(1));
    let at = text[..end].trim_end_matches(['\n', '\r']).len();
    Some(vec![Edit::insert(at as u32, format!("{newline}{indent}-{gap}{content}"))])
}

/// Writes a field in front of the others of a mapping that is an item. `None` where the text around is too unusual.
pub(crate) fn write_first<T>(text: &str, item: &Item<T>, key: &str, value: &str) -> Option<Vec<Edit>> {
    if item.shared || item.span.is_empty() {
        return None;
    }
    let written = text.get(item.span.range())?;
    if written.starts_with('{') {
        let value = if written.contains('"') { format!("\"{value}\"") } else { value.to_owned() };
        return write_flow_field(text, item.span, key, &value);
    }
    let before = &text[line_start(text, item.span.start)..item.span.start as usize];
    if !before.bytes().all(|b| matches!(b, b' ' | b'-')) {
        return None;
    }
    let indent = " ".repeat(column(text, item.span.start));
    Some(vec![Edit::insert(item.span.start, format!("{key}: {value}{}{indent}", newline(text)))])
}

fn join(fields: &[(&str, &str)], write: impl Fn(&(&str, &str)) -> String) -> String {
    fields.iter().map(write).collect::<Vec<_>>().join(", ")
}

fn is_first_of_line(text: &str, dash: Span) -> bool {
    text[line_start(text, dash.start)..dash.start as usize].bytes().all(|b| b == b' ')
}
