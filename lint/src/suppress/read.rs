//! Finding suppressions in a file.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use netpol_policy::source::PolicySource;
use netpol_policy::span::Span;

use super::{ANNOTATION, Extent, Kind, MARK, Suppression, Suppressions, Word};
use crate::file::SourceFile;
use crate::rule::Rule;
use crate::select::named;

static WORD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("lint"));

impl Suppressions {
    /// Those of a file; `None` when there is none.
    pub(crate) fn of(file: &SourceFile) -> Option<Self> {
        // Both marks hold this word, and most texts don't.
        WORD.find(file.text.as_bytes())?;
        let comments = file.manifest.comments.iter().filter_map(|span| comment(file, *span));
        let annotations = file.policies().flat_map(|(_, policy)| annotations(policy));
        let list: Vec<_> = comments.chain(annotations).collect();
        (!list.is_empty()).then_some(Self { list })
    }
}

fn comment(file: &SourceFile, span: Span) -> Option<Suppression> {
    let text = file.slice(span).trim_end();
    // Other words may come first: `# theirs # netpol-lint: …`.
    let mark = text.match_indices(MARK).map(|(at, _)| at).find(|at| text[..*at].trim_end().ends_with('#'))?;
    let start = text[..mark].trim_end().len() - 1;
    let own = Span::new(span.start + start as u32, span.start + text.len() as u32);
    let instruction = text[mark + MARK.len()..].trim_start();
    let (extent, rest) = match instruction.strip_prefix("ignore-file") {
        Some(rest) => (Extent::of_file(file, span), rest),
        None => (Extent::of_comment(file, span), instruction.strip_prefix("ignore").unwrap_or_default()),
    };
    let Some((list, reason)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']'))
    else {
        let (kind, extent) = (Kind::Malformed, Extent::Nothing);
        return Some(Suppression { span: own, kind, extent, words: Vec::new(), reason: None });
    };
    let at = span.start + (list.as_ptr() as usize - text.as_ptr() as usize) as u32;
    let words = list.split([',', ' ', '\t']).filter(|word| !word.is_empty()).map(Word::new);
    Some(Suppression {
        span: own,
        kind: Kind::Comment { list: Span::new(at, at + list.len() as u32) },
        extent,
        words: words.collect(),
        reason: self::reason(reason),
    })
}

fn annotations(policy: &PolicySource) -> impl Iterator<Item = Suppression> {
    let ours = policy.metadata.annotations.iter().filter(|(key, _)| &*key.value == ANNOTATION);
    ours.map(|(key, value)| {
        let (words, reason) = listed(&value.value);
        Suppression {
            span: value.span,
            kind: Kind::Annotation { key: key.span, object: policy.span },
            extent: Extent::Object(policy.span),
            words: words.into_iter().map(Word::new).collect(),
            reason: self::reason(reason),
        }
    })
}

/// Words with commas between them, and what follows the last: `NP101, NP106 they are few`.
pub(super) fn listed(value: &str) -> (Vec<&str>, &str) {
    let mut words = Vec::new();
    let mut rest = value.trim_start();
    loop {
        let end = rest.find(|c: char| c == ',' || c == ':' || c.is_whitespace()).unwrap_or(rest.len());
        if end > 0 {
            words.push(&rest[..end]);
        }
        let after = rest[end..].trim_start();
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => return (words, after),
        }
    }
}

fn reason(text: &str) -> Option<Box<str>> {
    let text = text.trim_start_matches([':', '-', '–', '—', ' ', '\t']).trim();
    (!text.is_empty()).then(|| text.into())
}

impl Word {
    fn new(text: &str) -> Self {
        Self { text: text.into(), rules: named(text).collect(), used: false }
    }

    /// A rule that speaks of suppressions is suppressed by its own code or name only: a group that holds it has more to
    /// say than that.
    pub(super) fn covers(&self, rule: &'static Rule) -> bool {
        let own = *rule != crate::rules::unused_suppression::RULE || self.rules.len() == 1;
        own && self.rules.contains(&rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_list_words_and_a_reason() {
        for (value, words, reason) in [
            ("NP101", &["NP101"][..], ""),
            (" NP101 ,NP106 they are few, really", &["NP101", "NP106"], "they are few, really"),
            ("NP101: meant", &["NP101"], ": meant"),
            ("NP101,\nnull-item\n", &["NP101", "null-item"], ""),
            ("", &[], ""),
            (",", &[], ""),
        ] {
            assert_eq!(listed(value), (words.to_vec(), reason), "{value:?}");
        }
        assert_eq!(super::reason(": meant ").as_deref(), Some("meant"));
        assert_eq!(super::reason("  "), None);
    }
}
