use netpol_policy::model::{Direction, Namespace, WorkloadKind, WorkloadName};
use netpol_policy::source::{Content, WorkloadSource};

use crate::context::{ObjectContext, Reporter};
use crate::places::Places;
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds workloads that no policy isolates, for each direction. It looks at all policies that are given, and at the
    /// label `netpol.dev/default-deny` of the namespace. It leaves out pods with `hostNetwork: true`, which no policy can
    /// isolate, pods that have ended, and pods of a workload that is given as well. It is on request: select NP6 or NP601.
    ///
    /// ## Why it matters
    /// A pod that no policy selects accepts connections from everyone and may connect to everywhere.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web, namespace: shop, labels: {app: web}}
    /// spec: {containers: [{name: web, image: example.com/web}]}
    /// ```
    ///
    /// ## Fix
    /// Write a policy for it, or one for all pods of the namespace that denies by default: see NP602.
    NP601 "non-isolated-workload" {
        severity: Warning,
        scope: Documents,
        fix: None,
        check: Object(check),
    }
}

fn check(cx: &ObjectContext<'_>, out: &mut Reporter<'_>) {
    let Content::Workload(workload) = &cx.object.content else { return };
    let pod = &workload.pod;
    if !pod.is_subject() || is_given_by_its_owner(cx.places, workload) {
        return;
    }
    let label = cx.index.cluster().namespaces.get(&pod.name.namespace).map(Namespace::default_deny);
    let open: Vec<_> = Direction::ALL
        .into_iter()
        .filter(|direction| !label.is_some_and(|label| label.isolates(*direction)))
        .filter(|direction| cx.index.isolating(pod, *direction).next().is_none())
        .collect();
    if open.is_empty() {
        return;
    }
    let fields: Vec<_> = open.iter().map(|direction| direction.field()).collect();
    let label = match open.as_slice() {
        [Direction::Ingress] => "everyone may connect to it",
        [Direction::Egress] => "it may connect to everywhere",
        _ => "open in both directions",
    };
    out.report(
        workload.name,
        "metadata.name",
        format!("no policy isolates {} for {}", pod.name, words::list(&fields)),
    )
    .label(label);
}

/// Whether the workload that controls this one is given, so that it speaks for both.
fn is_given_by_its_owner(places: &Places<'_>, workload: &WorkloadSource) -> bool {
    let Some((kind, name)) = &workload.owner else { return false };
    let Some(kind) = WorkloadKind::parse(kind) else { return false };
    let namespace = &workload.pod.name.namespace;
    let is_given = |kind, name: &str| {
        let owner = WorkloadName::new(namespace.clone(), kind, name);
        owner != workload.pod.name && places.of(&owner).is_some()
    };
    // Past a ReplicaSet or a Job that isn't given.
    let above = match kind {
        WorkloadKind::ReplicaSet => Some(WorkloadKind::Deployment),
        WorkloadKind::Job => Some(WorkloadKind::CronJob),
        _ => None,
    };
    let stem = name.rsplit_once('-').map(|(stem, _)| stem);
    is_given(kind, name) || above.zip(stem).is_some_and(|(kind, stem)| is_given(kind, stem))
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    const WEB: &str = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {template: {metadata: {labels: {app: web}}}}\n";

    fn policy(spec: &str) -> String {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP601", WEB), @"4:18 warning metadata.name: no policy isolates shop/Deployment/web for ingress and egress");
        let ingress = policy("{podSelector: {}, policyTypes: [Ingress]}");
        insta::assert_snapshot!(findings("NP601", &format!("{ingress}{WEB}")), @"9:18 warning metadata.name: no policy isolates shop/Deployment/web for egress");
        let other = policy("{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress]}");
        insta::assert_snapshot!(findings("NP601", &format!("{other}{WEB}")), @"9:18 warning metadata.name: no policy isolates shop/Deployment/web for ingress and egress");
        let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web-5-x, namespace: shop, labels: {app: web}, ownerReferences: [{kind: ReplicaSet, name: web-5, controller: true}]}\n";
        insta::assert_snapshot!(findings("NP601", &format!("{WEB}{pod}")), @"4:18 warning metadata.name: no policy isolates shop/Deployment/web for ingress and egress");
    }

    #[test]
    fn passes() {
        let both = policy("{podSelector: {}, policyTypes: [Ingress, Egress]}");
        clean("NP601", &format!("{both}{WEB}"));
        let label = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {netpol.dev/default-deny: all}}\n";
        clean("NP601", &format!("{label}{WEB}"));
        clean("NP601", &WEB.replace("app: web}}", "app: web}}, spec: {hostNetwork: true}"));
        let two = format!(
            "{}{}",
            policy("{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}"),
            policy("{podSelector: {}, policyTypes: [Egress]}").replace("name: p", "name: q")
        );
        clean("NP601", &format!("{two}{WEB}"));
    }
}
