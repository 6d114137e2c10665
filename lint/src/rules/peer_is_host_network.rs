use netpol_policy::model::{Direction, LabelSelector, Peer, Pod};
use netpol_policy::span::Span;

use crate::context::{Context, PeerAt, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds peers whose labels are those of pods with `hostNetwork: true`. It needs the workloads of the peer's
    /// namespaces. It says nothing of a peer without labels that also means ordinary pods, and nothing of a list that
    /// holds an `ipBlock`, which may be the nodes' addresses.
    ///
    /// ## Why it matters
    /// A pod on the network of its node has the node's address. Selectors don't match it: the rule doesn't let its
    /// connections in, or doesn't let connections to it out.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}
    ///           podSelector: {matchLabels: {app: proxy}}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: proxy, namespace: ingress, labels: {app: proxy}}
    /// spec: {hostNetwork: true, containers: [{name: proxy, image: example.com/proxy}]}
    /// ```
    ///
    /// ## Fix
    /// Allow the addresses of the nodes with an `ipBlock`, or run the pods without `hostNetwork`.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - ipBlock: {cidr: 192.0.2.0/24}
    /// ```
    NP510 "peer-is-host-network" {
        severity: Warning,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(policy) = &cx.policy.model else { return };
    // The same peer in several rules has one cause.
    let mut found: Vec<(&Peer, PeerAt<'_>, Vec<&Pod>, Vec<Span>)> = Vec::new();
    for at in cx.effective_peers() {
        let rules = policy.rules(at.rule.direction).unwrap_or_default();
        let Some(peer) = rules.get(at.rule.index).and_then(|rule| rule.peers.items().get(at.index)) else {
            continue;
        };
        if let Some((.., others)) = found.iter_mut().find(|(known, ..)| *known == peer) {
            others.push(at.head(cx.file));
        } else if let Some(pods) = pods_on_nodes(cx, &at, peer) {
            found.push((peer, at, pods, Vec::new()));
        }
    }
    for (_, at, pods, others) in found {
        let names = words::pod_names(pods.iter().copied());
        let effect = match at.rule.direction {
            Direction::Ingress => {
                "connections from there come from the node's address, which this peer doesn't allow"
            }
            Direction::Egress => "connections there go to the node's address, which this peer doesn't allow",
        };
        let finding =
            out.report(span(&at), at.path(), format!("{names}: on the network of the node; {effect}"));
        finding.label("matches pods with hostNetwork: true").help(remedy(cx, &pods));
        for other in others {
            finding.near(other, "the same peer");
        }
        for pod in pods.iter().take(3) {
            finding.at_workload(cx, pod, "on the network of its node");
        }
    }
}

/// Whether this rule has something to say about a peer, so that others needn't.
pub(super) fn explains(cx: &Context<'_>, at: &PeerAt<'_>, peer: &Peer) -> bool {
    cx.selection.contains(&RULE) && pods_on_nodes(cx, at, peer).is_some()
}

/// The pods on the network of their node that a peer was to mean.
fn pods_on_nodes<'a>(cx: &Context<'a>, at: &PeerAt<'_>, peer: &Peer) -> Option<Vec<&'a Pod>> {
    let Peer::Pods { namespaces, pods } = peer else { return None };
    let own = &*cx.policy.model.as_ref()?.name.namespace;
    let on_nodes: Vec<_> = cx.index.host_network_pods_of(namespaces, own, pods).collect();
    if on_nodes.is_empty() || at.rule.peers().any(|other| !other.peer.ip_block.is_absent()) {
        return None;
    }
    let only_them = || {
        cx.index.pods_of(namespaces, own, pods).is_some_and(|mut pods| pods.next().is_none())
            && !cx.settings.may_match_external_pods(cx.index, namespaces, own, pods)
    };
    (asks_for_labels(pods) || only_them()).then_some(on_nodes)
}

fn asks_for_labels(pods: &LabelSelector) -> bool {
    pods.requirements().any(|requirement| matches!(requirement.operator(), "In" | "Exists"))
}

fn remedy(cx: &Context<'_>, pods: &[&Pod]) -> String {
    let mut addresses: Vec<_> = pods.iter().flat_map(|pod| &pod.addresses).collect();
    if addresses.is_empty() {
        addresses = cx.index.cluster().nodes.iter().flat_map(|node| &node.addresses).collect();
    }
    addresses.sort();
    addresses.dedup();
    let examples = match addresses.as_slice() {
        [] => String::new(),
        some => {
            let shown: Vec<_> = some.iter().take(3).map(ToString::to_string).collect();
            let more = if some.len() > 3 { ", …" } else { "" };
            format!(" ({}{more})", shown.join(", "))
        }
    };
    format!("allow the addresses of the nodes{examples} with an ipBlock, or run the pods without hostNetwork")
}

/// The pod selector of a peer, or the whole peer.
fn span(at: &PeerAt<'_>) -> Span {
    match at.peer.pod_selector.present().or(at.peer.namespace_selector.present()) {
        Some(field) => super::place::of_selector(field),
        None => at.item.span,
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn text(peers: &str, more: &str) -> String {
        format!(
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: p, namespace: shop}}
spec:
  ingress:
  - from: [{peers}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: proxy, namespace: ingress}}
spec: {{template: {{metadata: {{labels: {{app: proxy}}}}, spec: {{hostNetwork: true}}}}}}
{more}"
        )
    }

    const PROXY: &str = "{podSelector: {matchLabels: {app: proxy}}, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}";
    const NAMESPACE: &str = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ingress}}}";
    const ORDINARY: &str =
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: ingress, labels: {app: web}}\n";

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP510", &text(PROXY, ORDINARY)), @"6:40 warning spec.ingress[0].from[0]: ingress/DaemonSet/proxy: on the network of the node; connections from there come from the node's address, which this peer doesn't allow");
        insta::assert_snapshot!(findings("NP510", &text(NAMESPACE, "")), @"6:46 warning spec.ingress[0].from[0]: ingress/DaemonSet/proxy: on the network of the node; connections from there come from the node's address, which this peer doesn't allow");
        let anywhere = "{podSelector: {matchLabels: {app: proxy}}, namespaceSelector: {}}";
        insta::assert_snapshot!(findings("NP510", &text(anywhere, "")), @"6:40 warning spec.ingress[0].from[0]: ingress/DaemonSet/proxy: on the network of the node; connections from there come from the node's address, which this peer doesn't allow");
        let egress = text(PROXY, "").replace("ingress:\n  - from:", "egress:\n  - to:");
        insta::assert_snapshot!(findings("NP510", &egress), @"6:38 warning spec.egress[0].to[0]: ingress/DaemonSet/proxy: on the network of the node; connections there go to the node's address, which this peer doesn't allow");
    }

    #[test]
    fn passes() {
        clean("NP510", &text(NAMESPACE, ORDINARY));
        clean("NP510", &text("{namespaceSelector: {}}", ""));
        clean("NP510", &text("{podSelector: {matchLabels: {app: proxy}}}", ""));
        clean("NP510", &text(&format!("{PROXY}, {{ipBlock: {{cidr: 192.0.2.0/24}}}}"), ""));
        clean("NP510", &text(&PROXY.replace("app: proxy", "app: web"), ORDINARY));
    }

    #[test]
    fn the_remedy_names_addresses() {
        let node = "---\napiVersion: v1\nkind: Node\nmetadata: {name: node-1}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2.7}]}\n";
        let selection = crate::Selection::new(&["NP510"], &[]).unwrap();
        let report = crate::check_text("test.yaml", &text(PROXY, node), &selection.into());
        let help = report.findings[0].help.as_deref().unwrap();
        assert!(help.starts_with("allow the addresses of the nodes (192.0.2.7) with an ipBlock"), "{help}");
    }
}
