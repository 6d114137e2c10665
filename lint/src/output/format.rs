//! The forms of the output.

use clap::ValueEnum;

/// A form of the output of `netpol-lint check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// The text around each finding, with explanations
    #[default]
    Full,
    /// One line for each finding
    Concise,
    /// One line for each finding under the name of its file
    Grouped,
    /// A JSON list
    Json,
    /// SARIF 2.1.0, for code hosts and editors
    Sarif,
    /// Annotations of GitHub Actions
    Github,
    /// A code quality report of GitLab
    Gitlab,
    /// JUnit's XML
    Junit,
    /// The Reviewdog Diagnostic Format
    Rdjson,
}

impl Format {
    /// For people: a summary goes with it.
    pub(crate) fn has_summary(self) -> bool {
        matches!(self, Self::Full | Self::Grouped)
    }
}
