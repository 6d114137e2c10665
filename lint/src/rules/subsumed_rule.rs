use netpol_policy::cover::Cover;
use netpol_policy::model::{Direction, Peers, Ports, Rule};

use super::redundancy::{self, PeerIndex};
use super::{split_peer_selectors, split_peers_and_ports};
use crate::context::{Context, Reporter, RuleAt};
use crate::edits::remove_item;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds rules that another rule of the same policy covers: each of its peers is among the other one's peers, each of
    /// its ports among the other one's ports. This is decided by what selectors, blocks and port ranges mean, not by how
    /// they are written. Rules beside one that allows everything are left to NP114, repeats to NP402.
    ///
    /// ## Why it matters
    /// Rules add up, so the narrow one changes nothing: whoever believes that it restricts something is wrong. Either the
    /// wide rule is wider than it was meant to be, or the narrow one is a leftover.
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
    ///         - podSelector: {}
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    ///
    /// ## Fix
    /// Narrow the wide rule if it allows too much. Otherwise `--fix` removes the covered one, unless it has a comment or
    /// an anchor.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {}
    /// ```
    NP403 "subsumed-rule" {
        severity: Warning,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = &cx.policy.model else { return };
    for direction in Direction::ALL {
        let rules = model.rules(direction).unwrap_or_default();
        if rules.len() < 2 {
            continue;
        }
        let Some(cover) = redundancy::cover(cx) else { return };
        let places: Vec<_> = cx.effective_rules().filter(|at| at.direction == direction).collect();
        if places.len() != rules.len() {
            continue;
        }
        for (inner, outer) in covered(cx, &cover, rules, &places) {
            // A repeat is told as such.
            if !redundancy::same_rule(&rules[inner], &rules[outer]) {
                report(cx, out, &places[inner], &places[outer]);
            }
        }
    }
}

/// The rules that others cover, each with that other one.
fn covered(cx: &Context<'_>, cover: &Cover, rules: &[Rule], places: &[RuleAt<'_>]) -> Vec<(usize, usize)> {
    let covers = |outer: usize, inner: usize| {
        cover.rule(&rules[outer], &rules[inner]) && is_deliberate(cx, rules, places, outer)
    };
    // A rule without any possible peer allows nothing, which is another matter.
    let is_empty = |rule: &Rule| match &rule.peers {
        Peers::All => false,
        Peers::Only(peers) => peers.iter().all(|peer| cover.is_empty(peer)),
    };
    if rules.len() <= FEW {
        let all = |inner: usize| if is_empty(&rules[inner]) { 0..0 } else { 0..rules.len() };
        return redundancy::redundant(rules.len(), all, covers);
    }
    let peers = rules.iter().enumerate();
    let peers = peers.flat_map(|(index, rule)| rule.peers.items().iter().map(move |peer| (index, peer)));
    let index = PeerIndex::new(cx.written_namespace(), peers);
    let for_everyone: Vec<_> = (0..rules.len()).filter(|index| rules[*index].peers == Peers::All).collect();
    let candidates = |inner: usize| {
        let first = rules[inner].peers.items().iter().find(|peer| !cover.is_empty(peer));
        let found = first.map(|peer| index.candidates(peer)).into_iter().flatten();
        let none = is_empty(&rules[inner]);
        let everyone = for_everyone.iter().copied().filter(move |_| !none);
        everyone.chain(found)
    };
    redundancy::redundant(rules.len(), candidates, covers)
}

/// So many rules are compared with each other sooner than an index of their peers is made.
const FEW: usize = 8;

/// Whether a rule is as wide as it is on purpose, as far as one can tell. Where it isn't, another rule of the linter
/// says so, and the narrow rules next to it are probably what was meant.
fn is_deliberate(cx: &Context<'_>, rules: &[Rule], places: &[RuleAt<'_>], index: usize) -> bool {
    let at = &places[index];
    let allows_all = rules[index].peers == Peers::All && rules[index].ports == Ports::All;
    !(allows_all
        || redundancy::is_empty_list(&at.rule.peers)
        || redundancy::is_empty_list(&at.rule.ports)
        || split_peers_and_ports::explains(cx, places, index)
        || at.peers().any(|peer| split_peer_selectors::explains(cx, &peer)))
}

fn report(cx: &Context<'_>, out: &mut Reporter<'_>, at: &RuleAt<'_>, outer: &RuleAt<'_>) {
    let list = redundancy::editable_list(cx, at.direction);
    let edits = list.and_then(|list| remove_item(cx.file, list, at.index));
    let message =
        format!("this rule changes nothing: `{}` already allows everything that it does", outer.path());
    let finding = out.report(at.head(cx.file), at.path(), message);
    finding.label("covered").near(outer.head(cx.file), "allows this and more");
    finding.help("narrow the wide rule if it allows too much, or remove the covered one");
    finding.fix(edits.map(|edits| Fix::safe("remove the covered rule", edits)));
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP403", r"
policyTypes: [Ingress, Egress]
ingress:
- from: [{podSelector: {matchLabels: {app: api}}}]
  ports: [{port: 80}]
- from: [{namespaceSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]
  ports: [{port: 80, endPort: 90}, {protocol: UDP}]
- from: [{ipBlock: {cidr: 10.2.0.0/16}}, {podSelector: {}}]
  ports: [{port: 81}, {port: dns, protocol: UDP}]
- from: [{ipBlock: {cidr: 10.0.0.0/15}}]
  ports: [{port: 81}]
egress:
- ports: [{port: 443}]
- to: [{ipBlock: {cidr: 10.0.0.0/8}}]
  ports: [{port: 443}]
- to: [{podSelector: {}}]
- to: [{podSelector: {}, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]
"), @r"
        7:3 warning spec.ingress[0]: this rule changes nothing: `spec.ingress[1]` already allows everything that it does
        11:3 warning spec.ingress[2]: this rule changes nothing: `spec.ingress[1]` already allows everything that it does
        17:3 warning spec.egress[1]: this rule changes nothing: `spec.egress[0]` already allows everything that it does
        20:3 warning spec.egress[3]: this rule changes nothing: `spec.egress[2]` already allows everything that it does
        ");
    }

    #[test]
    fn passes() {
        for text in [
            // NP402 and NP114.
            "policyTypes: [Ingress]\ningress: [{ports: [{port: 80}]}, {ports: [{port: 80, protocol: TCP}]}]\n",
            "policyTypes: [Ingress]\ningress: [{}, {ports: [{port: 80}]}]\n",
            // NP103, NP101 and NP102.
            "policyTypes: [Ingress]\ningress: [{from: [], ports: [{port: 80}]}, {from: [{podSelector: {}}], ports: [{port: 80}]}]\n",
            r"
policyTypes: [Ingress]
ingress:
- from: [{namespaceSelector: {}}, {podSelector: {matchLabels: {app: api}}}]
- from: [{namespaceSelector: {matchLabels: {team: a}}}]
",
            r"
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {matchLabels: {app: web}}}]
- ports: [{port: 80}]
- from: [{podSelector: {matchLabels: {app: api}}}]
  ports: [{port: 80}]
",
            // Neither covers the other.
            "policyTypes: [Ingress]\ningress: [{from: [{podSelector: {}}]}, {ports: [{port: 80}]}, {from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]\n",
            // No traffic is two directions, and nothing is covered by a rule without effect.
            "policyTypes: [Ingress]\ningress: [{ports: [{port: 80}]}]\negress: [{ports: [{port: 80}, {port: 81}]}, {ports: [{port: 80}]}]\n",
            // NP201: nobody.
            "policyTypes: [Ingress]\ningress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: Exists}, {key: a, operator: DoesNotExist}]}}]}, {from: [{podSelector: {}}]}]\n",
        ] {
            clean("NP403", text);
        }
    }

    #[test]
    fn without_a_namespace_names_of_namespaces_say_nothing() {
        let policy = |metadata: &str| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {metadata}\nspec:\n  ingress:\n  \
                 - from: [{{podSelector: {{}}}}]\n  - from: [{{namespaceSelector: {{matchLabels: \
                 {{kubernetes.io/metadata.name: default}}}}, podSelector: {{matchLabels: {{a: b}}}}}}]\n"
            )
        };
        clean("NP403", &policy("{name: p}"));
        assert_ne!(findings("NP403", &policy("{name: p, namespace: default}")), "");
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP403", r"
policyTypes: [Ingress]
ingress:
  - from:
      - podSelector:
          matchLabels: {app: api}
    ports:
      - port: 80

  # everybody here
  - from:
      - podSelector: {}
  - from: [{podSelector: {matchLabels: {app: web}}}] # the web
  -
    from: [{podSelector: {matchLabels: {app: api}}}]
"), @r"
        policyTypes: [Ingress]
        ingress:

          # everybody here
          - from:
              - podSelector: {}
          - from: [{podSelector: {matchLabels: {app: web}}}] # the web
        ");
        insta::assert_snapshot!(fixed("NP403", "policyTypes: [Ingress]\r\ningress:\r\n- ports: [{port: 1}]\r\n- ports: [{port: 1, endPort: 2}]\r\n"), @r"
        policyTypes: [Ingress]
        ingress:
        - ports: [{port: 1, endPort: 2}]
        ");
        insta::assert_snapshot!(fixed("NP403", r"
policyTypes: [Egress]
egress: [{ports: [{port: 80}]}, {to: [{podSelector: {}}], ports: [{port: 80}]}, {to: [{podSelector: {}}], ports: [{port: 80}, {port: 81}]}]
"), @r"
        policyTypes: [Egress]
        egress: [{ports: [{port: 80}]}, {to: [{podSelector: {}}], ports: [{port: 80}, {port: 81}]}]
        ");
    }
}
