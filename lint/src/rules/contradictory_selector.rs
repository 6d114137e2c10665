use netpol_policy::model::{LabelSelector, Labelled, Requirement};

use super::selectors::{self, SelectorAt};
use crate::context::{Context, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds selectors whose requirements exclude each other.
    ///
    /// ## Why it matters
    /// The requirements of a selector must all hold. A label has one value, so nothing is both `app=a` and `app=b`, and
    /// the selector matches nothing: the policy isolates no pod, or the peer allows nobody.
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
    ///         - podSelector:
    ///             matchExpressions:
    ///               - {key: app, operator: In, values: [web]}
    ///               - {key: app, operator: In, values: [api]}
    /// ```
    ///
    /// ## Fix
    /// For one or the other, list the values in one requirement, or write two peers.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector:
    ///             matchExpressions:
    ///               - {key: app, operator: In, values: [web, api]}
    /// ```
    NP201 "contradictory-selector" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in selectors::all(cx) {
        let Some(requirements) = at.field.value.model.as_ref().and_then(|model| contradiction(model, at.of))
        else {
            continue;
        };
        let texts: Vec<_> = requirements.iter().map(|requirement| format!("`{requirement}`")).collect();
        let what = match at.of {
            Labelled::Pod => "pod",
            Labelled::Namespace => "namespace",
        };
        let effect = match at {
            SelectorAt { peer: Some(_), .. } => "this peer allows nobody",
            SelectorAt { peer: None, .. } => "the policy selects nothing",
        };
        let key = requirements[0].key().as_str();
        let places = at.keys(key);
        let finding = out.report(
            places.last().copied().unwrap_or(at.field.span),
            at.path(),
            match &*texts {
                [one] => format!("no {what} can meet {one}: {effect}"),
                _ => format!("no {what} can meet {} at once: {effect}", words::list(&texts)),
            },
        );
        if let [first, .., last] = *places
            && first != last
        {
            finding.near(first, "the other requirement");
        }
    }
}

/// Requirements of one label that can't hold together.
fn contradiction(selector: &LabelSelector, of: Labelled) -> Option<Vec<&Requirement>> {
    if !selector.is_contradictory(of) {
        return None;
    }
    let all: Vec<_> = selector.requirements().collect();
    let by_key = all.chunk_by(|a, b| a.key() == b.key());
    let contradict =
        |of_key: &&[&Requirement]| LabelSelector::new(of_key.iter().copied().cloned()).is_contradictory(of);
    by_key.into_iter().find(contradict).map(<[_]>::to_vec)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP201", r"
podSelector:
  matchLabels: {app: a}
  matchExpressions:
  - {key: app, operator: In, values: [b, c]}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchExpressions: [{key: app, operator: Exists}, {key: app, operator: DoesNotExist}]}
  - namespaceSelector: {matchExpressions: [{key: a, operator: In, values: [x]}, {key: a, operator: NotIn, values: [x, z]}]}
  - namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: DoesNotExist}]}
"), @r"
        8:13 error spec.podSelector: no pod can meet `app=a` and `app in (b,c)` at once: the policy selects nothing
        12:76 error spec.ingress[0].from[0].podSelector: no pod can meet `app` and `!app` at once: this peer allows nobody
        13:89 error spec.ingress[0].from[1].namespaceSelector: no namespace can meet `a=x` and `a notin (x,z)` at once: this peer allows nobody
        14:52 error spec.ingress[0].from[2].namespaceSelector: no namespace can meet `!kubernetes.io/metadata.name`: this peer allows nobody
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP201",
            r"
podSelector:
  matchLabels: {app: a}
  matchExpressions:
  - {key: app, operator: In, values: [a, c]}
  - {key: app, operator: NotIn, values: [c]}
  - {key: tier, operator: NotIn, values: [c]}
  - {key: tier, operator: Exists}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [a]}, {key: app, operator: DoesNotExist}]}
  - podSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: DoesNotExist}]}
",
        );
    }
}
