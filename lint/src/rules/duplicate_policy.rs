use crate::context::{Context, Reporter};
use crate::finding::{Label, Severity};
use crate::policies::KnownPolicy;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds two policies of the same namespace and name: in one file, or, as a warning, in two files of one folder that
    /// both say the namespace. Files of different folders are often variants for one environment each.
    ///
    /// ## Why it matters
    /// The API server keeps one object of a name. The second one that is applied replaces the first, whatever that one
    /// protected, and nobody is told.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// Rename one of them, join their rules, or remove the one that isn't meant.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny-db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny-web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    /// ```
    NP401 "duplicate-policy" {
        severity: Error,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(name) = &cx.policy.metadata.name else { return };
    let namespace = cx.file.namespace_of(cx.policy);
    let earlier = cx.policies.named(namespace, &name.value).take_while(|known| !known.is(cx.policy));
    let earlier: Vec<_> = earlier.filter_map(|known| Some((known, how_near(cx, &known)?))).collect();
    let same_file = earlier.iter().find(|(_, near)| *near == Near::File);
    let Some((first, near)) = same_file.or(earlier.first()) else { return };
    let same = match (first.model(), cx.policy.model.as_deref()) {
        (Some(one), Some(other)) if one == other => "; they mean the same",
        _ => "",
    };
    let (place, severity) = match near {
        Near::File => ("here", Severity::Error),
        Near::Folder => ("in this folder", Severity::Warning),
    };
    let message = format!(
        "policy {namespace}/{} is {place} twice: this one replaces the other when both are applied{same}",
        name.value
    );
    let finding = out.report(name.span, "metadata.name", message);
    finding.severity(severity).label("the same name again");
    finding.help("rename one of them, or put all rules into one");
    if let Some(place) = first.place() {
        finding.related.push(Label { place, text: "the other one".to_owned() });
    }
}

/// How sure it is that two policies are applied together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Near {
    File,
    Folder,
}

fn how_near(cx: &Context<'_>, known: &KnownPolicy<'_>) -> Option<Near> {
    let KnownPolicy::Written { file, source, .. } = known else { return None };
    if file.name == cx.file.name {
        return Some(Near::File);
    }
    let say_it = [*source, cx.policy].iter().all(|policy| policy.metadata.namespace.is_some());
    (say_it && file.folder() == cx.file.folder()).then_some(Near::Folder)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use netpol_policy::model::Cluster;

    use crate::rules::testing::{clean, findings};
    use crate::{Index, Selection, SourceFile, check};

    fn policy(name: &str, spec: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn fails() {
        let twice = [policy("a", "{}"), policy("a", "{policyTypes: [Egress]}")].join("---\n");
        insta::assert_snapshot!(findings("NP401", &twice), @"8:18 error metadata.name: policy default/a is here twice: this one replaces the other when both are applied");
        let same = [policy("a, namespace: shop", "{}"), policy("a, namespace: shop", "{}")].join("---\n");
        insta::assert_snapshot!(findings("NP401", &same), @"8:18 error metadata.name: policy shop/a is here twice: this one replaces the other when both are applied; they mean the same");
        let default = [policy("a", "{}"), policy("a, namespace: default", "{podSelector: 1}")].join("---\n");
        insta::assert_snapshot!(findings("NP401", &default), @"8:18 error metadata.name: policy default/a is here twice: this one replaces the other when both are applied");
    }

    #[test]
    fn passes() {
        let others = [policy("a", "{}"), policy("b", "{}"), policy("a, namespace: shop", "{}")].join("---\n");
        clean("NP401", &others);
        clean(
            "NP401",
            &[policy("a", "{}").replace("name:", "generateName:"), policy("a", "{}")].join("---\n"),
        );
    }

    /// What is said about policies in two files, of which the first is context or not.
    fn two_files(names: [&str; 2], metadata: &str, context: bool) -> Vec<String> {
        let read = |name| SourceFile::read(name, policy(metadata, "{}"), &Arc::from("default"));
        let mut files = names.map(read);
        files[0].context = context;
        let cluster = Cluster::default();
        let settings = Selection::new(&["NP401"], &[]).unwrap().into();
        let report = check(files.into(), &Index::new(&cluster), &settings);
        report.findings.iter().map(|f| format!("{} {}", report.file_of(f).name, f.severity)).collect()
    }

    #[test]
    fn files_of_one_folder() {
        let named = "a, namespace: shop";
        for context in [false, true] {
            assert_eq!(two_files(["x/1.yaml", "x/2.yaml"], named, context), ["x/2.yaml warning"]);
            assert_eq!(two_files(["x/1.yaml", "y/2.yaml"], named, context), [""; 0]);
            assert_eq!(two_files(["1.yaml", "y/2.yaml"], named, context), [""; 0]);
            assert_eq!(two_files(["x/1.yaml", "x/2.yaml"], "a", context), [""; 0]);
        }
    }
}
