//! Which rules are on.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::finding::Severity;
use crate::registry::RULES;
use crate::rule::Rule;

/// The rules that are on. By default those of which [`Rule::is_default`] is true.
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
    "`{word}` is no rule: {}use a code (NP101), a name (split-peer-selectors), a group (NP1), a severity (info) or ALL",
    .suggestion.map(|name| format!("did you mean `{name}`? Or ")).unwrap_or_default()
)]
pub struct UnknownSelector {
    /// The word.
    pub word: String,
    /// The rule that looks most like it.
    pub suggestion: Option<&'static str>,
}

/// A word that stands for rules: a code (`NP101`), a name (`split-peer-selectors`), a group (`NP1`), a severity (`info`)
/// or `ALL`. In any case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleSelector(Box<str>);

impl Default for Selection {
    fn default() -> Self {
        Self { on: RULES.iter().map(|rule| rule.is_default()).collect(), suppressions: true }
    }
}

impl Selection {
    /// Only what `select` names, or the defaults when it names nothing; less what `ignore` names.
    /// Words are codes, names, prefixes of codes (`NP1` is every rule from NP100 to NP199),
    /// severities (`info` is every rule that only informs) or `ALL`.
    pub fn new<W: AsRef<str>>(select: &[W], ignore: &[W]) -> Result<Self, UnknownSelector> {
        let parse = |words: &[W]| {
            words.iter().map(|word| word.as_ref().parse()).collect::<Result<Vec<RuleSelector>, _>>()
        };
        let (select, ignore) = (parse(select)?, parse(ignore)?);
        let mut selection = if select.is_empty() { Self::default() } else { Self::none() };
        select.iter().for_each(|word| selection.add(word));
        ignore.iter().for_each(|word| selection.remove(word));
        Ok(selection)
    }

    /// No rule.
    pub fn none() -> Self {
        Self { on: vec![false; RULES.len()], suppressions: true }
    }

    /// Turns rules on.
    pub fn add(&mut self, rules: &RuleSelector) {
        self.set(rules, true);
    }

    /// Turns rules off.
    pub fn remove(&mut self, rules: &RuleSelector) {
        self.set(rules, false);
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
        rule.number().is_some_and(|number| self.on[number])
    }

    /// The rules that are on.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        RULES.iter().zip(&self.on).filter(|(_, on)| **on).map(|(rule, _)| *rule)
    }

    fn set(&mut self, rules: &RuleSelector, value: bool) {
        for (rule, on) in RULES.iter().zip(&mut self.on) {
            if rules.contains(rule) {
                *on = value;
            }
        }
    }
}

impl RuleSelector {
    /// Whether it stands for a rule.
    pub fn contains(&self, rule: &Rule) -> bool {
        let word = &*self.0;
        let prefix =
            word.len() >= 2 && rule.code.get(..word.len()).is_some_and(|p| p.eq_ignore_ascii_case(word));
        prefix
            || word.eq_ignore_ascii_case("all")
            || word.eq_ignore_ascii_case(rule.name)
            || word.eq_ignore_ascii_case(rule.severity.as_str())
    }

    /// The rules that it stands for.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        RULES.iter().copied().filter(|rule| self.contains(rule))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RuleSelector {
    type Err = UnknownSelector;

    fn from_str(word: &str) -> Result<Self, UnknownSelector> {
        let selector = Self(word.into());
        let severity = Severity::ALL.iter().any(|severity| severity.as_str().eq_ignore_ascii_case(word));
        if severity || selector.rules().next().is_some() {
            return Ok(selector);
        }
        Err(UnknownSelector { word: word.to_owned(), suggestion: nearest(word) })
    }
}

/// The rules that a code, a name or a group names.
pub(crate) fn named(word: &str) -> impl Iterator<Item = &'static Rule> {
    let selector = RuleSelector(word.into());
    RULES.iter().copied().filter(move |rule| selector.contains(rule))
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
