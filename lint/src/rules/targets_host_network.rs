use crate::context::{Context, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds policies whose `podSelector` matches the labels of pods with `hostNetwork: true`. It needs the workloads of
    /// the policy's namespace, and says nothing of `podSelector: {}`.
    ///
    /// ## Why it matters
    /// A pod on the network of its node has no address of its own: what it sends and receives is the node's traffic. No
    /// NetworkPolicy isolates it. The policy looks as if it protected the pod, and does nothing.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: exporter, namespace: metrics}
    /// spec:
    ///   podSelector: {matchLabels: {app: exporter}}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: exporter, namespace: metrics, labels: {app: exporter}}
    /// spec: {hostNetwork: true, containers: [{name: exporter, image: example.com/exporter}]}
    /// ```
    ///
    /// ## Fix
    /// Run the pods without `hostNetwork`, or protect their ports with the firewall of the nodes, and remove the policy.
    NP509 "targets-host-network" {
        severity: Warning,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let (Some(policy), Some(field)) =
        (&cx.policy.model, cx.spec().and_then(|spec| spec.pod_selector.present()))
    else {
        return;
    };
    let (namespace, selector) = (&*policy.name.namespace, &policy.pod_selector);
    if !applies(cx) {
        return;
    }
    let names = words::pod_names(cx.index.host_network_pods(namespace, selector));
    let others = if cx.index.pods(namespace, selector).next().is_some() { " them" } else { " anything" };
    let finding = out.report(
        super::place::of_selector(field),
        "spec.podSelector",
        format!("on the network of their node, where no policy isolates{others}: {names}"),
    );
    finding
        .label("matches pods with hostNetwork: true")
        .help("run them without hostNetwork, or protect their ports with the firewall of the nodes");
    for pod in cx.index.host_network_pods(namespace, selector).take(3) {
        finding.at_workload(cx, pod, "on the network of its node");
    }
}

/// Whether this rule has something to say, so that others needn't.
pub(super) fn explains(cx: &Context<'_>) -> bool {
    cx.selection.contains(&RULE) && applies(cx)
}

/// Whether the policy asks for labels that pods on the network of their node have.
fn applies(cx: &Context<'_>) -> bool {
    let Some(policy) = &cx.policy.model else { return false };
    let (namespace, selector) = (&*policy.name.namespace, &policy.pod_selector);
    !selector.is_everything() && cx.index.host_network_pods(namespace, selector).next().is_some()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    const POLICY: &str = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: metrics}
spec:
  podSelector: {matchLabels: {app: exporter}}
---
";

    #[test]
    fn fails() {
        let exporter = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: exporter, namespace: metrics}\nspec:\n  \
                        template: {metadata: {labels: {app: exporter}}, spec: {hostNetwork: true}}\n";
        insta::assert_snapshot!(findings("NP509", &format!("{POLICY}{exporter}")), @"5:30 warning spec.podSelector: on the network of their node, where no policy isolates anything: metrics/DaemonSet/exporter");
        let ordinary = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: metrics, labels: {app: exporter}}\n";
        insta::assert_snapshot!(findings("NP509", &format!("{POLICY}{exporter}{ordinary}")), @"5:30 warning spec.podSelector: on the network of their node, where no policy isolates them: metrics/DaemonSet/exporter");
    }

    #[test]
    fn passes() {
        let pod = |name: &str, namespace: &str, spec: &str| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{app: {name}}}}}\nspec: {spec}\n"
            )
        };
        clean("NP509", &format!("{POLICY}{}", pod("exporter", "metrics", "{hostNetwork: false}")));
        clean("NP509", &format!("{POLICY}{}", pod("exporter", "other", "{hostNetwork: true}")));
        clean("NP509", &format!("{POLICY}{}", pod("agent", "metrics", "{hostNetwork: true}")));
        clean("NP509", POLICY);
        let all = POLICY.replace("{matchLabels: {app: exporter}}", "{}");
        clean("NP509", &format!("{all}{}", pod("exporter", "metrics", "{hostNetwork: true}")));
    }
}
