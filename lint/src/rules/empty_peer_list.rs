use netpol_policy::model::Direction;

use super::unknown_field;
use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds `from` or `to` that is written and empty: `from: []`, or `from:` with nothing behind it.
    ///
    /// ## Why it matters
    /// It looks like "nobody" and means "everyone, everywhere": an empty list of peers is the same as none.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from: []
    /// ```
    ///
    /// ## Fix
    /// To allow nobody, leave the rule out. To allow everyone, leave the field out, so that it shows.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress: []
    /// ```
    NP103 "empty-peer-list" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in cx.effective_rules() {
        if !unknown_field::is_empty(&at.rule.peers) || unknown_field::emptied_peers(cx, at.rule) {
            continue;
        }
        let Some(span) = at.rule.peers.whole() else { continue };
        let field = at.direction.peer_field();
        let (who, effect) = match at.direction {
            Direction::Ingress => ("everyone may connect", "allow nobody"),
            Direction::Egress => ("every destination is open", "allow nothing"),
        };
        let ports = if at.rule.ports.value().is_some_and(|list| !list.items.is_empty()) {
            "on the ports listed"
        } else {
            "on every port"
        };
        out.report(
            span,
            at.peers_path(),
            format!("`{field}` is empty, which means no restriction: {who} {ports}"),
        )
        .label("empty")
        .help(format!("to {effect}, remove the rule; to leave peers open on purpose, remove `{field}`"));
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, default_codes, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP103", r"
policyTypes: [Ingress, Egress]
ingress: [{from: []}]
egress:
- to:
  ports: [{port: 53}]
"), @r"
        6:14 error spec.ingress[0].from: `from` is empty, which means no restriction: everyone may connect on every port
        8:5 error spec.egress[0].to: `to` is empty, which means no restriction: every destination is open on the ports listed
        ");
    }

    #[test]
    fn a_peer_at_the_wrong_depth_is_told_once() {
        let text = "podSelector: {}\npolicyTypes: [Ingress]\ningress:\n- from:\n  podSelector: {matchLabels: {a: b}}\n";
        assert_eq!(default_codes(text), ["NP002"]);
        assert!(findings("NP002", text).contains("without it the rule allows everyone on every port"));
    }

    #[test]
    fn passes() {
        clean(
            "NP103",
            r"
policyTypes: [Ingress]
ingress: [{ports: [{port: 53}]}]
egress: [{to: []}]
",
        );
    }
}
