use crate::context::{Context, Reporter, RuleAt};
use crate::edits::join_items;
use crate::file::SourceFile;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds a rule with peers and no ports directly followed by a rule with ports and no peers.
    ///
    /// ## Why it matters
    /// Each item of `ingress` or `egress` is a rule of its own, and rules add up: the first allows its peers on every
    /// port, the second allows everyone on its ports. Most often one dash too many made two wide rules of one narrow one.
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
    ///     - ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` makes one rule of the two. Where both are meant, say so with a comment on each of them.
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
    NP102 "split-peers-and-ports" {
        severity: Warning,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let rules: Vec<_> = cx.effective_rules().collect();
    for pair in rules.windows(2) {
        let [peers, ports] = pair else { continue };
        if !is_split(cx, peers, ports) {
            continue;
        }
        let field = peers.direction.peer_field();
        let fix =
            join_items(&cx.file.text, peers.item, ports.item).filter(|_| !peers.shared && !ports.shared);
        let fix =
            fix.map(|edits| Fix::changing("make one rule of the two", edits).expecting(joined(cx, peers)));
        out.report(
            ports.head(cx.file),
            ports.path(),
            format!(
                "these ports are open to every peer, and the rule before allows its peers every port; \
                 one rule would need `{field}` and `ports` without a dash between"
            ),
        )
        .label("a second rule begins here")
        .near(peers.head(cx.file), "peers, on every port")
        .help(format!(
            "remove the dash before `ports` to allow only the peers of `{field}`, and only on these ports"
        ))
        .fix(fix);
    }
}

/// Whether this rule has something to say about one of the rules of a direction, so that others needn't.
pub(super) fn explains(cx: &Context<'_>, rules: &[RuleAt<'_>], index: usize) -> bool {
    let first = index.saturating_sub(1);
    rules[first..].windows(2).take(index + 1 - first).any(|pair| is_split(cx, &pair[0], &pair[1]))
}

/// Whether two rules are probably one that was taken apart.
fn is_split(cx: &Context<'_>, peers: &RuleAt<'_>, ports: &RuleAt<'_>) -> bool {
    let adjacent = peers.direction == ports.direction && peers.index + 1 == ports.index;
    adjacent && has_only_peers(peers) && has_only_ports(ports) && !both_commented(cx.file, peers, ports)
}

fn has_only_peers(at: &RuleAt<'_>) -> bool {
    at.rule.peers.value().is_some_and(|list| !list.items.is_empty())
        && at.rule.ports.is_absent()
        && at.rule.wrong_peers.is_none()
        && at.rule.stray.is_empty()
}

fn has_only_ports(at: &RuleAt<'_>) -> bool {
    at.rule.ports.value().is_some_and(|list| !list.items.is_empty())
        && at.rule.peers.is_absent()
        && at.rule.wrong_peers.is_none()
        && at.rule.stray.is_empty()
}

/// Somebody who comments on each of two items means two.
fn both_commented(file: &SourceFile, first: &RuleAt<'_>, second: &RuleAt<'_>) -> bool {
    super::comments::on_item(file, first.item) && super::comments::on_item(file, second.item)
}

/// The policy with the rule and the one after it as one.
fn joined(cx: &Context<'_>, first: &RuleAt<'_>) -> Option<netpol_policy::model::NetworkPolicy> {
    let mut policy = cx.policy.model.as_deref().cloned()?;
    let rules = match first.direction {
        netpol_policy::model::Direction::Ingress => policy.ingress.as_mut()?,
        netpol_policy::model::Direction::Egress => policy.egress.as_mut()?,
    };
    if first.index + 1 >= rules.len() {
        return None;
    }
    rules[first.index].ports = rules.remove(first.index + 1).ports;
    Some(policy)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP102", r"
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {}}]
- ports: [{port: 80}]
"), @"8:3 warning spec.ingress[1]: these ports are open to every peer, and the rule before allows its peers every port; one rule would need `from` and `ports` without a dash between");
        insta::assert_snapshot!(findings("NP102", r"
policyTypes: [Egress]
egress: [{to: [{podSelector: {}}]}, {ports: [{port: 80}]}, {ports: [{port: 81}]}]
"), @"6:39 warning spec.egress[1]: these ports are open to every peer, and the rule before allows its peers every port; one rule would need `to` and `ports` without a dash between");
    }

    #[test]
    fn passes() {
        for text in [
            r"
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {}}]
  ports: [{port: 80}]
- ports: [{port: 80}]
- from: [{podSelector: {}}]
",
            r"
policyTypes: [Ingress]
ingress:
# ours, everything
- from: [{podSelector: {}}]
# everyone, the web
- ports: [{port: 80}]
",
        ] {
            clean("NP102", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP102", r"
policyTypes: [Ingress]
ingress:
  - from:
      - podSelector: {}
  # the web
  - ports:
      - port: 80
        protocol: TCP
"), @r"
        policyTypes: [Ingress]
        ingress:
          - from:
              - podSelector: {}
          # the web
            ports:
              - port: 80
                protocol: TCP
        ");
        insta::assert_snapshot!(fixed("NP102", r"
policyTypes: [Egress]
egress: [{to: [{podSelector: {}}]}, {ports: [{port: 80}]}]
"), @r"
        policyTypes: [Egress]
        egress: [{to: [{podSelector: {}}], ports: [{port: 80}]}]
        ");
    }
}
