//! Suppressions: comments and annotations that say that a finding is known and meant.
//!
//! `# netpol-lint: ignore[NP101] reason` counts for its line or, standing alone, for what begins on the next one.
//! `# netpol-lint: ignore-file[NP101] reason` at the top counts for the file. The annotation
//! `netpol.dev/lint-ignore: NP101 reason` counts for its object: rendered charts lose their comments.

pub(crate) mod add;
mod extent;
mod read;
mod remove;
mod unused;

use netpol_policy::span::Span;
use serde::Serialize;

use self::extent::Extent;
use crate::file::SourceFile;
use crate::finding::Finding;
use crate::rule::Rule;

/// What comments of the linter begin with, after the `#`.
const MARK: &str = "netpol-lint:";

/// The annotation.
pub(crate) const ANNOTATION: &str = "netpol.dev/lint-ignore";

/// A finding that is not to be shown.
#[derive(Debug, Clone)]
pub struct Suppressed {
    /// The finding.
    pub finding: Finding,
    /// What suppresses it.
    pub by: SuppressedBy,
    /// What is said for it there.
    pub reason: Option<Box<str>>,
}

/// What suppresses a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SuppressedBy {
    /// A comment in the file.
    Comment,
    /// An annotation of the object.
    Annotation,
    /// The baseline.
    Baseline,
}

impl Suppressed {
    /// A finding of the baseline.
    pub(crate) fn known(finding: Finding) -> Self {
        Self { finding, by: SuppressedBy::Baseline, reason: None }
    }

    /// Whether it is in the baseline.
    pub fn is_known(&self) -> bool {
        self.by == SuppressedBy::Baseline
    }
}

/// The suppressions of a file.
#[derive(Debug)]
pub(crate) struct Suppressions {
    list: Vec<Suppression>,
}

/// A comment or an annotation.
#[derive(Debug)]
struct Suppression {
    /// From the `#` to the end of the comment; the annotation's value.
    span: Span,
    kind: Kind,
    extent: Extent,
    words: Vec<Word>,
    reason: Option<Box<str>>,
}

#[derive(Debug)]
enum Kind {
    Comment {
        /// What is between the brackets.
        list: Span,
    },
    /// One that can't be understood.
    Malformed,
    Annotation {
        key: Span,
        /// Of the object, which tells it from others.
        object: Span,
    },
}

/// A code, a name or a group in a suppression.
#[derive(Debug)]
struct Word {
    text: Box<str>,
    /// Empty when there is no such rule.
    rules: Vec<&'static Rule>,
    used: bool,
}

impl Suppressions {
    /// The rules that they name.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        self.list
            .iter()
            .flat_map(|suppression| &suppression.words)
            .flat_map(|word| word.rules.iter().copied())
    }

    /// Whether a finding is suppressed, and by what. Everything that suppresses it is in use from now on. `policy` is
    /// the span of the policy that it is about; a document that can't be read has none.
    pub(crate) fn take(
        &mut self,
        file: &SourceFile,
        policy: Option<Span>,
        finding: &Finding,
    ) -> Option<(SuppressedBy, Option<Box<str>>)> {
        let line = file.position(finding.place.span.start).line;
        let mut taken = None;
        for suppression in self.list.iter_mut().filter(|s| s.extent.covers(policy, line)) {
            for word in &mut suppression.words {
                if word.covers(finding.rule) {
                    word.used = true;
                    taken.get_or_insert_with(|| (suppression.kind.by(), suppression.reason.clone()));
                }
            }
        }
        taken
    }
}

impl Kind {
    fn by(&self) -> SuppressedBy {
        match self {
            Self::Comment { .. } | Self::Malformed => SuppressedBy::Comment,
            Self::Annotation { .. } => SuppressedBy::Annotation,
        }
    }
}

/// Whether a comment is one of the linter's and not about the manifest.
pub(crate) fn is_suppression(comment: &str) -> bool {
    comment.trim_start().trim_start_matches('#').trim_start().starts_with(MARK)
}
