use super::dangling::{self, Cause, Dangling};
use crate::context::{Context, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds selectors that match no pod because they ask for labels that a Deployment or another workload has itself, and
    /// its pod template hasn't.
    ///
    /// ## Why it matters
    /// Labels of a workload object are not passed on to its pods. A policy looks at the labels of pods only, so it
    /// protects nothing, or its rule allows nobody.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {tier: store}}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: apps/v1
    /// kind: Deployment
    /// metadata:
    ///   name: db
    ///   namespace: shop
    ///   labels: {tier: store}
    /// spec:
    ///   selector: {matchLabels: {app: db}}
    ///   template:
    ///     metadata:
    ///       labels: {app: db}
    ///     spec: {containers: [{name: db, image: example.com/db}]}
    /// ```
    ///
    /// ## Fix
    /// Select by labels of the pod template, or add the label to the template.
    NP504 "selects-workload-not-pod" {
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
    let Cause::OnWorkload(workload) = dangling.cause(cx) else { return };
    let unmet: Vec<_> = dangling.pods.unmet(&workload.labels).map(ToString::to_string).collect();
    let labels: Vec<_> = workload.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let finding = out.report(
        dangling.span,
        &*dangling.path,
        format!(
            "{} is a label of {}, not of its pods: {}",
            words::list(&unmet),
            workload.name,
            dangling.consequence()
        ),
    );
    finding.label("matches no pod");
    for other in &dangling.again {
        finding.near(*other, "the same peer");
    }
    finding.at_workload(cx, workload, "this workload has the label, its pod template hasn't");
    finding.help(if labels.is_empty() {
        "add the label to `spec.template.metadata.labels`: its pods have none".to_owned()
    } else {
        format!(
            "its pods have {}; select by these or add the label to the pod template",
            words::list(&labels)
        )
    });
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    const DB: &str = r"
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop, labels: {app: db, tier: store}}
spec:
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}}
";

    fn with_db(spec: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}{DB}"
        )
    }

    #[test]
    fn fails() {
        insta::assert_snapshot!(
            findings("NP504", &with_db("{podSelector: {matchLabels: {tier: store}}}")),
            @"4:35 error spec.podSelector: tier=store is a label of shop/Deployment/db, not of its pods: the policy protects nothing"
        );
        insta::assert_snapshot!(
            findings("NP504", &with_db("{podSelector: {matchLabels: {app: db, tier: store}}}")),
            @"4:35 error spec.podSelector: tier=store is a label of shop/Deployment/db, not of its pods: the policy protects nothing"
        );
        insta::assert_snapshot!(
            findings("NP504", &with_db("{ingress: [{from: [{podSelector: {matchLabels: {tier: store}}}]}]}")),
            @"4:54 error spec.ingress[0].from[0]: tier=store is a label of shop/Deployment/db, not of its pods: this peer allows nobody"
        );
    }

    #[test]
    fn passes() {
        for spec in [
            "{podSelector: {matchLabels: {app: db}}}",
            "{podSelector: {matchLabels: {tier: stores}}}",
            "{podSelector: {matchLabels: {app: web, tier: store}}}",
            "{ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {tier: store}}}]}]}",
        ] {
            clean("NP504", &with_db(spec));
        }
    }

    #[test]
    fn one_finding_per_cause() {
        let text = with_db("{podSelector: {matchLabels: {tier: store}}}");
        clean(
            "NP5",
            &text.replace(
                "{podSelector: {matchLabels: {tier: store}}}",
                "{podSelector: {matchLabels: {app: db}}}",
            ),
        );
        assert_eq!(findings("NP5", &text).lines().count(), 1);
        assert_eq!(findings("NP501", &text).lines().count(), 1, "the other rule is off");
    }
}
