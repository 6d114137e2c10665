use super::dangling::{self, Cause};
use crate::context::{Context, Reporter};
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
    for dangling in dangling::peers(cx) {
        if !matches!(dangling.cause(cx), Cause::Unknown) {
            continue;
        }
        let (place, single) = dangling.place();
        let (pods, consequence) = (dangling.pods, dangling.consequence());
        let message = format!("no pod of {place} has the labels {pods}: {consequence}");
        let finding = out.report(dangling.span, &*dangling.path, message);
        finding.label("matches no pod");
        for other in &dangling.again {
            finding.near(*other, "the same peer");
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
