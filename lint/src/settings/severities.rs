//! Severities other than the rules' own.

use std::collections::BTreeMap;

use crate::finding::Severity;
use crate::rule::Rule;
use crate::select::RuleSelector;

/// Rules whose findings all have a severity that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Severities(BTreeMap<&'static str, Severity>);

impl Severities {
    /// Sets the severity of rules. A later call wins over an earlier one.
    pub fn set(&mut self, rules: &RuleSelector, severity: Severity) {
        self.0.extend(rules.rules().map(|rule| (rule.code, severity)));
    }

    /// The severity that was asked for.
    pub fn of(&self, rule: &Rule) -> Option<Severity> {
        self.0.get(rule.code).copied()
    }

    /// Nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
