//! Selectors in a shorter form.

use netpol_policy::source::{Expression, Field, List, SelectorSource, Slot};
use netpol_policy::span::Span;

use super::{column, line_end, line_start, newline, remove_item};
use crate::file::SourceFile;
use crate::finding::Edit;

/// Takes an item out of `matchExpressions`, which it repeats or which `matchLabels` has. The list goes with its last
/// item.
pub(crate) fn remove_expression(
    file: &SourceFile,
    field: &Field<Box<SelectorSource>>,
    index: usize,
) -> Option<Vec<Edit>> {
    let selector = &field.value;
    let list = selector.match_expressions.present()?;
    if list.value.items.len() > 1 {
        return remove_item(file, &list.value, index);
    }
    let text = &*file.text;
    let whole = movable(file, list)?;
    let labels = selector.match_labels.whole()?;
    let between = |start: u32, end: u32| text.get(start as usize..end as usize).map(str::trim);
    let start = line_start(text, whole.start);
    let own_lines = text[start..whole.start as usize].trim().is_empty() && ends_line(text, whole);
    let removed = if own_lines && !is_flow(file, field) {
        Span::new(start as u32, line_end(text, whole.end - 1) as u32)
    } else if labels.end <= whole.start && between(labels.end, whole.start)? == "," {
        Span::new(labels.end, whole.end)
    } else if whole.end <= labels.start && between(whole.end, labels.start)? == "," {
        Span::new(whole.start, labels.start)
    } else {
        return None;
    };
    Some(vec![Edit::delete(removed)])
}

/// Makes a label of an item of `matchExpressions` that asks for one value.
pub(crate) fn expression_to_label(
    file: &SourceFile,
    field: &Field<Box<SelectorSource>>,
    index: usize,
) -> Option<Vec<Edit>> {
    let text = &*file.text;
    let selector = &field.value;
    let list = selector.match_expressions.present()?;
    let label = label(file, list.value.items.get(index)?.value.as_ref()?)?;
    let flow = is_flow(file, field);
    let indent = " ".repeat(column(text, list.key.start));
    let newline = newline(text);
    let labels = match &selector.match_labels {
        Slot::Present(labels) => labels,
        Slot::Absent => {
            let written = file.slice(list.key);
            let key = written.replace("matchExpressions", "matchLabels");
            let labels = if flow {
                format!("{key}: {{{label}}}")
            } else {
                format!("{key}:{newline}{indent}  {label}")
            };
            if list.value.items.len() == 1 {
                return Some(vec![Edit::replace(movable(file, list)?, labels)]);
            }
            let separator = if flow { ", ".to_owned() } else { format!("{newline}{indent}") };
            let mut edits = remove_expression(file, field, index)?;
            edits.push(Edit::insert(list.key.start, format!("{labels}{separator}")));
            return Some(edits);
        }
        _ => return None,
    };
    let (first, last) = (labels.value.first()?, labels.value.last()?);
    let insert = if text[labels.span.range()].starts_with('{') {
        Edit::insert(last.1.span.end, format!(", {label}"))
    } else if begins_line(text, first.0.span.start) {
        let end = line_end(text, last.1.span.end.saturating_sub(1));
        let at = text[..end].trim_end_matches(['\n', '\r']).len();
        let indent = " ".repeat(column(text, first.0.span.start));
        Edit::insert(at as u32, format!("{newline}{indent}{label}"))
    } else {
        return None;
    };
    let mut edits = remove_expression(file, field, index)?;
    edits.push(insert);
    Some(edits)
}

/// Whether a selector is in braces, perhaps over several lines.
fn is_flow(file: &SourceFile, field: &Field<Box<SelectorSource>>) -> bool {
    file.slice(field.span).starts_with('{')
}

/// `key: value` of an expression with one value, with the quotes that they have.
fn label(file: &SourceFile, expression: &Expression) -> Option<String> {
    let key = expression.key.as_ref()?;
    let [value] = &*expression.values.value()?.items else { return None };
    let is_written = |span: Span, text: &str| {
        let written = file.slice(span);
        written == text || written == format!("\"{text}\"") || written == format!("'{text}'")
    };
    let plain = is_written(key.span, &key.value) && is_written(value.span, value.value.as_deref()?);
    let (key, value) = (file.slice(key.span), file.slice(value.span));
    plain.then(|| format!("{key}: {value}"))
}

/// A list with its key, where nothing in it is lost when it goes: no comment, no anchor.
fn movable(file: &SourceFile, list: &Field<List<Expression>>) -> Option<Span> {
    let whole = list.key.to(list.span);
    let end = line_end(&file.text, whole.end - 1) as u32;
    let comments = file.comments_in(Span::new(whole.start, end));
    (comments.is_empty() && !file.slice(whole).contains(['&', '*', '!'])).then_some(whole)
}

fn begins_line(text: &str, at: u32) -> bool {
    text[line_start(text, at)..at as usize].bytes().all(|b| b == b' ')
}

/// Whether nothing follows on the last line.
fn ends_line(text: &str, whole: Span) -> bool {
    text[whole.end as usize..line_end(text, whole.end - 1)].trim().is_empty()
}
