use netpol_policy::model::{Direction, LabelSelector, Namespace, NetworkPolicy, ObjectName};
use netpol_policy::source::Content;
use netpol_policy::span::Span;

use super::default_deny_voided::denies_by_default;
use crate::context::{ObjectContext, Reporter};
use crate::edits::newline;
use crate::file::SourceFile;
use crate::finding::{Edit, Fix};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds namespaces without a policy that selects every pod and isolates it, for each direction. A policy that allows
    /// everything doesn't count; the label `netpol.dev/default-deny` does. It reports at the Namespace; where that isn't
    /// given, at the first policy of the namespace by name. It leaves out `kube-system`, `kube-public` and
    /// `kube-node-lease`. It is on request: select NP6 or NP602.
    ///
    /// ## Why it matters
    /// Pods are open until a policy selects them. Without a default-deny, a new workload, or one whose labels change, is
    /// open to everyone, and nobody is told.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: v1
    /// kind: Namespace
    /// metadata: {name: shop}
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` adds a policy that denies by default to the end of the file. What the pods need must be allowed by
    /// other policies before it is applied; with egress that begins with DNS.
    NP602 "namespace-without-default-deny" {
        severity: Warning,
        scope: Documents,
        fix: Unsafe,
        check: Object(check),
    }
}

/// Namespaces of the cluster itself, which a default-deny would break.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

fn check(cx: &ObjectContext<'_>, out: &mut Reporter<'_>) {
    // The namespace's name, whether to write it, and the place to show.
    let (namespace, is_written, place) = match &cx.object.content {
        Content::Namespace(namespace) => (namespace.name(), true, cx.object.name),
        Content::Policy(policy) => {
            let Some(model) = &policy.model else { return };
            let namespace = &*model.name.namespace;
            let first = cx.index.policies(namespace).map(|policy| &policy.name.name).min();
            if first != Some(&model.name.name) || cx.index.cluster().namespaces.contains_key(namespace) {
                return;
            }
            (namespace, policy.metadata.namespace.is_some(), cx.object.name)
        }
        _ => return,
    };
    if SYSTEM.contains(&namespace) {
        return;
    }
    let label = cx.index.cluster().namespaces.get(namespace).map(Namespace::default_deny);
    let open: Vec<_> = Direction::ALL
        .into_iter()
        .filter(|direction| !label.is_some_and(|label| label.isolates(*direction)))
        .filter(|direction| !cx.index.policies(namespace).any(|policy| denies_by_default(policy, *direction)))
        .collect();
    if open.is_empty() {
        return;
    }
    let fields: Vec<_> = open.iter().map(|direction| direction.field()).collect();
    out.report(
        place,
        "metadata.name",
        format!("no policy of namespace {namespace} denies {} by default", words::list(&fields)),
    )
    .label("pods that no policy selects are open")
    .fix(generate(cx, namespace, is_written, &open));
}

/// Adds a policy to the end of the file.
fn generate(cx: &ObjectContext<'_>, namespace: &str, is_written: bool, open: &[Direction]) -> Option<Fix> {
    let text = &cx.file.text;
    if !cx.file.manifest.errors.is_empty() || text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let names = match open {
        [one] => [format!("default-deny-{one}"), format!("default-deny-all-{one}")],
        _ => ["default-deny".to_owned(), "default-deny-all".to_owned()],
    };
    let is_free = |name: &String| cx.index.policies(namespace).all(|policy| *policy.name.name != **name);
    let name = names.into_iter().find(is_free)?;
    let types: Vec<_> = open.iter().map(|direction| format!("    - {}", direction.policy_type())).collect();
    let mut lines = vec!["apiVersion: networking.k8s.io/v1", "kind: NetworkPolicy", "metadata:"];
    let (name_line, namespace_line) = (format!("  name: {name}"), format!("  namespace: {namespace}"));
    lines.push(&name_line);
    if is_written {
        lines.push(&namespace_line);
    }
    lines.extend(["spec:", "  podSelector: {}", "  policyTypes:"]);
    lines.extend(types.iter().map(String::as_str));
    let newline = newline(text);
    let document: String = lines.iter().map(|line| format!("{line}{newline}")).collect();
    let edit = Edit::insert(text.len() as u32, format!("{}{document}", separator(cx.file)));
    let isolated = |direction| open.contains(&direction).then(Vec::new);
    let policy = NetworkPolicy {
        name: ObjectName::new(namespace, &*name),
        pod_selector: LabelSelector::everything(),
        ingress: isolated(Direction::Ingress),
        egress: isolated(Direction::Egress),
    };
    Some(Fix::adding(format!("add policy {name}"), edit, policy))
}

/// What begins another document at the end of a file.
fn separator(file: &SourceFile) -> String {
    let newline = newline(&file.text);
    let last = file.text.lines().next_back().unwrap_or_default();
    let end = Span::new(file.text.len() as u32 - u32::from(!file.text.is_empty()), file.text.len() as u32);
    let broken = if file.slice(end) == "\n" { "" } else { newline };
    if last.trim_end() == "---" { broken.to_owned() } else { format!("{broken}---{newline}") }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";

    fn policy(name: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP602", NAMESPACE), @"3:18 warning metadata.name: no policy of namespace shop denies ingress and egress by default");
        let web = policy("web", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress]}");
        insta::assert_snapshot!(findings("NP602", &format!("{NAMESPACE}{web}")), @"3:18 warning metadata.name: no policy of namespace shop denies ingress and egress by default");
        insta::assert_snapshot!(findings("NP602", &format!("{web}{}", web.replace("name: web", "name: a"))), @"9:18 warning metadata.name: no policy of namespace shop denies ingress and egress by default");
        let ingress = policy("deny", "{podSelector: {}, policyTypes: [Ingress]}");
        insta::assert_snapshot!(findings("NP602", &format!("{NAMESPACE}{ingress}")), @"3:18 warning metadata.name: no policy of namespace shop denies egress by default");
        let open = policy("open", "{podSelector: {}, ingress: [{}], egress: [{}]}");
        insta::assert_snapshot!(findings("NP602", &format!("{NAMESPACE}{open}")), @"3:18 warning metadata.name: no policy of namespace shop denies ingress and egress by default");
    }

    #[test]
    fn passes() {
        let deny = policy("deny", "{podSelector: {}, policyTypes: [Ingress, Egress]}");
        clean("NP602", &format!("{NAMESPACE}{deny}"));
        clean(
            "NP602",
            &NAMESPACE.replace("name: shop", "name: shop, labels: {netpol.dev/default-deny: all}"),
        );
        clean("NP602", &NAMESPACE.replace("shop", "kube-system"));
        clean("NP602", &deny);
        clean("NP602", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\n");
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP602", NAMESPACE), @r"
        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: default-deny
          namespace: shop
        spec:
          podSelector: {}
          policyTypes:
            - Ingress
            - Egress
        ");
        let ingress = policy("default-deny-egress", "{podSelector: {}, policyTypes: [Ingress]}");
        insta::assert_snapshot!(fixed("NP602", &format!("{NAMESPACE}{}", ingress.trim_end())), @r"
        apiVersion: v1
        kind: Namespace
        metadata: {name: shop}
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: default-deny-egress, namespace: shop}
        spec: {podSelector: {}, policyTypes: [Ingress]}
        ---
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          name: default-deny-all-egress
          namespace: shop
        spec:
          podSelector: {}
          policyTypes:
            - Egress
        ");
        let crlf = NAMESPACE.replace('\n', "\r\n");
        assert!(fixed("NP602", &crlf).ends_with("metadata: {name: shop}\r\n---\r\napiVersion: networking.k8s.io/v1\r\nkind: NetworkPolicy\r\nmetadata:\r\n  name: default-deny\r\n  namespace: shop\r\nspec:\r\n  podSelector: {}\r\n  policyTypes:\r\n    - Ingress\r\n    - Egress\r\n"));
        let two = format!("{NAMESPACE}---\n{}", NAMESPACE.replace("shop", "office"));
        assert_eq!(fixed("NP602", &two).matches("name: default-deny\n").count(), 2);
        let no_namespace = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\nspec: {podSelector: {matchLabels: {app: web}}}\n---\n";
        assert!(!fixed("NP602", no_namespace).contains("namespace"));
        let json = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}"#;
        assert_eq!(fixed("NP602", json), json);
    }
}
