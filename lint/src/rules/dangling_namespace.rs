use netpol_policy::model::{
    Direction, LabelSelector, LabelValue, Labelled, METADATA_NAME, NetworkPolicy, Peer, PodNamespaces,
    Requirement,
};
use netpol_policy::span::{Span, Spanned};

use super::namespace_name_label;
use super::removed_api_version::requote;
use super::selectors::{self, SelectorAt};
use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::index::ALWAYS;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds namespace selectors that match no namespace. Files seldom show every namespace of a cluster, so it speaks up
    /// only where a namespace or a label of nearly the same name is among them: then the other one is probably a slip. With
    /// `external-namespaces` in the configuration everything else counts as shown, and it speaks up for any namespace that
    /// is neither among the files nor listed there.
    ///
    /// ## Why it matters
    /// The rule allows nobody, so a connection that was meant to work is denied, and no tool of the cluster says so.
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
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitorng}}
    /// ---
    /// apiVersion: v1
    /// kind: Namespace
    /// metadata: {name: monitoring}
    /// ```
    ///
    /// ## Fix
    /// Correct the selector, which `--unsafe-fixes` does where it is a slip. Namespaces that exist and aren't among the
    /// files belong into `external-namespaces`.
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
    /// ---
    /// apiVersion: v1
    /// kind: Namespace
    /// metadata: {name: monitoring}
    /// ```
    NP503 "dangling-namespace" {
        severity: Warning,
        scope: Documents,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in selectors::all(cx).filter(|at| at.of == Labelled::Namespace) {
        let Some(selector) = &at.field.value.model else { continue };
        if !selector.is_everything() && is_dangling(cx, selector) {
            for requirement in selector.requirements().filter(|requirement| requirement.operator() == "In") {
                report(cx, &at, selector, requirement, out);
            }
        }
    }
}

/// Whether none of the known namespaces can match, and no other that the configuration tells of.
fn is_dangling(cx: &Context<'_>, selector: &LabelSelector) -> bool {
    !selectors::explained(cx, selector, Labelled::Namespace)
        && !cx.index.is_some_namespace(selector)
        && !cx.settings.may_match_external_namespace(selector)
}

/// Reports the values that nothing has.
fn report(
    cx: &Context<'_>,
    at: &SelectorAt<'_>,
    selector: &LabelSelector,
    requirement: &Requirement,
    out: &mut Reporter<'_>,
) {
    let key = requirement.key().as_str();
    let by_name = key == METADATA_NAME;
    let told = key == "name" && cx.selection.contains(&namespace_name_label::RULE);
    if told || requirement.values().any(|value| is_known(cx, key, value.as_str())) {
        return;
    }
    let nobody = match at.peer.map(|peer| peer.rule.direction) {
        Some(Direction::Egress) => "nothing",
        _ => "nobody",
    };
    let slips: Vec<_> = requirement
        .values()
        .filter_map(|value| Some((value, cx.index.similar_namespace_label(key, value.as_str())?)))
        .collect();
    if slips.is_empty() && !cx.settings.external_namespaces.is_empty() && cx.index.knows_namespaces(key) {
        let what = if by_name { "name" } else { "label" };
        out.report(
            place(at, key, None),
            at.path(),
            format!("no namespace has the {what} {requirement}: this peer allows {nobody}"),
        )
        .label("matches no namespace")
        .help("correct the selector, or list the namespace in `external-namespaces` of the configuration");
        return;
    }
    // Another value, of which nothing is known, may be a namespace's all the same.
    let consequence = if slips.len() == requirement.values().count() {
        format!("this peer allows {nobody}")
    } else {
        format!("for this value the peer allows {nobody}")
    };
    for (value, meant) in slips {
        let what = if by_name { "namespace".to_owned() } else { format!("namespace with {key}") };
        let span = place(at, key, Some(value.as_str()));
        out.report(
            span,
            at.path(),
            format!("no {what} `{value}` is known, but `{meant}` is: {consequence}"),
        )
        .label(format!("did you mean `{meant}`?"))
        .help(format!(
            "write `{meant}`; if there is a `{value}` elsewhere, list it in `external-namespaces` of the configuration"
        ))
        .fix(corrected(cx, at, selector, (requirement, value), span, &meant));
    }
}

/// Whether a namespace has the label; names count also where only policies or the cluster itself need the namespace.
fn is_known(cx: &Context<'_>, key: &str, value: &str) -> bool {
    cx.index.is_namespace_label(key, value)
        || (key == METADATA_NAME
            && (ALWAYS.contains(&value)
                || cx.index.knows_namespace(value)
                || cx.policies.of_namespace(value).next().is_some()))
}

/// Where a value of a label is written, or the label's key.
fn place(at: &SelectorAt<'_>, key: &str, value: Option<&str>) -> Span {
    let selector = &at.field.value;
    let labels = selector.match_labels.value().into_iter().flatten();
    let labels = labels.filter(|(written, _)| &*written.value == key).map(|(_, value)| value.clone());
    let expressions = selector.match_expressions.value().into_iter().flat_map(|list| &list.items);
    let expressions = expressions.filter_map(|item| item.value.as_ref());
    let expressions = expressions.filter(|written| written.key.as_ref().is_some_and(|k| &*k.value == key));
    let items = expressions.filter_map(|written| written.values.value()).flat_map(|list| &list.items);
    let items = items.filter_map(|item| Some(Spanned::new(item.value.clone()?, item.span)));
    let values = labels.chain(items).collect::<Vec<_>>();
    let found = values.iter().find(|written| value.is_none_or(|value| &*written.value == value));
    found.map_or(at.field.span, |written| written.span)
}

/// Writes what was meant.
fn corrected(
    cx: &Context<'_>,
    at: &SelectorAt<'_>,
    selector: &LabelSelector,
    (requirement, value): (&Requirement, &LabelValue),
    span: Span,
    meant: &str,
) -> Option<Fix> {
    let repeated = at.field.value.match_expressions.value().is_some_and(|list| list.items.len() > 1);
    if at.is_shared(cx) || repeated || !is_plain(meant) {
        return None;
    }
    let edits = [Edit::replace(span, requote(cx.file.slice(span), meant))];
    let fix = Fix::changing(format!("write `{meant}`"), edits);
    Some(fix.expecting(meaning(cx, at, selector, (requirement, value), meant)))
}

/// The policy with another value in a selector.
fn meaning(
    cx: &Context<'_>,
    at: &SelectorAt<'_>,
    selector: &LabelSelector,
    (requirement, value): (&Requirement, &LabelValue),
    meant: &str,
) -> Option<NetworkPolicy> {
    let meant = LabelValue::new(meant).ok()?;
    let corrected = selector.requirements().map(|known| {
        let correct = |known_value: &LabelValue| {
            if known == requirement && known_value == value { meant.clone() } else { known_value.clone() }
        };
        Requirement::new(known.key().clone(), known.operator(), known.values().map(correct)).ok()
    });
    let corrected = LabelSelector::new(corrected.collect::<Option<Vec<_>>>()?);
    let mut policy = cx.policy.model.as_deref().cloned()?;
    if let Peer::Pods { namespaces, .. } = super::place::peer_mut(&mut policy, &at.peer?)? {
        *namespaces = PodNamespaces::Selected(corrected);
    }
    Some(policy)
}

/// Whether YAML reads it as text without quotes.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 8] = ["true", "false", "null", "yes", "no", "on", "off", "y"];
    let word = text.to_ascii_lowercase();
    !WORDS.contains(&&*word) && word.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    const NAMESPACES: &str = "
---
apiVersion: v1
kind: Namespace
metadata: {name: monitoring, labels: {team: observers}}
---
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: office}
";

    fn from(selector: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\n\
             spec: {{ingress: [{{from: [{{namespaceSelector: {selector}}}]}}]}}{NAMESPACES}"
        )
    }

    fn named(name: &str) -> String {
        from(&format!("{{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}"))
    }

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP503", &named("monitorng")), @"4:90 warning spec.ingress[0].from[0].namespaceSelector: no namespace `monitorng` is known, but `monitoring` is: this peer allows nobody");
        insta::assert_snapshot!(findings("NP503", &named("offcie")), @"4:90 warning spec.ingress[0].from[0].namespaceSelector: no namespace `offcie` is known, but `office` is: this peer allows nobody");
        insta::assert_snapshot!(findings("NP503", &from("{matchLabels: {team: observer}}")), @"4:67 warning spec.ingress[0].from[0].namespaceSelector: no namespace with team `observer` is known, but `observers` is: this peer allows nobody");
        insta::assert_snapshot!(findings("NP503", &from("{matchExpressions: [{key: team, operator: In, values: [\"observer\"]}]}")), @"4:101 warning spec.ingress[0].from[0].namespaceSelector: no namespace with team `observer` is known, but `observers` is: this peer allows nobody");
        insta::assert_snapshot!(findings("NP503", &named("kube-sistem")), @"4:90 warning spec.ingress[0].from[0].namespaceSelector: no namespace `kube-sistem` is known, but `kube-system` is: this peer allows nobody");
        assert_eq!(findings("NP5", &named("offcie")).lines().count(), 1, "one finding per cause");
    }

    #[test]
    fn another_value_may_be_right() {
        let values = |values: &str| {
            let expression =
                format!("{{key: kubernetes.io/metadata.name, operator: In, values: [{values}]}}");
            findings("NP503", &from(&format!("{{matchExpressions: [{expression}]}}")))
        };
        let found = values("monitorng, x");
        assert!(found.contains("`monitoring` is: for this value the peer allows nobody"), "{found}");
        let found = values("monitorng, offcie");
        assert_eq!(found.matches("is: this peer allows nobody").count(), 2, "{found}");
    }

    #[test]
    fn passes() {
        for name in ["monitoring", "office", "shop", "kube-system", "elsewhere"] {
            clean("NP503", &named(name));
        }
        for selector in [
            "{}",
            "{matchLabels: {team: observers}}",
            "{matchLabels: {team: sales}}",
            "{matchLabels: {stage: monitoring}}",
        ] {
            clean("NP503", &from(selector));
        }
    }

    #[test]
    fn fixes() {
        for (wrong, right) in [("monitorng", "monitoring"), ("'offcie'", "'office'")] {
            assert_eq!(fixed("NP503", &named(wrong)), named(right));
        }
        let list =
            |name| from(&format!("{{matchExpressions: [{{key: team, operator: In, values: [x, {name}]}}]}}"));
        assert_eq!(fixed("NP503", &list("observer")), list("observers"));
    }
}
