//! Rules that are off in some files.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use thiserror::Error;

use crate::select::{RuleSelector, Selection};

/// Which files, written as in `.gitignore`: `*.gen.yaml` anywhere, `legacy/` with all that is in it,
/// `/deploy/**/test.yaml` from the folder of the configuration on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(Box<str>);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It would match nothing.
    #[error("an empty pattern matches nothing")]
    Empty,
    /// Exceptions would depend on the order.
    #[error("`{0}`: patterns with `!` are not supported here")]
    Negated(Box<str>),
    /// Brackets or braces are wrong.
    #[error("`{pattern}` is no pattern of files: {reason}")]
    Glob {
        /// The text.
        pattern: Box<str>,
        /// What is wrong with it.
        reason: String,
    },
}

/// Patterns in a folder.
#[derive(Debug, Clone)]
pub struct Patterns {
    matcher: Gitignore,
}

/// Files with the rules that are off in them.
#[derive(Debug, Clone, Default)]
pub struct PerFileIgnores(Vec<(Patterns, Vec<RuleSelector>)>);

impl Pattern {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        // A slash alone would be every file, but not in a `.gitignore`.
        if text.trim_matches([' ', '/']).is_empty() || text.starts_with('#') {
            return Err(PatternError::Empty);
        }
        if text.starts_with('!') {
            return Err(PatternError::Negated(text.into()));
        }
        let mut builder = GitignoreBuilder::new("");
        let wrong = |error: &ignore::Error| {
            let reason = match error {
                ignore::Error::Glob { err, .. } => err.clone(),
                other => other.to_string(),
            };
            PatternError::Glob { pattern: text.into(), reason }
        };
        // By itself it takes a bracket that isn't closed for a character.
        builder.allow_unclosed_class(false);
        builder.add_line(None, text).map_err(|error| wrong(&error))?;
        builder.build().map_err(|error| wrong(&error))?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Patterns {
    /// Some patterns, relative to an absolute folder.
    pub fn new<'p>(folder: &Path, patterns: impl IntoIterator<Item = &'p Pattern>) -> Self {
        let mut builder = GitignoreBuilder::new(folder);
        for pattern in patterns {
            builder.add_line(None, &pattern.0).expect("patterns are checked when they are made");
        }
        Self { matcher: builder.build().expect("patterns are checked when they are made") }
    }

    /// Whether one of them means an absolute path to a file, or a folder around it.
    pub fn matches(&self, path: &Path) -> bool {
        path.starts_with(self.matcher.path())
            && self.matcher.matched_path_or_any_parents(path, false).is_ignore()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.matcher.is_empty()
    }
}

impl PerFileIgnores {
    /// Adds files.
    pub fn add(&mut self, files: Patterns, rules: Vec<RuleSelector>) {
        self.0.push((files, rules));
    }

    /// What is left of a selection in a file.
    pub(super) fn apply<'s>(&self, selection: &'s Selection, file: &str) -> Cow<'s, Selection> {
        let mut selection = Cow::Borrowed(selection);
        if self.0.is_empty() {
            return selection;
        }
        let path = absolute(Path::new(file));
        for (files, rules) in &self.0 {
            if files.matches(&path) {
                rules.iter().for_each(|rules| selection.to_mut().remove(rules));
            }
        }
        selection
    }
}

/// A path from the root on, without `.` and `..`. Links are not followed.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    use std::path::Component;
    // The folder of a file in the current folder.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // Fails without a current folder; a relative path then matches nothing.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = clean.pop(),
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let matches = |pattern: &str, path: &str| {
            Patterns::new(Path::new("/repo"), [&pattern.parse::<Pattern>().unwrap()])
                .matches(&absolute(Path::new(path)))
        };
        for (pattern, path, expected) in [
            ("*.gen.yaml", "/repo/a/b.gen.yaml", true),
            ("*.gen.yaml", "/repo/a/b.yaml", false),
            ("legacy/", "/repo/apps/legacy/x/y.yaml", true),
            ("/legacy", "/repo/apps/legacy/y.yaml", false),
            ("apps/*/test.yaml", "/repo/apps/a/test.yaml", true),
            ("apps/**/test.yaml", "/repo/apps/a/b/../test.yaml", true),
            ("test.yaml", "/elsewhere/test.yaml", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn refused() {
        for pattern in ["", "  ", "!a", "{a"] {
            let error = pattern.parse::<Pattern>().unwrap_err();
            assert!(!error.to_string().is_empty());
        }
    }
}
