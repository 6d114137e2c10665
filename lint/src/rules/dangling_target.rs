use super::dangling::{self, Cause};
use crate::context::{Context, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds policies whose `podSelector` selects no workload of their namespace. It looks only at namespaces of which
    /// workloads were given. Pod templates at `spec.template` of other kinds in the same file, such as a Rollout's, count
    /// as pods.
    ///
    /// ## Why it matters
    /// A policy that selects nothing protects nothing, and no tool of the cluster says so. Labels of a Deployment are a
    /// common cause: what counts are the labels of its pod template.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: databse}}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: db, namespace: shop, labels: {app: database}}
    /// spec: {containers: [{name: db, image: example.com/db}]}
    /// ```
    ///
    /// ## Fix
    /// Correct the selector or the namespace, or remove the policy.
    NP501 "dangling-target" {
        severity: Warning,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(dangling) = dangling::target(cx) else { return };
    if !matches!(dangling.cause(cx), Cause::Unknown) {
        return;
    }
    let (namespace, selector, consequence) = (dangling.own, dangling.pods, dangling.consequence());
    let message = format!("no workload of namespace {namespace} has the labels {selector}: {consequence}");
    let finding = out.report(dangling.span, &*dangling.path, message);
    finding.label("selects no pod");
    if let Some(hint) = super::place::hint(cx, namespace, selector) {
        hint.tell(cx, finding);
    }
    let host_network = words::pod_names(cx.index.host_network_pods(namespace, selector));
    if host_network != "none" {
        finding.help(format!("{host_network} would match, but no policy isolates pods on the host network"));
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP501", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: databse}}
---
kind: Pod
apiVersion: v1
metadata: {name: db, namespace: shop, labels: {app: database}}
"), @"5:30 warning spec.podSelector: no workload of namespace shop has the labels app=databse: the policy protects nothing");
        insta::assert_snapshot!(findings("NP501", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {tier: db}}
---
kind: Pod
apiVersion: v1
metadata: {name: db, namespace: shop, labels: {app: database}}
"), @"5:30 warning spec.podSelector: no workload of namespace shop has the labels tier=db: the policy protects nothing");
        insta::assert_snapshot!(findings("NP501", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: dns}}
---
kind: Pod
apiVersion: v1
metadata: {name: web, namespace: shop, labels: {app: web}}
---
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: shop, labels: {app: dns}}
spec: {hostNetwork: true}
"), @"5:30 warning spec.podSelector: no workload of namespace shop has the labels app=dns: the policy protects nothing");
    }

    const ROLLOUT: &str = r"
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: db, namespace: shop}
spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: example.com/db}]}}}
";

    fn with_rollout(spec: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}{ROLLOUT}"
        )
    }

    #[test]
    fn templates_of_other_kinds() {
        for spec in [
            "{podSelector: {matchLabels: {app: db}}}",
            "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: db}}}]}]}",
        ] {
            clean("NP50", &with_rollout(spec));
        }
        let other = with_rollout("{podSelector: {matchLabels: {app: cache}}}");
        assert!(findings("NP501", &other).contains("the policy protects nothing"));
        let elsewhere = with_rollout("{podSelector: {matchLabels: {app: db}}}")
            .replace("{name: db, namespace: shop}", "{name: db, namespace: other}");
        assert!(findings("NP501", &elsewhere).contains("the policy protects nothing"));
    }

    #[test]
    fn passes() {
        for text in [
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: database}}
---
kind: Pod
apiVersion: v1
metadata: {name: db, namespace: shop, labels: {app: database}}
",
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: x}}
",
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {matchLabels: {app: x}}
---
kind: Pod
apiVersion: v1
metadata: {name: db, namespace: other, labels: {app: database}}
",
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {}
",
        ] {
            clean("NP501", text);
        }
    }
}
