//! Changes of YAML text that leave everything else as it is: comments, quoting, line ends, indentation.

mod field;
mod items;
mod pod_selector;
mod remove;
mod selector;

use netpol_policy::source::{Field, Item, List, ListStyle, Slot, SpecSource};
use netpol_policy::span::Span;

use crate::finding::Edit;

pub(crate) use field::{insert_field, is_json};
pub(crate) use items::{insert_after, write_first};
pub(crate) use pod_selector::write_pod_selector;
pub(crate) use remove::remove_item;
pub(crate) use selector::{expression_to_label, remove_expression};

/// Makes one item of two neighbours whose values are mappings. `None` where that can't be done by small changes:
/// one of the two is an alias, or carries an anchor or a tag. Each mapping has one field.
pub(crate) fn join_items<T>(text: &str, first: &Item<T>, second: &Item<T>) -> Option<Vec<Edit>> {
    if first.shared || second.shared || first.span.is_empty() || second.span.is_empty() {
        return None;
    }
    let flow = |item: &Item<T>| text[item.span.range()].starts_with('{');
    match (first.dash, second.dash) {
        (Some(a), Some(b)) if is_blank_or_comments(text, a.end, first.span.start) => {
            if !is_blank_or_comments(text, b.end, second.span.start) {
                return None;
            }
            match (flow(first), flow(second)) {
                (false, false) => join_blocks(text, first.span, b, second.span),
                (true, true) => join_flow_in_blocks(text, first.span, b, second.span),
                (true, false) => join_unlike(text, first.span, first.span, b, second.span),
                (false, true) => join_unlike(text, second.span, first.span, b, second.span),
            }
        }
        (None, None) if flow(first) && flow(second) => join_flow(text, first.span, second.span),
        _ => None,
    }
}

/// `- a: …` and `- b: …`: the second dash goes and its lines move under the first item's key.
fn join_blocks(text: &str, first: Span, dash: Span, second: Span) -> Option<Vec<Edit>> {
    let line = line_start(text, dash.start);
    if !text[line..dash.start as usize].bytes().all(|b| b == b' ') {
        return None;
    }
    let wanted = column(text, first.start);
    let found = column(text, second.start);
    let mut edits = Vec::new();
    let mut next = if line_start(text, second.start) == line {
        let width = wanted.checked_sub(column(text, dash.start))?;
        edits.push(if wanted == found {
            Edit::replace(dash, " ")
        } else {
            Edit::replace(Span::new(dash.start, second.start), " ".repeat(width))
        });
        line_end(text, dash.start)
    } else {
        // The dash has a line of its own, perhaps with a comment, which stays.
        let end = line_end(text, dash.start);
        if text[dash.end as usize..end].trim().is_empty() {
            edits.push(Edit::delete(span(line, end)));
        } else {
            edits.push(Edit::replace(dash, " "));
        }
        end
    };
    while wanted != found && next < second.end as usize {
        let end = line_end(text, next as u32);
        let content = &text[next..end];
        let indent = content.bytes().take_while(|b| *b == b' ').count();
        if !content.trim().is_empty() {
            edits.push(if wanted > found {
                Edit::insert(next as u32, " ".repeat(wanted - found))
            } else {
                Edit::delete(span(next, next + indent.min(found - wanted)))
            });
        }
        next = end;
    }
    Some(edits)
}

/// `- {a: …}` and `- b: …`, or the reverse: the one in flow style loses its braces, which works on one line.
fn join_unlike(text: &str, flow: Span, first: Span, dash: Span, second: Span) -> Option<Vec<Edit>> {
    let (content, end) = flow_content(text, flow)?;
    if text[flow.range()].contains('\n') {
        return None;
    }
    let mut edits = join_blocks(text, first, dash, second)?;
    edits.push(Edit::delete(Span::new(flow.start, content.start)));
    edits.push(Edit::delete(Span::new(end, flow.end)));
    Some(edits)
}

/// `- {a: …}` and `- {b: …}`: the content of the second moves into the first.
fn join_flow_in_blocks(text: &str, first: Span, dash: Span, second: Span) -> Option<Vec<Edit>> {
    let (_, close) = flow_content(text, first)?;
    let (content, _) = flow_content(text, second)?;
    let line = line_start(text, dash.start);
    let end = line_end(text, second.end.saturating_sub(1));
    let rest = &text[second.end as usize..end];
    let removed = match rest.trim_start() {
        "" if text[line..dash.start as usize].trim().is_empty() => span(line, end),
        "" => Span::new(dash.start, second.end),
        comment if comment.starts_with('#') => Span::new(dash.start, (end - comment.len()) as u32),
        _ => return None,
    };
    Some(vec![Edit::insert(close, format!(", {}", &text[content.range()])), Edit::delete(removed)])
}

/// `{a: …}, {b: …}`: the inner braces go.
fn join_flow(text: &str, first: Span, second: Span) -> Option<Vec<Edit>> {
    let (_, first_end) = flow_content(text, first)?;
    let (content, _) = flow_content(text, second)?;
    let between = text.get(first.end as usize..second.start as usize)?;
    if between.trim() == "," {
        let space = &text[second.start as usize + 1..content.start as usize];
        let space = if space.is_empty() && !between.ends_with(',') { " " } else { space };
        return Some(vec![Edit::replace(Span::new(first_end, content.start), format!(",{space}"))]);
    }
    // A comment stands between: only the braces go.
    Some(vec![
        Edit::delete(Span::new(first.end - 1, first.end)),
        Edit::delete(Span::new(second.start, second.start + 1)),
    ])
}

/// What is inside the braces without space around it, and where it ends.
fn flow_content(text: &str, mapping: Span) -> Option<(Span, u32)> {
    let inner = text.get(mapping.range())?.strip_prefix('{')?.strip_suffix('}')?;
    let content = inner.trim();
    if content.is_empty() || content.ends_with(',') || content.contains('#') {
        return None;
    }
    let start = mapping.start + 1 + (inner.len() - inner.trim_start().len()) as u32;
    let end = start + content.len() as u32;
    Some((Span::new(start, end), end))
}

/// Writes `policyTypes` into a spec where it is absent, null or empty: after `podSelector`, in the style of the text.
pub(crate) fn write_policy_types(
    text: &str,
    spec: Span,
    source: &SpecSource,
    types: &[&str],
) -> Option<Vec<Edit>> {
    let json = text[spec.range()].starts_with('{') && text[spec.range()].contains('"');
    let flow = |types: &[&str]| {
        let quoted = types.iter().map(|t| if json { format!("\"{t}\"") } else { (*t).to_owned() });
        format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
    };
    match &source.policy_types {
        Slot::Absent => {}
        Slot::Null(field) => return fill_null(text, field, &flow(types)),
        Slot::Present(field) if field.value.items.is_empty() && !field.shared => {
            return Some(vec![Edit::replace(field.span, flow(types))]);
        }
        _ => return None,
    }
    if text[spec.range()].starts_with('{') {
        return write_flow_field(text, spec, "policyTypes", &flow(types));
    }
    let indent = indentation(text, spec.start)?;
    let newline = newline(text);
    let field = match list_offset(text, source) {
        Some(offset) => {
            let items = types.iter().map(|t| format!("{newline}{indent}{}- {t}", " ".repeat(offset)));
            format!("policyTypes:{}", items.collect::<String>())
        }
        None => format!("policyTypes: {}", flow(types)),
    };
    let Some(selector) = source.pod_selector.whole() else {
        return Some(vec![Edit::insert(spec.start, format!("{field}{newline}{indent}"))]);
    };
    let selector_end = match &source.pod_selector {
        Slot::Null(field) if field.span.is_empty() => field.key.end,
        _ => selector.end,
    };
    let end = line_end(text, selector_end.saturating_sub(1));
    let rest = text.get(selector_end as usize..end)?.trim_start_matches(':').trim();
    if source.pod_selector.present().is_some_and(|field| field.shared) && rest.is_empty() {
        return Some(vec![Edit::insert(spec.start, format!("{field}{newline}{indent}"))]);
    }
    if !rest.is_empty() && !rest.starts_with('#') {
        return None;
    }
    let line = text[..end].trim_end_matches(['\n', '\r']).len();
    Some(vec![Edit::insert(line as u32, format!("{newline}{indent}{field}"))])
}

/// Writes a value where there is none.
pub(crate) fn fill_null(text: &str, field: &Field<()>, value: &str) -> Option<Vec<Edit>> {
    if field.shared {
        return None;
    }
    if !field.span.is_empty() {
        return Some(vec![Edit::replace(field.span, value)]);
    }
    let colon = field.key.end as usize + text.get(field.key.end as usize..)?.find(':')? + 1;
    Some(vec![Edit::insert(colon as u32, format!(" {value}"))])
}

/// Puts a field first into a flow mapping.
fn write_flow_field(text: &str, mapping: Span, key: &str, value: &str) -> Option<Vec<Edit>> {
    let inner = text.get(mapping.range())?.strip_prefix('{')?.strip_suffix('}')?;
    let key = if inner.contains('"') { format!("\"{key}\"") } else { key.to_owned() };
    let space = &inner[..inner.len() - inner.trim_start().len()];
    let first = mapping.start + 1 + space.len() as u32;
    let field = match inner.trim() {
        "" => format!("{key}: {value}"),
        _ if space.contains('\n') => format!("{key}: {value},{space}"),
        _ => format!("{key}: {value}, "),
    };
    Some(vec![Edit::insert(first, field)])
}

/// Adds a policy type to a list that has some.
pub(crate) fn add_policy_type(text: &str, source: &SpecSource, policy_type: &str) -> Option<Vec<Edit>> {
    append_text(text, source.policy_types.present()?, policy_type)
}

/// Adds a text to a list of texts that has some.
pub(crate) fn append_text(text: &str, field: &Field<List<Box<str>>>, new: &str) -> Option<Vec<Edit>> {
    let last = field.value.items.last().filter(|item| !item.shared && !field.shared)?;
    let written = text.get(last.span.range())?;
    let quote =
        written.chars().next().filter(|c| matches!(c, '"' | '\'')).map(String::from).unwrap_or_default();
    let item = format!("{quote}{new}{quote}");
    let edit = match (field.value.style, last.dash) {
        (ListStyle::Block, Some(dash)) => {
            let gap = text.get(dash.end as usize..last.span.start as usize)?;
            if gap.contains(['\n', '#', '&', '!']) {
                return None;
            }
            let end = line_end(text, last.span.end.saturating_sub(1));
            let at = text[..end].trim_end_matches(['\n', '\r']).len();
            let indent = " ".repeat(column(text, dash.start));
            Edit::insert(at as u32, format!("{}{indent}-{gap}{item}", newline(text)))
        }
        (ListStyle::Flow, None) => Edit::insert(last.span.end, format!(", {item}")),
        _ => return None,
    };
    Some(vec![edit])
}

/// How far the dashes of the spec's rule lists stand to the right of their key; `None` when all lists are in flow style.
fn list_offset(text: &str, spec: &SpecSource) -> Option<usize> {
    let mut lists = [&spec.ingress, &spec.egress].into_iter().filter_map(Slot::present).peekable();
    if lists.peek().is_none() {
        return Some(2);
    }
    lists.find_map(|field| {
        let dash = field.value.items.first().filter(|item| !item.shared)?.dash?;
        column(text, dash.start).checked_sub(column(text, field.key.start))
    })
}

/// Where the line of a byte begins.
pub(crate) fn line_start(text: &str, at: u32) -> usize {
    text[..at as usize].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Where the line of a byte ends, its line break included. The byte may be inside a character.
pub(crate) fn line_end(text: &str, at: u32) -> usize {
    let rest = text.as_bytes()[at as usize..].iter();
    rest.copied().position(|byte| byte == b'\n').map_or(text.len(), |newline| at as usize + newline + 1)
}

/// Characters before a byte in its line.
pub(crate) fn column(text: &str, at: u32) -> usize {
    text[line_start(text, at)..at as usize].trim_start_matches('\u{feff}').chars().count()
}

/// The spaces before a byte, when its line has nothing else before it.
fn indentation(text: &str, at: u32) -> Option<&str> {
    let before = &text[line_start(text, at)..at as usize];
    before.bytes().all(|b| b == b' ').then_some(before)
}

/// The line break that the text uses.
pub(crate) fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// Whether there is nothing but space and comments between two places: no anchor, no tag.
fn is_blank_or_comments(text: &str, start: u32, end: u32) -> bool {
    let between = text.get(start as usize..end as usize).unwrap_or("?");
    between.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#')
    })
}

fn span(start: usize, end: usize) -> Span {
    Span::new(start as u32, end as u32)
}
