use netpol_policy::model::{Direction, Labelled, Peer, PodNamespaces};
use netpol_policy::span::Span;

use super::selectors;
use crate::context::{Context, PeerAt, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds peers that match no pod. It looks only at namespaces of which workloads were given, and says nothing of a
    /// `namespaceSelector` that may match others.
    ///
    /// ## Why it matters
    /// The rule allows nobody, so a connection that was meant to work is denied; or the labels are a guess, and the first
    /// pod that happens to carry them gets access.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: bakend}}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: backend, namespace: shop, labels: {app: backend}}
    /// spec: {containers: [{name: backend, image: example.com/backend}]}
    /// ```
    ///
    /// ## Fix
    /// Correct the selector. Pods of another namespace need a `namespaceSelector` in the same list item.
    NP502 "dangling-peer" {
        severity: Warning,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(policy) = &cx.policy.model else { return };
    let told = cx.selection.contains(&super::split_peer_selectors::RULE);
    // The same peer in several rules has one cause.
    let mut dangling: Vec<(&Peer, PeerAt<'_>, Vec<Span>)> = Vec::new();
    for at in cx.effective_peers() {
        let rules = policy.rules(at.rule.direction).unwrap_or_default();
        let peer = rules.get(at.rule.index).and_then(|rule| rule.peers.items().get(at.index));
        let Some(peer @ Peer::Pods { namespaces, pods }) = peer else { continue };
        let matched = cx.index.pods_of(namespaces, &policy.name.namespace, pods).map(|mut pods| pods.next());
        if !matches!(matched, Some(None))
            || (told && super::split_peer_selectors::explains(cx, &at))
            || selectors::explained(cx, pods, Labelled::Pod)
            || super::peer_is_host_network::explains(cx, &at, peer)
        {
            continue;
        }
        if cx.settings.may_match_external_pods(cx.index, namespaces, &policy.name.namespace, pods) {
            continue;
        }
        match dangling.iter_mut().find(|(known, ..)| *known == peer) {
            Some((_, _, others)) => others.push(at.head(cx.file)),
            None => dangling.push((peer, at, Vec::new())),
        }
    }
    for (peer, at, others) in dangling {
        let Peer::Pods { namespaces, pods } = peer else { continue };
        let own = &*policy.name.namespace;
        let (place, single) = match namespaces {
            PodNamespaces::Own => (format!("namespace {own}"), Some(own)),
            PodNamespaces::Selected(selector) => (words::namespaces(selector), words::only_name(selector)),
        };
        let nobody = match at.rule.direction {
            Direction::Ingress => "nobody",
            Direction::Egress => "nothing",
        };
        let finding = out.report(
            span(&at),
            at.path(),
            format!("no pod of {place} has the labels {pods}: this peer allows {nobody}"),
        );
        finding.label("matches no pod");
        for other in others {
            finding.near(other, "the same peer");
        }
        if let Some(hint) = single.and_then(|namespace| super::place::hint(cx, namespace, pods)) {
            hint.tell(cx, finding);
        }
        let Some(namespace) = single else { continue };
        let host_network = words::pod_names(cx.index.host_network_pods(namespace, pods));
        if host_network != "none" {
            finding.help(format!(
                "{host_network} would match, but is on the host network, where selectors match nothing; \
                 allow its node's address with an ipBlock"
            ));
        }
    }
}

/// The pod selector of a peer, which is what doesn't match.
fn span(at: &PeerAt<'_>) -> Span {
    match at.peer.pod_selector.present() {
        Some(field) => super::place::of_selector(field),
        None => at.item.span,
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP502", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  ingress:
  - from: [{podSelector: {matchLabels: {app: bakend}}}]
  - from: [{podSelector: {matchLabels: {app: bakend}}}]
    ports: [{port: 80}]
---
kind: Pod
apiVersion: v1
metadata: {name: b, namespace: shop, labels: {app: backend}}
"), @"6:40 warning spec.ingress[0].from[0]: no pod of namespace shop has the labels app=bakend: this peer allows nobody");
        insta::assert_snapshot!(findings("NP502", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  ingress:
  - from: [{podSelector: {matchLabels: {app: mail}}, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}}]
---
kind: Pod
apiVersion: v1
metadata: {name: b, namespace: shop, labels: {app: backend}}
---
kind: Pod
apiVersion: v1
metadata: {name: d, namespace: office, labels: {app: door}}
"), @"6:40 warning spec.ingress[0].from[0]: no pod of namespace office has the labels app=mail: this peer allows nobody");
        insta::assert_snapshot!(findings("NP502", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  ingress:
  - from: [{podSelector: {matchLabels: {app: mail}}, namespaceSelector: {matchLabels: {team: a}}}]
---
kind: Pod
apiVersion: v1
metadata: {name: d, namespace: office, labels: {app: door}}
---
apiVersion: v1
kind: Namespace
metadata: {name: office, labels: {team: a}}
"), @"6:40 warning spec.ingress[0].from[0]: no pod of namespaces team=a has the labels app=mail: this peer allows nobody");
    }

    #[test]
    fn passes() {
        for text in [
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  ingress: [{from: [{podSelector: {matchLabels: {app: backend}}}]}]
---
kind: Pod
apiVersion: v1
metadata: {name: b, namespace: shop, labels: {app: backend}}
",
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  ingress: [{from: [{podSelector: {matchLabels: {app: x}}, namespaceSelector: {}}]}]
---
kind: Pod
apiVersion: v1
metadata: {name: b, namespace: shop, labels: {app: backend}}
",
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  ingress: [{from: [{podSelector: {matchLabels: {app: x}}, namespaceSelector: {matchLabels: {team: a}}}]}]
---
kind: Pod
apiVersion: v1
metadata: {name: b, namespace: shop, labels: {app: backend}}
",
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  ingress: [{from: [{podSelector: {matchLabels: {app: x}}, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: x}}}]}]
---
kind: Pod
apiVersion: v1
metadata: {name: b, namespace: shop, labels: {app: backend}}
",
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  ingress: [{from: [{podSelector: {matchLabels: {app: x}}}, {ipBlock: {cidr: 10.0.0.0/8}}]}]
",
        ] {
            clean("NP502", text);
        }
    }
}
