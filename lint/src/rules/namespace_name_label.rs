use netpol_policy::model::{
    LabelKey, LabelSelector, Labelled, METADATA_NAME, NetworkPolicy, Peer, PodNamespaces, Requirement,
};
use netpol_policy::span::Span;

use super::removed_api_version::requote;
use super::selectors::{self, SelectorAt};
use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds namespace selectors that ask for the label `name`.
    ///
    /// ## Why it matters
    /// No namespace has that label by itself. Where nobody has set it, the peer allows nobody. Kubernetes gives every
    /// namespace the label `kubernetes.io/metadata.name`, which nobody can forget or set to something else.
    ///
    /// Silent where a namespace with that label is among the files given.
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
    ///         - namespaceSelector: {matchLabels: {name: office}}
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` asks for the label that is always there.
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
    NP203 "namespace-name-label" {
        severity: Warning,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

/// The label that people give to namespaces by hand.
const NAME: &str = "name";

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in selectors::all(cx).filter(|at| at.of == Labelled::Namespace) {
        let Some(model) = &at.field.value.model else { continue };
        let asked = model
            .requirements()
            .find(|requirement| requirement.key().as_str() == NAME && requirement.operator() == "In");
        let (Some(requirement), Some(place)) = (asked, at.keys(NAME).first().copied()) else { continue };
        if requirement.values().any(|value| cx.index.is_namespace_label(NAME, value.as_str())) {
            continue;
        }
        out.report(
            place,
            at.path(),
            format!(
                "`{requirement}` asks for a label that no namespace has unless somebody set it; \
                 the one with its name is `{METADATA_NAME}`"
            ),
        )
        .help(format!("ask for `{METADATA_NAME}`, which every namespace has"))
        .fix(renamed(cx, &at, model));
    }
}

/// Asks for the label that every namespace has.
fn renamed(cx: &Context<'_>, at: &SelectorAt<'_>, selector: &LabelSelector) -> Option<Fix> {
    let asks_already = selector.requirements().any(|requirement| requirement.key().as_str() == METADATA_NAME);
    if asks_already || at.is_shared(cx) {
        return None;
    }
    let rename = |key: &Span| Edit::replace(*key, requote(cx.file.slice(*key), METADATA_NAME));
    let edits: Vec<_> = at.keys(NAME).iter().map(rename).collect();
    let fix = Fix::changing(format!("ask for `{METADATA_NAME}`"), edits);
    Some(fix.expecting(by_name(cx, at, selector)))
}

/// The policy with the names of namespaces in a peer.
fn by_name(cx: &Context<'_>, at: &SelectorAt<'_>, selector: &LabelSelector) -> Option<NetworkPolicy> {
    let key = LabelKey::new(METADATA_NAME).ok()?;
    let renamed = selector.requirements().map(|requirement| {
        let key = if requirement.key().as_str() == NAME { &key } else { requirement.key() };
        Requirement::new(key.clone(), requirement.operator(), requirement.values().cloned()).ok()
    });
    let renamed = LabelSelector::new(renamed.collect::<Option<Vec<_>>>()?);
    let mut policy = cx.policy.model.as_deref().cloned()?;
    if let Peer::Pods { namespaces, .. } = super::place::peer_mut(&mut policy, &at.peer?)? {
        *namespaces = PodNamespaces::Selected(renamed);
    }
    Some(policy)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP203", r"
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {name: office}}
    podSelector: {matchLabels: {name: web}}
  - namespaceSelector:
      matchExpressions:
      - {key: name, operator: In, values: [office, depot]}
"), @r"
        8:41 warning spec.ingress[0].from[0].namespaceSelector: `name=office` asks for a label that no namespace has unless somebody set it; the one with its name is `kubernetes.io/metadata.name`
        12:17 warning spec.ingress[0].from[1].namespaceSelector: `name in (depot,office)` asks for a label that no namespace has unless somebody set it; the one with its name is `kubernetes.io/metadata.name`
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP203",
            r"
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {team: office}}
    podSelector: {matchLabels: {name: web}}
  - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: office}}
  - namespaceSelector: {matchExpressions: [{key: name, operator: NotIn, values: [office]}]}
",
        );
        clean(
            "NP203",
            "apiVersion: v1\nkind: Namespace\nmetadata: {name: office, labels: {name: office}}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec:\n  ingress: [{from: [{namespaceSelector: {matchLabels: {name: office}}}]}]\n",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP203", r#"
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector:
      matchLabels:
        "name": office # them
  - namespaceSelector: {matchExpressions: [{key: name, operator: In, values: [office]}]}
"#), @r#"
        policyTypes: [Ingress]
        ingress:
        - from:
          - namespaceSelector:
              matchLabels:
                "kubernetes.io/metadata.name": office # them
          - namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [office]}]}
        "#);
    }
}
