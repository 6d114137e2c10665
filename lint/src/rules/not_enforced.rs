use std::collections::BTreeSet;

use netpol_policy::model::{Direction, Pod};

use crate::context::{Context, Reporter};
use crate::facts::Enforcement;
use crate::output::plural;
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Looks on each node of the cluster for an agent that enforces NetworkPolicies, and names the nodes that have none. It
    /// knows Antrea, AWS VPC CNI, Azure NPM, Calico, Canal, Cilium, GKE Dataplane V2, k3s, kindnet, kube-network-policies,
    /// Kube-OVN, kube-router, this project's netpol-enforcer, OVN-Kubernetes and Weave Net by the containers of their pods.
    /// It says nothing of nodes that aren't ready, that a cloud runs in its own way, or whose network it doesn't know. It
    /// is reported once, at the first policy; with an agent on some nodes only when policies select pods on the others.
    ///
    /// ## Why it matters
    /// The API server takes policies whether or not anything enforces them. Networks such as flannel, or the plain bridge
    /// and ptp plugins, don't: the policy is there, and every connection is allowed.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: v1
    /// kind: Node
    /// metadata: {name: node-1}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: kube-flannel-ds-x7x2p, namespace: kube-flannel}
    /// spec:
    ///   nodeName: node-1
    ///   hostNetwork: true
    ///   containers: [{name: kube-flannel, image: ghcr.io/flannel-io/flannel:v0.26.1}]
    /// status: {phase: Running}
    /// ```
    ///
    /// ## Fix
    /// Run an agent that enforces policies on every node: one that works beside the network that is there, such as
    /// netpol-enforcer or kube-network-policies, or a network that brings its own. Where one is installed, see why its
    /// pod doesn't run on these nodes.
    NP701 "not-enforced" {
        severity: Error,
        scope: Cluster,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(facts) = cx.index.facts().filter(|facts| facts.is_told_at(cx.file, out.document)) else {
        return;
    };
    let bare = facts.nodes.iter().filter_map(|node| match &node.enforcement {
        Enforcement::Nobody(network) => Some((&*node.name, *network, None)),
        Enforcement::SaysNo(agent) => Some((&*node.name, None, Some(agent.to_string()))),
        _ => None,
    });
    let (mut names, mut networks, mut idle) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for (name, network, agent) in bare {
        names.push(name);
        networks.extend(network);
        idle.extend(agent);
    }
    if names.is_empty() {
        return;
    }
    let mut because = Vec::new();
    if !networks.is_empty() {
        let networks: Vec<_> = networks.into_iter().collect();
        because.push(format!("{} connects pods and enforces nothing", words::list(&networks)));
    }
    if !idle.is_empty() {
        let agents: Vec<_> = idle.into_iter().collect();
        because.push(format!("{} is there and says that it enforces nothing yet", words::list(&agents)));
    }
    if because.is_empty() {
        because.push("no agent that does runs there".to_owned());
    }
    let because = because.join(", and ");
    let nodes = nodes(&names);
    let message = if names.len() == facts.nodes.len() {
        format!("nothing enforces policies in this cluster, on {nodes}: {because}; every policy is ignored")
    } else {
        let Some(pods) = affected(cx, &names) else { return };
        format!("nothing enforces policies on {nodes}: {because}{pods}")
    };
    let name = cx.policy.metadata.name.as_ref();
    let finding = out.report(name.map_or(cx.policy.kind, |name| name.span), "metadata.name", message);
    finding.label("this policy and all others");
    finding.help(match facts.agents.as_slice() {
        [] => "run an agent that enforces policies on every node".to_owned(),
        agents => {
            let agents: Vec<_> = agents.iter().map(ToString::to_string).collect();
            format!("{} enforces policies on other nodes: see why it doesn't run here", words::list(&agents))
        }
    });
}

/// Which pods on some nodes are open although policies select them. Nothing, when no pod's node is known; `None` when
/// there are no such pods.
fn affected(cx: &Context<'_>, nodes: &[&str]) -> Option<String> {
    let nodes: BTreeSet<_> = nodes.iter().copied().collect();
    let pods = &cx.index.cluster().pods;
    if pods.iter().all(|pod| pod.node.is_none()) {
        return Some(String::new());
    }
    let there = |pod: &&Pod| pod.is_subject() && pod.node.as_deref().is_some_and(|node| nodes.contains(node));
    let isolated = |pod: &&Pod| Direction::ALL.iter().any(|d| cx.index.isolating(pod, *d).next().is_some());
    let open: Vec<_> = pods.iter().filter(there).filter(isolated).collect();
    let first = open.first()?;
    Some(format!("; policies select {} there, such as {}", plural(open.len(), "pod"), first.name))
}

/// `node a`, `nodes a, b and c`, `nodes a, b, c and 7 more`.
fn nodes(names: &[&str]) -> String {
    match names {
        [name] => format!("node {name}"),
        [a, b, c, _, _, ..] => format!("nodes {a}, {b}, {c} and {} more", names.len() - 3),
        names => format!("nodes {}", words::list(names)),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    const POLICY: &str = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: other, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
";

    fn node(name: &str, rest: &str) -> String {
        format!("---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\n{rest}\n")
    }

    fn pod(name: &str, node: &str, container: &str, image: &str) -> String {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{nodeName: {node}, \
             containers: [{{name: {container}, image: \"{image}\"}}]}}\nstatus: {{phase: Running}}\n"
        )
    }

    fn host_pod(name: &str, node: &str, container: &str, image: &str) -> String {
        pod(name, node, container, image).replace("nodeName", "hostNetwork: true, nodeName")
    }

    fn flannel(node: &str) -> String {
        host_pod("flannel", node, "kube-flannel", "flannel/flannel:v0.26.1")
            .replace("flannel, n", &format!("flannel-{node}, n"))
    }

    fn calico(node: &str) -> String {
        host_pod(&format!("calico-{node}"), node, "calico-node", "calico/node:v3.29.1")
    }

    #[test]
    fn fails() {
        let nodes: String = ["a", "b", "c", "d", "e"].map(|name| node(name, "")).concat();
        insta::assert_snapshot!(findings("NP701", &format!("{POLICY}{nodes}{}", flannel("a"))), @"3:18 error metadata.name: nothing enforces policies in this cluster, on nodes a, b, c and 2 more: flannel connects pods and enforces nothing; every policy is ignored");
        let nodes: String = ["a", "b"].map(|name| node(name, "")).concat();
        let web = pod("web", "b", "web", "web");
        insta::assert_snapshot!(findings("NP701", &format!("{POLICY}{nodes}{}{web}", calico("a"))), @"3:18 error metadata.name: nothing enforces policies on node b: no agent that does runs there; policies select 1 pod there, such as shop/Pod/web");
        // Without the right to look at pods, DaemonSets tell.
        insta::assert_snapshot!(findings("NP701", &format!("{POLICY}{nodes}---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: kube-flannel-ds, namespace: kube-flannel}}
spec:
  selector: {{matchLabels: {{app: flannel}}}}
  template:
    metadata: {{labels: {{app: flannel}}}}
    spec: {{hostNetwork: true, containers: [{{name: kube-flannel, image: flannel/flannel}}]}}
")), @"3:18 error metadata.name: nothing enforces policies in this cluster, on nodes a and b: flannel connects pods and enforces nothing; every policy is ignored");
        let k3s = node("a", "status: {nodeInfo: {kubeletVersion: v1.33.1+k3s1}}").replace(
            "{name: a}",
            r#"{name: a, annotations: {k3s.io/node-args: '["server","--disable-network-policy"]'}}"#,
        );
        let idle = host_pod("netpol-enforcer-x", "b", "agent", "example.com/netpol-enforcer:1.2.0").replace(
            "phase: Running",
            "phase: Running, conditions: [{type: netpol.dev/Enforcing, status: \"False\", reason: NoObjects}]",
        );
        let ready = idle
            .replace("node: b", "node: a")
            .replace("enforcer-x", "enforcer-y")
            .replace("nodeName: b", "nodeName: a");
        let ready = ready.replace("\"False\"", "\"True\"");
        insta::assert_snapshot!(findings("NP701", &format!("{POLICY}{nodes}{ready}{idle}{web}")), @"3:18 error metadata.name: nothing enforces policies on node b: netpol-enforcer 1.2 is there and says that it enforces nothing yet; policies select 1 pod there, such as shop/Pod/web");
        insta::assert_snapshot!(findings("NP701", &format!("{POLICY}{k3s}{}", pod("web", "a", "web", "web"))), @"3:18 error metadata.name: nothing enforces policies in this cluster, on node a: no agent that does runs there; every policy is ignored");
    }

    #[test]
    fn passes() {
        let web = pod("web", "b", "web", "web");
        let both: String = ["a", "b"].map(|name| node(name, "")).concat();
        let network = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nspec: {nodeName: b, hostNetwork: \
             true, containers: [{name: x, image: x}], volumes: [{name: cni, hostPath: {path: /opt/cni/bin}}]}\nstatus: {phase: Running}\n";
        let not_ready = node("b", "status: {conditions: [{type: Ready, status: \"False\"}]}");
        let windows = node("b", "").replace("{name: b}", "{name: b, labels: {kubernetes.io/os: windows}}");
        for text in [
            // No cluster.
            POLICY.to_owned(),
            format!("{POLICY}{both}{}{}{web}", calico("a"), calico("b")),
            // No policy selects a pod there.
            format!("{POLICY}{both}{}{}", calico("a"), web.replace("namespace: shop", "namespace: other")),
            // Nobody knows what this does.
            format!("{POLICY}{both}{}{web}{network}", calico("a")),
            format!("{POLICY}{}{not_ready}{}{web}", node("a", ""), calico("a")),
            format!("{POLICY}{}{windows}{}{web}", node("a", ""), calico("a")),
            format!("{POLICY}{}{web}", node("b", "status: {nodeInfo: {kubeletVersion: v1.33.1+k3s1}}")),
        ] {
            clean("NP701", &text);
        }
    }
}
