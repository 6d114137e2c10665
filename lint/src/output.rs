//! How findings are shown.

pub mod concise;
pub(crate) mod excerpt;
mod fingerprint;
mod format;
pub mod full;
pub mod github;
pub mod gitlab;
pub mod grouped;
pub mod json;
pub mod junit;
pub(crate) mod printable;
pub mod rdjson;
pub mod sarif;
pub mod statistics;
mod uri;

use crate::check::Report;
use crate::finding::Severity;

pub use format::Format;

/// Numbers of findings by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Errors.
    pub errors: usize,
    /// Warnings.
    pub warnings: usize,
    /// The rest.
    pub infos: usize,
}

impl Counts {
    /// Counts the findings of a report.
    pub fn of(report: &Report) -> Self {
        let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            infos: count(Severity::Info),
        }
    }

    /// All together.
    pub fn total(self) -> usize {
        self.errors + self.warnings + self.infos
    }
}

/// `1 error`, `3 errors`.
pub(crate) fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// `2 errors and 1 warning`.
impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = [(self.errors, "error"), (self.warnings, "warning"), (self.infos, "note")];
        let words: Vec<_> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| plural(*count, word)).collect();
        f.write_str(&crate::words::list(&words))
    }
}
