//! The rule that lets pods ask the cluster's name server.

use netpol_policy::model::NetworkPolicy;
use netpol_policy::source::Manifest;

use crate::context::Context;
use crate::edits::{column, line_end, newline};
use crate::finding::Edit;

/// In block style, each line with its indentation below the dash.
const BLOCK: [&str; 12] = [
    "- to:",
    "    - namespaceSelector:",
    "        matchLabels:",
    "          kubernetes.io/metadata.name: kube-system",
    "      podSelector:",
    "        matchLabels:",
    "          k8s-app: kube-dns",
    "  ports:",
    "    - protocol: UDP",
    "      port: 53",
    "    - protocol: TCP",
    "      port: 53",
];
const FLOW: &str = "{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, \
                    podSelector: {matchLabels: {k8s-app: kube-dns}}}], \
                    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]}";
const JSON: &str = r#"{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}], "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}"#;

/// Writes the rule after the last of `egress`.
pub(super) fn edits(cx: &Context<'_>) -> Option<Vec<Edit>> {
    let spec = cx.policy.spec.present().filter(|spec| !spec.shared)?;
    let field = spec.value.egress.present().filter(|field| !field.shared)?;
    let (last, text) = (field.value.items.last()?, &*cx.file.text);
    let Some(dash) = last.dash else {
        if last.shared || last.span.is_empty() {
            return None;
        }
        let json = cx.file.slice(last.span).trim_start_matches(['{', ' ', '\n', '\r']).starts_with('"');
        return Some(vec![Edit::insert(last.span.end, format!(", {}", if json { JSON } else { FLOW }))]);
    };
    // The value of an alias is elsewhere; the alias is on the line of its dash.
    let end = if last.shared { dash.end } else { last.span.end.max(dash.end) };
    let end = line_end(text, end - 1);
    let at = text[..end].trim_end_matches(['\n', '\r']).len();
    let (newline, indent) = (newline(text), " ".repeat(column(text, dash.start)));
    let lines: String = BLOCK.iter().map(|line| format!("{newline}{indent}{line}")).collect();
    Some(vec![Edit::insert(at as u32, lines)])
}

/// The policy with the rule after its others.
pub(super) fn expected(model: &NetworkPolicy) -> Option<NetworkPolicy> {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: dns}}\nspec: {{egress: [{FLOW}]}}\n"
    );
    let manifest = Manifest::read(&text, "default");
    let rule = manifest.policies().next()?.model.as_ref()?.egress.as_ref()?.last()?.clone();
    let mut policy = model.clone();
    policy.egress.as_mut()?.push(rule);
    Some(policy)
}
