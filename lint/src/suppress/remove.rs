//! Taking suppressions away.

use netpol_policy::source::PolicySource;
use netpol_policy::span::Span;

use super::{Kind, Suppression, Word};
use crate::edits::{line_end, line_start};
use crate::file::SourceFile;
use crate::finding::{Applicability, Edit, Fix};

impl Suppression {
    /// Takes the words out that are not used, or all of it away. It is no safe fix for words that may be needed when
    /// more is given; they go last.
    pub(super) fn removal(&self, file: &SourceFile) -> Option<Fix> {
        let kept = |keeps: fn(&Word) -> bool| {
            self.words.iter().filter(|word| keeps(word)).map(|word| &*word.text).collect::<Vec<_>>()
        };
        let mut applicability = Applicability::Safe;
        let mut kept_words = kept(|word| word.used || word.needs_others());
        if kept_words.len() == self.words.len() {
            kept_words = kept(|word| word.used);
            applicability = Applicability::Unsafe;
        }
        let kept = kept_words;
        let (title, edit) = match (&self.kind, kept.is_empty()) {
            (Kind::Malformed, _) => return None,
            (Kind::Comment { list }, false) => {
                ("remove what is not needed", Edit::replace(*list, kept.join(", ")))
            }
            (Kind::Comment { .. }, true) => ("remove the suppression", Edit::delete(self.comment(file))),
            (Kind::Annotation { .. }, false) => {
                // Where the value is written with escapes, its words may not be found.
                let written = file.slice(self.span);
                let text = self.words.iter().map(|word| &*word.text).collect::<Vec<_>>();
                let list = list_in(written, &text)?;
                let at = self.span.start + list.start;
                let list = Span::new(at, self.span.start + list.end);
                ("remove what is not needed", Edit::replace(list, kept.join(", ")))
            }
            (Kind::Annotation { key, object }, true) => {
                ("remove the suppression", Edit::delete(annotation(file, *key, self.span, *object)?))
            }
        };
        Some(Fix { applicability, ..Fix::safe(title, [edit]) })
    }

    /// The comment with the space before it; its line when nothing else is there.
    fn comment(&self, file: &SourceFile) -> Span {
        let text = &*file.text;
        let start = line_start(text, self.span.start);
        let before = text[start..self.span.start as usize].trim_end();
        let alone = before.trim_start_matches('\u{feff}').is_empty();
        let end = if alone { line_end(text, self.span.start) as u32 } else { self.span.end };
        Span::new((start + before.len()) as u32, end)
    }
}

/// From the first of some words to the last, when they follow each other with only commas and space between.
pub(super) fn list_in(text: &str, words: &[&str]) -> Option<Span> {
    let start = text.find(words.first()?)?;
    let mut end = start;
    for word in words {
        let rest = text.get(end..)?;
        let skipped = rest.len() - rest.trim_start_matches([',', ' ', '\t']).len();
        rest[skipped..].strip_prefix(word)?;
        end += skipped + word.len();
    }
    Some(Span::new(start as u32, end as u32))
}

/// The line of an annotation in block style; with the line above it when that is `annotations:` and nothing follows.
fn annotation(file: &SourceFile, key: Span, value: Span, object: Span) -> Option<Span> {
    let text = &*file.text;
    let start = line_start(text, key.start);
    let end = line_end(text, value.end.saturating_sub(1).max(key.start));
    let rest = text.get(value.end as usize..end)?.trim();
    // In brackets a comma goes with it; a comment is somebody's, and an anchor may have aliases.
    let in_brackets = text[..start].trim_end().ends_with([',', '{']);
    let is_anchored = file.slice(Span::new(key.end, value.start)).contains('&');
    if !text[start..key.start as usize].trim().is_empty() || !rest.is_empty() || in_brackets || is_anchored {
        return None;
    }
    let of_object = |(_, policy): &(usize, &PolicySource)| policy.span == object;
    let (_, policy) = file.policies().find(of_object)?;
    if policy.metadata.annotations.len() > 1 {
        return Some(Span::new(start as u32, end as u32));
    }
    let above = line_start(text, (start as u32).checked_sub(1)?);
    (text[above..start].trim() == "annotations:").then(|| Span::new(above as u32, end as u32))
}
