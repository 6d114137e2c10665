//! Which rules are on.

use thiserror::Error;

use crate::finding::Severity;
use crate::registry::RULES;
use crate::rule::Rule;

/// The rules that are on. By default every error and warning; rules that only inform are on request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// One flag for each rule of [`RULES`].
    on: Vec<bool>,
    /// Comments and annotations count.
    suppressions: bool,
}

/// A word that names no rule and no group of rules.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{word}` is no rule: {}use a code (NP101), a name (split-peer-selectors), a group (NP1) or ALL",
    .suggestion.map(|name| format!("did you mean `{name}`? Or ")).unwrap_or_default()
)]
pub struct UnknownSelector {
    /// The word.
    pub word: String,
    /// The rule that looks most like it.
    pub suggestion: Option<&'static str>,
}

impl Default for Selection {
    fn default() -> Self {
        Self { on: RULES.iter().map(|rule| rule.severity > Severity::Info).collect(), suppressions: true }
    }
}

impl Selection {
    /// Only what `select` names, or the defaults when it names nothing; less what `ignore` names.
    /// Words are codes, names, prefixes of codes (`NP1` is every rule from NP100 to NP199) or `ALL`.
    pub fn new<W: AsRef<str>>(select: &[W], ignore: &[W]) -> Result<Self, UnknownSelector> {
        let mut selection = Self::default();
        if !select.is_empty() {
            selection.on.fill(false);
        }
        for (words, value) in [(select, true), (ignore, false)] {
            for word in words {
                selection.set(word.as_ref(), value)?;
            }
        }
        Ok(selection)
    }

    /// The same rules, whatever comments and annotations of the manifests say.
    #[must_use]
    pub fn disregarding_suppressions(self) -> Self {
        Self { suppressions: false, ..self }
    }

    /// Whether comments and annotations that suppress findings count.
    pub fn honours_suppressions(&self) -> bool {
        self.suppressions
    }

    /// Whether a rule is on.
    pub fn contains(&self, rule: &Rule) -> bool {
        RULES.iter().position(|known| *known == rule).is_some_and(|index| self.on[index])
    }

    /// The rules that are on.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        RULES.iter().zip(&self.on).filter(|(_, on)| **on).map(|(rule, _)| *rule)
    }

    fn set(&mut self, word: &str, value: bool) -> Result<(), UnknownSelector> {
        let mut known = false;
        for (rule, on) in RULES.iter().zip(&mut self.on) {
            if names(word, rule) {
                *on = value;
                known = true;
            }
        }
        if known { Ok(()) } else { Err(UnknownSelector { word: word.to_owned(), suggestion: nearest(word) }) }
    }
}

fn names(word: &str, rule: &Rule) -> bool {
    let prefix = word.len() >= 2 && rule.code.get(..word.len()).is_some_and(|p| p.eq_ignore_ascii_case(word));
    word.eq_ignore_ascii_case("all") || prefix || rule.name.eq_ignore_ascii_case(word)
}

/// The rules that a code, a name or a group names.
pub(crate) fn named(word: &str) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().copied().filter(move |rule| names(word, rule))
}

/// The rule name or code at the smallest distance, when it is small.
pub(crate) fn nearest(word: &str) -> Option<&'static str> {
    let words = RULES.iter().flat_map(|rule| [rule.code, rule.name]);
    netpol_policy::source::nearest(word, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(select: &[&str], ignore: &[&str]) -> Vec<&'static str> {
        Selection::new(select, ignore).unwrap().rules().map(|rule| rule.code).collect()
    }

    #[test]
    fn words() {
        assert_eq!(codes(&["NP101"], &[]), ["NP101"]);
        assert_eq!(codes(&["split-peer-selectors", "np013"], &[]), ["NP013", "NP101"]);
        assert!(codes(&["NP1"], &["NP101"]).iter().all(|code| code.starts_with("NP1") && *code != "NP101"));
        assert_eq!(codes(&["ALL"], &[]).len(), RULES.len());
        let error = Selection::new(&["split-peer-selector"], &[]).unwrap_err();
        assert_eq!(error.suggestion, Some("split-peer-selectors"));
        assert!(Selection::new(&["x"], &[]).is_err());
    }
}
