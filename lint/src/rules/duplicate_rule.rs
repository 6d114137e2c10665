use std::collections::HashMap;

use netpol_policy::model::{Direction, Rule};

use super::redundancy;
use crate::context::{Context, Reporter, RuleAt};
use crate::edits::remove_item;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds rules that are in a policy twice, and peers that are in a rule twice. Order and spelling don't matter: a
    /// protocol left to its default is TCP, `matchLabels` is short for `In` with one value.
    ///
    /// ## Why it matters
    /// The repeat has no effect. Often it is a copy that somebody forgot to change, and what should have been allowed
    /// is denied; and who tightens one of the two later has tightened nothing.
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
    ///         - port: 5432
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    ///
    /// ## Fix
    /// `--fix` removes the repeat, unless it has a comment or an anchor.
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
    ///         - port: 5432
    /// ```
    NP402 "duplicate-rule" {
        severity: Warning,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let model = cx.policy.model.as_ref().filter(|_| redundancy::is_as_it_seems(cx));
    let Some(model) = model else { return };
    for direction in Direction::ALL {
        let rules = model.rules(direction).unwrap_or_default();
        let places: Vec<_> = cx.effective_rules().filter(|at| at.direction == direction).collect();
        if places.len() != rules.len() {
            continue;
        }
        let repeats = if rules.len() <= FEW {
            firsts(rules, redundancy::same_rule)
        } else {
            repeats(rules.iter().map(redundancy::content))
        };
        for (at, rule) in places.iter().zip(rules) {
            match repeats[at.index] {
                Some(first) => report_rule(cx, out, at, &places[first]),
                None => check_peers(cx, out, at, rule),
            }
        }
    }
}

fn check_peers(cx: &Context<'_>, out: &mut Reporter<'_>, at: &RuleAt<'_>, rule: &Rule) {
    let peers = rule.peers.items();
    if peers.len() < 2 {
        return;
    }
    let repeats = if peers.len() <= FEW { firsts(peers, PartialEq::eq) } else { repeats(peers.iter()) };
    let places: Vec<_> = at.peers().collect();
    for (peer, first) in places.iter().zip(repeats).filter_map(|(peer, first)| Some((peer, first?))) {
        let message = format!("this peer repeats `{}`: {}", places[first].path(), peers[first]);
        let edits = redundancy::remove_peer(cx, peer);
        let finding = out.report(peer.head(cx.file), peer.path(), message);
        finding.label("again").near(places[first].head(cx.file), "the same peer");
        finding.help("remove one of the two, or correct it").fix(edits.map(fix));
    }
}

fn report_rule(cx: &Context<'_>, out: &mut Reporter<'_>, at: &RuleAt<'_>, first: &RuleAt<'_>) {
    let edits =
        redundancy::editable_list(cx, at.direction).and_then(|list| remove_item(cx.file, list, at.index));
    let message = format!("this rule repeats `{}`", first.path());
    let finding = out.report(at.head(cx.file), at.path(), message);
    finding.label("again").near(first.head(cx.file), "the same rule");
    finding.help("remove one of the two, or correct it").fix(edits.map(fix));
}

fn fix(edits: Vec<crate::finding::Edit>) -> Fix {
    Fix::safe("remove the repeat", edits)
}

/// For each item the first one that is equal, if one came before.
fn repeats<T: std::hash::Hash + Eq>(items: impl ExactSizeIterator<Item = T>) -> Vec<Option<usize>> {
    let mut seen = HashMap::new();
    let first = |(index, item)| {
        let first = *seen.entry(item).or_insert(index);
        (first != index).then_some(first)
    };
    items.enumerate().map(first).collect()
}

/// The same by comparing each with those before it.
fn firsts<T>(items: &[T], same: impl Fn(&T, &T) -> bool) -> Vec<Option<usize>> {
    let first = |index: usize| items[..index].iter().position(|item| same(item, &items[index]));
    (0..items.len()).map(first).collect()
}

/// So many are compared with each other sooner than they are hashed.
const FEW: usize = 8;

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP402", r"
policyTypes: [Ingress, Egress]
ingress:
- from: [{podSelector: {}}, {namespaceSelector: {}}]
  ports: [{port: 80}, {port: 81}]
- ports: [{port: 82}]
- from: [{namespaceSelector: {}}, {podSelector: {}}, {podSelector: {}}]
  ports: [{port: 81}, {port: 80, protocol: TCP}]
egress:
- to:
  - podSelector: {matchLabels: {app: db}}
  - ipBlock: {cidr: 10.0.0.0/8}
  - podSelector: {matchExpressions: [{key: app, operator: In, values: [db]}]}
  - ipBlock: {cidr: 10.0.0.0/8}
- {}
- {}
"), @r"
        10:3 warning spec.ingress[2]: this rule repeats `spec.ingress[0]`
        16:5 warning spec.egress[0].to[2]: this peer repeats `spec.egress[0].to[0]`: pods app=db of this namespace
        17:5 warning spec.egress[0].to[3]: this peer repeats `spec.egress[0].to[1]`: 10.0.0.0/8
        19:3 warning spec.egress[2]: this rule repeats `spec.egress[1]`
        ");
    }

    #[test]
    fn passes() {
        for text in [
            "policyTypes: [Ingress]\ningress: [{from: [{podSelector: {}}]}, {from: [{namespaceSelector: {}}]}]\n",
            "policyTypes: [Ingress]\ningress: [{ports: [{port: 80}]}, {ports: [{port: 80, protocol: UDP}]}]\n",
            "policyTypes: [Ingress]\negress: [{}, {}]\n",
            "policyTypes: [Ingress]\ningress: [null, null]\n",
            "policyTypes: [Ingress]\ningress: [{to: [{podSelector: {}}]}, {}]\n",
            "policyTypes: [Ingress, Egress]\ningress: [{ports: [{port: 80}]}]\negress: [{ports: [{port: 80}]}]\n",
        ] {
            clean("NP402", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP402", r"
policyTypes: [Ingress]
ingress:
  - ports:
      - port: 80
  - from: # ours
      - podSelector: {}
      - podSelector: {}
      # for the office
      - podSelector: {}
  - ports: [{port: 80, protocol: TCP}]
  - {ports: [{port: 80}]} # why?
"), @r"
        policyTypes: [Ingress]
        ingress:
          - ports:
              - port: 80
          - from: # ours
              - podSelector: {}
              # for the office
              - podSelector: {}
          - {ports: [{port: 80}]} # why?
        ");
        insta::assert_snapshot!(fixed("NP402", r#"
{"policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}, {"podSelector": {}}]}, {"from": [{"podSelector": {}}]}, {"ports": [{"port": 80}]}]}
"#), @r#"{"policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}, {"ports": [{"port": 80}]}]}"#);
    }

    #[test]
    fn aliases_keep_their_anchors() {
        insta::assert_snapshot!(fixed("NP402", r"
policyTypes: [Ingress, Egress]
ingress:
- &web
  ports: [{port: 80}]
- *web
- from: &ours [{podSelector: {}}, {podSelector: {}}]
egress:
- to: *ours
- &out {ports: [{port: 1}]}
- &again {ports: [{port: 1}]}
- *again
"), @r"
        policyTypes: [Ingress, Egress]
        ingress:
        - &web
          ports: [{port: 80}]
        - from: &ours [{podSelector: {}}]
        egress:
        - to: *ours
        - &out {ports: [{port: 1}]}
        - &again {ports: [{port: 1}]}
        ");
    }
}
