//! What findings do.

use std::collections::BTreeMap;

use netpol_lint::{Finding, RULES, Rule, RuleSelector, Selection, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a finding does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing; a rule that does nothing anywhere isn't run.
    Off,
    /// It is noted in the API server's audit log.
    Audit,
    /// Whoever sent the policy is told, and it is noted.
    Warn,
    /// The policy is refused.
    Deny,
}

/// The effect of each rule's findings, by their severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effects(Box<[[Effect; 3]]>);

/// The rules that say that a policy can't be enforced as it is: named ports that nobody has, pods on the network of their
/// node, no agent, an agent that lacks a feature.
pub(crate) const UNENFORCEABLE: [&str; 4] = ["NP506", "NP509", "NP701", "NP702"];

/// Nobody who writes a policy can do anything about this one, and it would refuse all of them at once.
const NOT_ENFORCED: &str = "NP701";

impl Default for Effects {
    fn default() -> Self {
        let usual = |rule: &&Rule| match (rule.is_default(), rule.code) {
            (true, NOT_ENFORCED) => [Effect::Off, Effect::Warn, Effect::Warn],
            (true, _) => [Effect::Off, Effect::Warn, Effect::Deny],
            (false, _) => [Effect::Off; 3],
        };
        Self(RULES.iter().map(usual).collect())
    }
}

impl Effects {
    /// What a finding does.
    pub fn of(&self, finding: &Finding) -> Effect {
        finding.rule.number().map_or(Effect::Off, |row| self.0[row][finding.severity as usize])
    }

    /// Whether findings of a rule do anything.
    pub(super) fn turns_on(&self, rule: &Rule) -> bool {
        rule.number().is_some_and(|row| self.0[row].iter().any(|effect| *effect != Effect::Off))
    }

    /// Says something else of some rules. Whatever is said here counts before what was said earlier; of several words
    /// that stand for a rule the narrowest.
    pub(super) fn set(&mut self, said: &BTreeMap<RuleSelector, Effect>, unenforceable: Option<Effect>) {
        let (of_severities, mut of_rules): (Vec<_>, Vec<_>) =
            said.iter().partition(|(word, _)| severity(word).is_some() || is_all(word));
        for (word, effect) in of_severities.iter().filter(|(word, _)| is_all(word)) {
            self.rows(word, |row| *row = [**effect; 3]);
        }
        for (word, effect) in &of_severities {
            let Some(severity) = severity(word) else { continue };
            for (rule, row) in RULES.iter().zip(&mut self.0) {
                // To turn on what only informs is one thing, posture another.
                let informs = rule.severity == Severity::Info && severity == Severity::Info;
                if rule.is_default() || informs || row.iter().any(|effect| *effect != Effect::Off) {
                    row[severity as usize] = **effect;
                }
            }
        }
        if let Some(effect) = unenforceable {
            for (_, row) in
                RULES.iter().zip(&mut self.0).filter(|(rule, _)| UNENFORCEABLE.contains(&rule.code))
            {
                *row = [effect; 3];
            }
        }
        of_rules.sort_by_key(|(word, _)| std::cmp::Reverse(word.rules().count()));
        for (word, effect) in of_rules {
            self.rows(word, |row| *row = [*effect; 3]);
        }
    }

    fn rows(&mut self, word: &RuleSelector, mut change: impl FnMut(&mut [Effect; 3])) {
        let rows = RULES.iter().zip(&mut self.0).filter(|(rule, _)| word.contains(rule));
        rows.for_each(|(_, row)| change(row));
    }
}

/// The rules that one of some effects turns on. What a policy says about its own findings doesn't count: whoever may write
/// a policy must not be able to let it in.
pub(super) fn selection(all: &[Effects]) -> Selection {
    let mut selection = Selection::none().disregarding_suppressions();
    for rule in RULES.iter().filter(|rule| all.iter().any(|effects| effects.turns_on(rule))) {
        let code: RuleSelector = rule.code.parse().expect("a code stands for its rule");
        selection.add(&code);
    }
    selection
}

fn severity(word: &RuleSelector) -> Option<Severity> {
    let all = [Severity::Info, Severity::Warning, Severity::Error];
    all.into_iter().find(|severity| word.as_str().eq_ignore_ascii_case(severity.as_str()))
}

fn is_all(word: &RuleSelector) -> bool {
    word.as_str().eq_ignore_ascii_case("all")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(said: &[(&str, Effect)], unenforceable: Option<Effect>) -> Effects {
        let mut effects = Effects::default();
        let said = said.iter().map(|(word, effect)| (word.parse().unwrap(), *effect)).collect();
        effects.set(&said, unenforceable);
        effects
    }

    fn of(effects: &Effects, code: &str) -> [Effect; 3] {
        effects.0[RULES.iter().position(|rule| rule.code == code).unwrap()]
    }

    #[test]
    fn the_narrowest_word_counts() {
        use Effect::{Audit, Deny, Off, Warn};
        let usual = effects(&[], None);
        assert_eq!(of(&usual, "NP010"), [Off, Warn, Deny]);
        assert_eq!(of(&usual, "NP701"), [Off, Warn, Warn]);
        assert_eq!(of(&usual, "NP601"), [Off; 3]);
        let said = [("error", Warn), ("NP1", Audit), ("split-peer-selectors", Deny), ("NP601", Warn)];
        let said = effects(&said, Some(Deny));
        assert_eq!(of(&said, "NP010"), [Off, Warn, Warn]);
        assert_eq!(of(&said, "NP102"), [Audit; 3]);
        assert_eq!(of(&said, "NP101"), [Deny; 3]);
        assert_eq!(of(&said, "NP601"), [Warn; 3]);
        assert_eq!(of(&said, "NP602"), [Off; 3]);
        assert_eq!(of(&said, "NP701"), [Deny; 3]);
        assert_eq!(of(&effects(&[("NP701", Off)], Some(Deny)), "NP701"), [Off; 3]);
        assert_eq!(of(&effects(&[("info", Warn)], None), "NP111"), [Warn, Off, Off]);
        assert_eq!(of(&effects(&[("ALL", Off), ("error", Warn)], None), "NP010"), [Off, Off, Warn]);
    }

    #[test]
    fn only_what_does_something_runs() {
        let quiet = effects(&[("ALL", Effect::Off), ("NP103", Effect::Deny)], None);
        let on: Vec<_> = selection(&[quiet]).rules().map(|rule| rule.code).collect();
        assert_eq!(on, ["NP103"]);
    }
}
