use netpol_policy::model::PodNamespaces;

use super::dangling::{self, Cause, Dangling};
use crate::context::{Context, Reporter};
use crate::finding::Severity;
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds selectors that match no pod of their namespace, but pods of another. It looks only at namespaces of which
    /// workloads were given. It is an error when those pods are all in one namespace, else a warning, as it is for a policy
    /// that doesn't say its own namespace.
    ///
    /// ## Why it matters
    /// A policy selects pods of its own namespace only, and so does a peer without a `namespaceSelector`. In the wrong
    /// namespace a policy protects nothing, and a rule allows nobody.
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
    ///         - podSelector: {matchLabels: {app: prometheus}}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: db, namespace: shop, labels: {app: db}}
    /// spec: {containers: [{name: db, image: example.com/db}]}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: prometheus, namespace: monitoring, labels: {app: prometheus}}
    /// spec: {containers: [{name: prometheus, image: example.com/prometheus}]}
    /// ```
    ///
    /// ## Fix
    /// Put the policy into the namespace of the pods that it is to protect. For a peer, name the namespace in the same
    /// list item.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
    ///           podSelector: {matchLabels: {app: prometheus}}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: db, namespace: shop, labels: {app: db}}
    /// spec: {containers: [{name: db, image: example.com/db}]}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: prometheus, namespace: monitoring, labels: {app: prometheus}}
    /// spec: {containers: [{name: prometheus, image: example.com/prometheus}]}
    /// ```
    NP508 "wrong-namespace" {
        severity: Error,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for dangling in dangling::target(cx).iter().chain(dangling::peers(cx)) {
        report(cx, dangling, out);
    }
}

fn report<'a>(cx: &Context<'a>, dangling: &Dangling<'a>, out: &mut Reporter<'_>) {
    let Cause::Elsewhere(elsewhere) = dangling.cause(cx) else { return };
    let names: Vec<_> = elsewhere.iter().map(|(_, pod)| pod.name.to_string()).collect();
    let (names, more) = if names.len() > 3 { (&names[..3], true) } else { (&names[..], false) };
    let others = if more { format!("{} and others", names.join(", ")) } else { words::list(names) };
    let have = if elsewhere.len() == 1 { "has" } else { "have" };
    let finding = out.report(
        dangling.span,
        &*dangling.path,
        format!(
            "no {} of {} has the labels {}, but {others} {have}: {}",
            dangling.selected(),
            dangling.place().0,
            dangling.pods,
            dangling.consequence(),
        ),
    );
    let single = match elsewhere[..] {
        [(name, _)] => Some(name),
        _ => None,
    };
    finding.label(match single {
        Some(name) => format!("these pods are in namespace {name}"),
        None => "these pods are in other namespaces".to_owned(),
    });
    let written = cx.written_namespace().is_some();
    if single.is_none() || !written {
        finding.severity(Severity::Warning);
    }
    for other in &dangling.again {
        finding.near(*other, "the same peer");
    }
    for (_, pod) in elsewhere.iter().take(3) {
        finding.at_workload(cx, pod, "has the labels");
    }
    let namespace = single.unwrap_or("NAME");
    finding.help(match (dangling.peer, &dangling.namespaces) {
        (None, _) if written => {
            format!("a policy selects pods of its own namespace only; should it be `namespace: {namespace}`?")
        }
        (None, _) => format!(
            "without `metadata.namespace` the policy goes to {}; write `namespace: {namespace}`",
            dangling.own
        ),
        (Some(_), PodNamespaces::Own) => format!(
            "without a namespaceSelector a peer is of the policy's own namespace; for those pods add `namespaceSelector: \
             {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}` to the same list item"
        ),
        (Some(_), PodNamespaces::Selected(_)) => {
            format!("should the namespaceSelector be `kubernetes.io/metadata.name: {namespace}`?")
        }
    });
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn pods(pods: &[(&str, &str)]) -> String {
        let pod = |(namespace, app): &(&str, &str)| {
            format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {app}, namespace: {namespace}, labels: {{app: {app}}}}}\n"
            )
        };
        pods.iter().map(pod).collect()
    }

    fn policy(namespace: &str, spec: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{namespace}}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn fails() {
        let there = pods(&[("shop", "db"), ("office", "web")]);
        let text = policy(", namespace: shop", "{podSelector: {matchLabels: {app: web}}}") + &there;
        insta::assert_snapshot!(findings("NP508", &text), @"4:35 error spec.podSelector: no workload of namespace shop has the labels app=web, but office/Pod/web has: the policy protects nothing");
        assert_eq!(findings("NP5", &text).lines().count(), 1, "one finding per cause");
        let text =
            policy(", namespace: shop", "{egress: [{to: [{podSelector: {matchLabels: {app: web}}}]}]}")
                + &there;
        insta::assert_snapshot!(findings("NP508", &text), @"4:51 error spec.egress[0].to[0]: no pod of namespace shop has the labels app=web, but office/Pod/web has: this peer allows nothing");
        assert_eq!(findings("NP5", &text).lines().count(), 1, "one finding per cause");
        let several = pods(&[("shop", "db"), ("office", "web"), ("a", "web"), ("b", "web"), ("c", "web")]);
        let text = policy(", namespace: shop", "{podSelector: {matchLabels: {app: web}}}") + &several;
        insta::assert_snapshot!(findings("NP508", &text), @"4:35 warning spec.podSelector: no workload of namespace shop has the labels app=web, but a/Pod/web, b/Pod/web, c/Pod/web and others have: the policy protects nothing");
        let here = pods(&[("default", "db"), ("office", "web")]);
        let text = policy("", "{podSelector: {matchLabels: {app: web}}}") + &here;
        insta::assert_snapshot!(findings("NP508", &text), @"4:35 warning spec.podSelector: no workload of namespace default has the labels app=web, but office/Pod/web has: the policy protects nothing");
        let three = pods(&[("shop", "db"), ("office", "web"), ("street", "shoe")]);
        let text = policy(
            ", namespace: shop",
            "{ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: street}}, podSelector: {matchLabels: {app: web}}}]}]}",
        ) + &three;
        insta::assert_snapshot!(findings("NP508", &text), @"4:127 error spec.ingress[0].from[0]: no pod of namespace street has the labels app=web, but office/Pod/web has: this peer allows nobody");
    }

    #[test]
    fn passes() {
        let target = "{podSelector: {matchLabels: {app: web}}}";
        for (namespace, spec, there) in [
            (", namespace: shop", target, &[("shop", "web"), ("office", "web")][..]),
            // Nothing of the namespace is known.
            (", namespace: shop", target, &[("office", "web")]),
            // What names no namespace may be meant for the policy's.
            (", namespace: shop", target, &[("shop", "db"), ("default", "web")]),
            (", namespace: shop", "{podSelector: {}}", &[("shop", "db"), ("office", "web")]),
            (
                ", namespace: shop",
                "{podSelector: {matchLabels: {app: wob}}}",
                &[("shop", "db"), ("office", "web")],
            ),
        ] {
            clean("NP508", &(policy(namespace, spec) + &pods(there)));
        }
    }
}
