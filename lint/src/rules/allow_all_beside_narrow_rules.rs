use netpol_policy::model::{Direction, Peers, Ports};

use super::empty_rule;
use crate::context::{Context, Reporter, RuleAt};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds empty rules, which allow everything, beside rules that allow only something.
    ///
    /// ## Why it matters
    /// Rules add up: what one allows, no other takes back. Beside a rule that allows all traffic the others have no
    /// effect, and the policy is open although it looks narrow.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    ///     - {}
    /// ```
    ///
    /// ## Fix
    /// Remove the rule that allows everything, or the others.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    NP114 "allow-all-beside-narrow-rules" {
        severity: Warning,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for direction in Direction::ALL {
        let of_direction = || cx.effective_rules().filter(move |at| at.direction == direction);
        let Some(open) = of_direction().find(|at| empty_rule::is_empty(at.rule)) else { continue };
        let narrow: Vec<_> = of_direction().filter(|at| is_narrow(cx, at)).collect();
        let others = match narrow.len() {
            0 => continue,
            1 => "the other rule has".to_owned(),
            n => format!("the {n} other rules have"),
        };
        let finding = out.report(
            open.head(cx.file),
            open.path(),
            format!("this empty rule allows all {direction}, so that {others} no effect"),
        );
        finding.label("allows everything");
        for at in narrow.iter().take(SHOWN) {
            finding.near(at.head(cx.file), "no effect");
        }
        finding.help("remove the empty rule to keep the others, or the others if everything is to be open");
    }
}

/// Whether this rule speaks of an empty rule, so that others needn't.
pub(super) fn explains(cx: &Context<'_>, empty: RuleAt<'_>) -> bool {
    cx.selection.contains(&RULE)
        && cx.effective_rules().any(|at| at.direction == empty.direction && is_narrow(cx, &at))
}

/// Rules without effect that a finding points at.
const SHOWN: usize = 3;

/// Whether a rule leaves something out. One that looks narrow and allows everything, because a list is empty or a
/// field unknown, is a mistake of its own.
fn is_narrow(cx: &Context<'_>, at: &RuleAt<'_>) -> bool {
    let rules = cx.policy.model.as_ref().and_then(|model| model.rules(at.direction));
    rules
        .and_then(|rules| rules.get(at.index))
        .is_some_and(|rule| rule.peers != Peers::All || rule.ports != Ports::All)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, default_codes, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP114", r"
policyTypes: [Ingress, Egress]
ingress:
- {}
- ports: [{port: 80}]
- from: [{podSelector: {}}]
egress:
- to: [{podSelector: {}}]
- {}
- {}
"), @r"
        7:3 warning spec.ingress[0]: this empty rule allows all ingress, so that the 2 other rules have no effect
        12:3 warning spec.egress[1]: this empty rule allows all egress, so that the other rule has no effect
        ");
    }

    #[test]
    fn the_empty_rule_is_told_once() {
        let text = "podSelector: {}\npolicyTypes: [Ingress]\ningress: [{}, {ports: [{port: 80}]}]\n";
        assert_ne!(findings("NP104", text), "", "alone it counts");
        assert_eq!(default_codes(text), ["NP114"]);
    }

    #[test]
    fn passes() {
        for text in [
            "policyTypes: [Ingress]\ningress: [{}, {}]\negress: [{}, {ports: [{port: 80}]}]\n",
            "policyTypes: [Ingress]\ningress: [{ports: [{port: 80}]}, {from: [{podSelector: {}}]}]\n",
            "policyTypes: [Ingress]\ningress: [{to: [{podSelector: {}}]}, {ports: [{port: 80}]}]\n",
            "policyTypes: [Ingress]\ningress: [{from: []}, {ports: [{port: 80}]}]\n",
        ] {
            clean("NP114", text);
        }
    }
}
