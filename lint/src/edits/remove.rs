//! Taking items out of lists.

use netpol_policy::source::{Item, List};
use netpol_policy::span::Span;

use super::{line_end, line_start};
use crate::file::SourceFile;
use crate::finding::Edit;

/// Takes one item out of a list that has others: an empty list would mean something else entirely. `None` where the
/// item has a comment, which somebody should read first, or an anchor, which others may refer to. The list itself must
/// not be shared.
pub(crate) fn remove_item<T>(file: &SourceFile, list: &List<T>, index: usize) -> Option<Vec<Edit>> {
    if list.items.len() < 2 {
        return None;
    }
    let item = list.items.get(index)?;
    let removed = match item.dash {
        Some(dash) => lines(&file.text, dash, item)?,
        None => between_commas(&file.text, list, index)?,
    };
    if has_comment(file, removed) || file.slice(removed).contains('&') {
        return None;
    }
    Some(vec![Edit::delete(removed)])
}

/// The lines of an item that begins with a dash.
fn lines<T>(text: &str, dash: Span, item: &Item<T>) -> Option<Span> {
    let start = line_start(text, dash.start);
    if !text[start..dash.start as usize].bytes().all(|b| b == b' ') {
        return None;
    }
    // The value of an alias is elsewhere; the alias itself is a word on the line of the dash.
    let last = if item.shared {
        let word = text[dash.end as usize..line_end(text, dash.start)].trim();
        if !word.starts_with('*') || word.contains(char::is_whitespace) {
            return None;
        }
        dash.end - 1
    } else {
        item.span.end.max(dash.end) - 1
    };
    let end = line_end(text, last);
    if !item.shared && !text.get(item.span.end as usize..end)?.trim().is_empty() {
        return None;
    }
    Some(Span::new(start as u32, end as u32))
}

/// An item in brackets with one of the commas around it.
fn between_commas<T>(text: &str, list: &List<T>, index: usize) -> Option<Span> {
    let own = |index: usize| list.items.get(index).filter(|item| !item.shared && !item.span.is_empty());
    let item = own(index)?.span;
    let comma_only =
        |start: u32, end: u32| text.get(start as usize..end as usize)?.trim().eq(",").then_some(());
    if index == 0 {
        let next = own(1)?.span;
        comma_only(item.end, next.start)?;
        return Some(Span::new(item.start, next.start));
    }
    let before = own(index - 1)?.span;
    comma_only(before.end, item.start)?;
    Some(Span::new(before.end, item.end))
}

/// Whether a comment lies in some text, ends its last line or stands directly above it.
fn has_comment(file: &SourceFile, removed: Span) -> bool {
    let text = &file.text;
    let start = line_start(text, removed.start);
    let above = start > 0 && text[line_start(text, start as u32 - 1)..start].trim_start().starts_with('#');
    let begins_its_line = text[start..removed.start as usize].trim().is_empty();
    let end = if removed.end as usize == line_end(text, removed.end.saturating_sub(1)) {
        removed.end as usize
    } else {
        line_end(text, removed.end)
    };
    begins_its_line && above || !file.comments_in(Span::new(removed.start, end as u32)).is_empty()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::fix::apply;

    /// The ports of a policy without one of them.
    fn without(ports: &str, index: usize) -> String {
        let head = "kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nspec:\n  ingress:\n  - ports:";
        let file = SourceFile::read("test.yaml", format!("{head}{ports}"), &Arc::from("default"));
        let (_, policy) = file.policies().next().unwrap();
        let (_, _, rule) = policy.rules().next().unwrap();
        let list = rule.ports.value().unwrap();
        match remove_item(&file, list, index) {
            Some(edits) => apply(&file.text, &edits).unwrap()[head.len()..].to_owned(),
            None => "no".to_owned(),
        }
    }

    #[test]
    fn blocks() {
        let list = "\n    - port: 1\n      protocol: TCP\n    - {port: 2}\n    -\n      port: 3\n";
        assert_eq!(without(list, 0), "\n    - {port: 2}\n    -\n      port: 3\n");
        assert_eq!(without(list, 1), "\n    - port: 1\n      protocol: TCP\n    -\n      port: 3\n");
        assert_eq!(without(list, 2), "\n    - port: 1\n      protocol: TCP\n    - {port: 2}\n");
        assert_eq!(without("\r\n    - port: 1\r\n    - port: 2", 1), "\r\n    - port: 1\r\n");
        assert_eq!(
            without("\n    - port: 1\n\n    - port: 2\n\n    # end\n", 1),
            "\n    - port: 1\n\n\n    # end\n"
        );
        assert_eq!(without("\n    - port: 1\n", 0), "no", "an empty list would allow everything");
    }

    #[test]
    fn brackets() {
        let list = " [ {port: 1}, {port: 2} ,{port: 3},]\n";
        assert_eq!(without(list, 0), " [ {port: 2} ,{port: 3},]\n");
        assert_eq!(without(list, 1), " [ {port: 1} ,{port: 3},]\n");
        assert_eq!(without(list, 2), " [ {port: 1}, {port: 2},]\n");
        let json = " [\n  {\"port\": 1},\n  {\"port\": 2}\n]\n";
        assert_eq!(without(json, 0), " [\n  {\"port\": 2}\n]\n");
        assert_eq!(without(json, 1), " [\n  {\"port\": 1}\n]\n");
    }

    #[test]
    fn comments_and_anchors() {
        for (list, index) in [
            ("\n    - port: 1\n    - port: 2 # two\n", 1),
            ("\n    - port: 1\n    # two\n    - port: 2\n", 1),
            ("\n    - port: 1\n    - port: 2\n      # two\n      protocol: TCP\n", 1),
            (" [{port: 1}, {port: 2}] # two\n", 1),
            (" [\n  {port: 1}, # one\n  {port: 2}]\n", 1),
            ("\n    - &a {port: 1}\n    - *a\n", 0),
            ("\n    - &a\n      port: 1\n    - *a\n", 0),
            (" [&a {port: 1}, *a]\n", 0),
            (" [&a {port: 1}, *a]\n", 1),
        ] {
            assert_eq!(without(list, index), "no", "{list}");
        }
        assert_eq!(
            without("\n    - &a {port: 1}\n    - *a\n    - port: 2\n", 1),
            "\n    - &a {port: 1}\n    - port: 2\n"
        );
        assert_eq!(without("\n    - port: 1 # one\n    - port: 2\n", 1), "\n    - port: 1 # one\n");
    }
}
