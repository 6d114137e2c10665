use netpol_policy::model::{LabelSelector, Labelled, METADATA_NAME, NetworkPolicy, Peer, PodNamespaces};

use super::selectors::{self, SelectorAt};
use crate::context::{Context, PeerAt, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds pod selectors that ask for `kubernetes.io/metadata.name`.
    ///
    /// ## Why it matters
    /// Kubernetes gives that label to namespaces, not to pods. The selector matches no pod: the policy isolates none, or
    /// the peer allows nobody.
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
    ///         - podSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
    /// ```
    ///
    /// ## Fix
    /// Ask for it in a `namespaceSelector`. `--unsafe-fixes` does that where the selector of a peer asks for nothing else.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
    /// ```
    NP204 "namespace-label-on-pods" {
        severity: Error,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in selectors::all(cx).filter(|at| at.of == Labelled::Pod) {
        let Some(model) = &at.field.value.model else { continue };
        let (true, Some(place)) = (is_misplaced(model), at.keys(METADATA_NAME).first().copied()) else {
            continue;
        };
        let effect = match at.peer {
            Some(_) => "this peer allows nobody",
            None => "the policy selects nothing",
        };
        let help = match at.peer {
            Some(_) => "ask for it in `namespaceSelector`",
            None => "a policy is about pods of its own namespace, `metadata.namespace`: remove the label",
        };
        out.report(
            place,
            at.path(),
            format!("`{METADATA_NAME}` is a label of namespaces, not of pods: {effect}"),
        )
        .help(help)
        .fix(moved(cx, &at, model));
    }
}

/// Whether a selector of pods asks for a label of namespaces. Excluding it changes nothing, which harms less.
pub(super) fn is_misplaced(selector: &LabelSelector) -> bool {
    selector.requirements().any(|requirement| {
        requirement.key().as_str() == METADATA_NAME && matches!(requirement.operator(), "In" | "Exists")
    })
}

/// Makes a namespace selector of the pod selector of a peer that has nothing else.
fn moved(cx: &Context<'_>, at: &SelectorAt<'_>, selector: &LabelSelector) -> Option<Fix> {
    let peer = at.peer.filter(|peer| peer.peer.namespace_selector.is_absent() && !at.is_shared(cx))?;
    if selector.requirements().any(|requirement| requirement.key().as_str() != METADATA_NAME) {
        return None;
    }
    let key = cx.file.slice(at.field.key);
    let edit = Edit::replace(at.field.key, key.replace("podSelector", "namespaceSelector"));
    let fix = Fix::changing("make it a namespaceSelector", [edit]);
    Some(fix.expecting(by_namespace(cx, &peer, selector)))
}

/// The policy with all pods of some namespaces as a peer.
fn by_namespace(cx: &Context<'_>, at: &PeerAt<'_>, selector: &LabelSelector) -> Option<NetworkPolicy> {
    let mut policy = cx.policy.model.as_deref().cloned()?;
    *super::place::peer_mut(&mut policy, at)? = Peer::Pods {
        namespaces: PodNamespaces::Selected(selector.clone()),
        pods: LabelSelector::everything(),
    };
    Some(policy)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP204", r"
podSelector: {matchLabels: {kubernetes.io/metadata.name: shop, app: web}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {}
    podSelector:
      matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: [office]}
"), @r"
        5:31 error spec.podSelector: `kubernetes.io/metadata.name` is a label of namespaces, not of pods: the policy selects nothing
        12:17 error spec.ingress[0].from[0].podSelector: `kubernetes.io/metadata.name` is a label of namespaces, not of pods: this peer allows nobody
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP204",
            r"
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
    podSelector: {matchLabels: {name: web}}
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP204", r#"
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: # theirs
      matchLabels:
        kubernetes.io/metadata.name: office
  - {"podSelector": {"matchLabels": {"kubernetes.io/metadata.name": "office"}}}
  - podSelector:
      matchLabels:
        kubernetes.io/metadata.name: office
        app: web
"#), @r#"
        policyTypes: [Ingress]
        ingress:
        - from:
          - namespaceSelector: # theirs
              matchLabels:
                kubernetes.io/metadata.name: office
          - {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "office"}}}
          - podSelector:
              matchLabels:
                kubernetes.io/metadata.name: office
                app: web
        "#);
    }
}
