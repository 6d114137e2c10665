//! Edits as a change of text.

use crate::finding::Edit;

/// The text with all edits applied at once; `None` when two of them overlap or one lies outside the text.
/// Edits at the same place apply in the order given.
pub fn apply<'e>(text: &str, edits: impl IntoIterator<Item = &'e Edit>) -> Option<String> {
    let mut edits: Vec<_> = edits.into_iter().collect();
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let mut changed =
        String::with_capacity(text.len() + edits.iter().map(|edit| edit.text.len()).sum::<usize>());
    let mut done = 0;
    for edit in edits {
        changed.push_str(text.get(done..edit.span.start as usize)?);
        changed.push_str(&edit.text);
        done = edit.span.end as usize;
        if edit.span.end < edit.span.start {
            return None;
        }
    }
    changed.push_str(text.get(done..)?);
    Some(changed)
}

/// Whether some edit of one set touches one of the other, or inserts at the same place.
pub(super) fn overlap(a: &[Edit], b: &[Edit]) -> bool {
    let touches = |a: &Edit, b: &Edit| a.span.start <= b.span.end && b.span.start <= a.span.end;
    a.iter().any(|a| b.iter().any(|b| touches(a, b)))
}

#[cfg(test)]
mod tests {
    use netpol_policy::span::Span;

    use super::*;

    #[test]
    fn edits() {
        let replace = |start, end, text: &str| Edit::replace(Span::new(start, end), text);
        assert_eq!(apply("abc", &[]).unwrap(), "abc");
        assert_eq!(
            apply("abc", &[replace(2, 3, "C"), Edit::insert(0, ">"), replace(1, 2, "")]).unwrap(),
            ">aC"
        );
        assert_eq!(apply("abc", &[replace(0, 2, ""), replace(1, 3, "")]), None);
        assert_eq!(apply("abc", &[replace(2, 9, "")]), None);
        assert_eq!(apply("ä", &[replace(1, 2, "")]), None);
    }

    #[test]
    fn overlaps() {
        let replace = |start, end| [Edit::replace(Span::new(start, end), "")];
        assert!(overlap(&replace(0, 2), &replace(1, 3)));
        assert!(overlap(&replace(1, 1), &replace(1, 1)));
        assert!(!overlap(&replace(0, 1), &replace(2, 3)));
    }
}
