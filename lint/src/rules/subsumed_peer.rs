use netpol_policy::model::Peer;

use super::{redundancy, split_peer_selectors};
use crate::context::{Context, Reporter};
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds peers whose pods are all among those of another peer of the same rule, whatever pods there are. Selectors are
    /// compared by what they mean, `matchExpressions` included, and so are the policy's own namespace and its name.
    /// Blocks of addresses are left to NP310, repeats to NP402.
    ///
    /// ## Why it matters
    /// Peers add up, so the narrow one changes nothing: whoever believes that it restricts something is wrong. Either the
    /// wide peer is wider than it was meant to be, or the narrow one is a leftover.
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
    ///         - podSelector: {matchLabels: {app: api}}
    /// ```
    ///
    /// ## Fix
    /// Narrow the wide peer if it allows too much. Otherwise `--fix` removes the covered one, unless it has a comment or
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
    NP404 "subsumed-peer" {
        severity: Warning,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    redundancy::covered_peers(cx, |inner, outer| {
        if let Peer::Block(_) = inner.peer {
            return;
        }
        // Two items that should be one are told as such.
        if [&inner, &outer].iter().any(|peer| split_peer_selectors::explains(cx, &peer.at)) {
            return;
        }
        let message = format!("this peer changes nothing: {} are among {}", inner.peer, outer.peer);
        let finding = out.report(inner.at.head(cx.file), inner.at.path(), message);
        finding.label("covered").near(outer.at.head(cx.file), "allows these pods and more");
        finding.help("narrow the wide peer if it allows too much, or remove the covered one");
        let edits = redundancy::remove_peer(cx, &inner.at);
        finding.fix(edits.map(|edits| Fix::safe("remove the covered peer", edits)));
    });
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP404", r"
policyTypes: [Ingress, Egress]
ingress:
- from:
  - podSelector: {matchLabels: {app: api, tier: front}}
  - podSelector: {matchExpressions: [{key: app, operator: In, values: [api, web]}]}
  - podSelector: {matchLabels: {app: web}}
  - podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [u, v]}, {key: app, operator: Exists}]}
egress:
- to:
  - namespaceSelector: {matchLabels: {team: a}}
  - namespaceSelector: {matchLabels: {team: a}, matchExpressions: [{key: stage, operator: DoesNotExist}]}
    podSelector: {matchLabels: {app: db}}
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
  - podSelector: {}
"), @r"
        8:5 warning spec.ingress[0].from[0]: this peer changes nothing: pods app=api,tier=front of this namespace are among pods app notin (u,v),app of this namespace
        9:5 warning spec.ingress[0].from[1]: this peer changes nothing: pods app in (api,web) of this namespace are among pods app notin (u,v),app of this namespace
        10:5 warning spec.ingress[0].from[2]: this peer changes nothing: pods app=web of this namespace are among pods app notin (u,v),app of this namespace
        15:5 warning spec.egress[0].to[1]: this peer changes nothing: pods app=db of namespaces !stage,team=a are among all pods of namespaces team=a
        18:5 warning spec.egress[0].to[3]: this peer changes nothing: all pods of this namespace are among all pods of namespaces kubernetes.io/metadata.name=shop
        ");
    }

    #[test]
    fn passes() {
        for text in [
            "ingress: [{from: [{podSelector: {matchLabels: {app: a}}}, {podSelector: {matchLabels: {app: b}}}]}]\n",
            "ingress: [{from: [{podSelector: {}}, {namespaceSelector: {matchLabels: {team: a}}}]}]\n",
            "ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]}]\n",
            "ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 10.0.0.0/9}}]}]\n",
            // NP402 and NP101.
            "ingress: [{from: [{podSelector: {}}, {podSelector: {}}]}]\n",
            "ingress: [{from: [{podSelector: {matchLabels: {app: a}}}, {namespaceSelector: {}}]}]\n",
            // NP201: nobody.
            "ingress: [{from: [{podSelector: {}}, {podSelector: {matchExpressions: [{key: a, operator: Exists}, {key: a, operator: DoesNotExist}]}}]}]\n",
            // NP002: the wide one isn't meant.
            "ingress: [{from: [{podSelector: {matchLabel: {app: a}}}, {podSelector: {matchLabels: {app: b}}}]}]\n",
        ] {
            clean("NP404", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP404", r"
policyTypes: [Ingress]
ingress:
  - from:
      - podSelector:
          matchLabels:
            app: api
      - namespaceSelector: {}
      - namespaceSelector: {matchLabels: {team: a}}
      - namespaceSelector:
          matchLabels: {team: a} # they moved
  - {from: [{podSelector: {matchLabels: {app: a}}}, {podSelector: {}}, {podSelector: {matchLabels: {app: b}}}]}
"), @r"
        policyTypes: [Ingress]
        ingress:
          - from:
              - namespaceSelector: {}
              - namespaceSelector:
                  matchLabels: {team: a} # they moved
          - {from: [{podSelector: {}}]}
        ");
    }
}
