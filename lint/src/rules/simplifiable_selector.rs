use netpol_policy::model::{LabelKey, LabelValue, Requirement};
use netpol_policy::source::{Expression, SelectorSource};

use super::selectors::{self, SelectorAt};
use crate::context::{Context, Reporter, head};
use crate::edits::{expression_to_label, remove_expression};
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds selectors that say something in a long way: `matchExpressions` with one value of `In`, which is a label, and
    /// requirements that are there twice.
    ///
    /// ## Why it matters
    /// The short form is read at a glance, and two that mean the same look the same.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector:
    ///     matchExpressions:
    ///       - key: app
    ///         operator: In
    ///         values: [db]
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// `--fix` writes the label, or removes the repetition.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector:
    ///     matchLabels:
    ///       app: db
    ///   policyTypes: [Ingress]
    /// ```
    NP206 "simplifiable-selector" {
        severity: Info,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in selectors::all(cx) {
        let selector = &at.field.value;
        // What matches nothing has other needs than a shorter form.
        if selector.model.as_ref().is_none_or(|model| model.is_contradictory(at.of)) {
            continue;
        }
        // A list from which several items go at once could end up empty: one at a time.
        let mut fixable = !at.is_shared(cx);
        let items = selector.match_expressions.value().map(|list| list.items.as_slice()).unwrap_or_default();
        let requirements: Vec<_> = items.iter().map(|item| requirement(item.value.as_ref()?)).collect();
        for (index, written) in requirements.iter().enumerate() {
            let Some(written) = written else { continue };
            let repeated = requirements[..index].iter().flatten().any(|earlier| earlier == written);
            if let Some((message, fix)) = longer(cx, &at, index, written, repeated) {
                let item = &items[index];
                let path = format!("{}.matchExpressions[{index}]", at.path());
                out.report(head(cx.file, item.dash, item.span), path, message)
                    .fix(fix.filter(|_| std::mem::take(&mut fixable)));
            }
        }
    }
}

/// What is longer than it need be about an expression, and the short form.
fn longer(
    cx: &Context<'_>,
    at: &SelectorAt<'_>,
    index: usize,
    requirement: &Requirement,
    repeated: bool,
) -> Option<(String, Option<Fix>)> {
    let selector = &at.field.value;
    let label = single_label(requirement);
    let known = label.map(|(key, _)| label_of(selector, key));
    if repeated || label.is_some_and(|(_, value)| known == Some(Some(value))) {
        let edits = remove_expression(cx.file, at.field, index);
        let fix = edits.map(|edits| Fix::safe("remove the repetition", edits));
        return Some((format!("`{requirement}` is required already"), fix));
    }
    let (key, value) = label?;
    // With another value of the same label nothing matches, which is another matter.
    if known != Some(None) {
        return None;
    }
    let value = if value.is_empty() { "\"\"" } else { value };
    let edits = expression_to_label(cx.file, at.field, index);
    let fix = edits.map(|edits| Fix::safe("write it under `matchLabels`", edits));
    Some((format!("one value of `In` is a label: `{key}: {value}`"), fix))
}

fn requirement(expression: &Expression) -> Option<Requirement> {
    let values = expression.values.value().into_iter().flat_map(|list| &list.items);
    let values: Option<Vec<_>> = values.map(|item| LabelValue::new(item.value.as_deref()?).ok()).collect();
    let key = LabelKey::new(&expression.key.as_ref()?.value).ok()?;
    Requirement::new(key, &expression.operator.as_ref()?.value, values?).ok()
}

/// The label that a requirement asks for.
fn single_label(requirement: &Requirement) -> Option<(&str, &str)> {
    let mut values = requirement.values();
    let (value, None) = (values.next()?, values.next()) else { return None };
    (requirement.operator() == "In").then(|| (requirement.key().as_str(), value.as_str()))
}

/// The value that `matchLabels` asks of a label.
fn label_of<'a>(selector: &'a SelectorSource, key: &str) -> Option<&'a str> {
    let mut labels = selector.match_labels.value().into_iter().flatten();
    labels.find(|(known, _)| &*known.value == key).map(|(_, value)| &*value.value)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP206", r"
podSelector:
  matchLabels: {app: a}
  matchExpressions:
  - {key: app, operator: In, values: [a]}
  - {key: tier, operator: In, values: [b]}
  - {key: stage, operator: Exists}
  - {key: stage, operator: Exists}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchExpressions: [{key: team, operator: In, values: ['']}]}
"), @r#"
        8:5 info spec.podSelector.matchExpressions[0]: `app=a` is required already
        9:5 info spec.podSelector.matchExpressions[1]: one value of `In` is a label: `tier: b`
        11:5 info spec.podSelector.matchExpressions[3]: `stage` is required already
        15:46 info spec.ingress[0].from[0].namespaceSelector.matchExpressions[0]: one value of `In` is a label: `team: ""`
        "#);
    }

    #[test]
    fn passes() {
        clean(
            "NP206",
            r"
podSelector:
  matchLabels: {app: a}
  matchExpressions:
  - {key: app, operator: In, values: [b]}
  - {key: tier, operator: In, values: [b, c]}
  - {key: tier, operator: NotIn, values: [d]}
  - {key: stage, operator: Exists}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchExpressions: [{key: app, operator: In, values: [a]}, {key: app, operator: DoesNotExist}]}
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP206", r#"
podSelector:
  matchExpressions:
  - key: app
    operator: In
    values:
    - "yes"
  # mind the stage
  - {key: stage, operator: Exists}
  - {key: tier, operator: In, values: [back]}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector:
      matchLabels:
        app: web # ours
      matchExpressions:
      - {key: app, operator: In, values: [web]}
  - podSelector:
      matchExpressions:
      - {key: app, operator: In, values: [web]}
    namespaceSelector:
      matchLabels: {team: red}
      matchExpressions:
      - {key: stage, operator: In, values: [test]}
  - podSelector: {matchExpressions: [{key: app, operator: In, values: [web]}, {key: tier, operator: Exists}]}
  - {"podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}}
  - podSelector: {matchLabels: {a: b}, matchExpressions: [{key: app, operator: In, values: [web]}]}
  - podSelector:
      matchExpressions:
      - {key: app, operator: In, values: [web]} # stays: who would read this otherwise?
"#), @r#"
        podSelector:
          matchLabels:
            app: "yes"
            tier: back
          matchExpressions:
          # mind the stage
          - {key: stage, operator: Exists}
        policyTypes: [Ingress]
        ingress:
        - from:
          - podSelector:
              matchLabels:
                app: web # ours
          - podSelector:
              matchLabels:
                app: web
            namespaceSelector:
              matchLabels: {team: red, stage: test}
          - podSelector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: Exists}]}
          - {"podSelector": {"matchLabels": {"app": "web"}}}
          - podSelector: {matchLabels: {a: b, app: web}}
          - podSelector:
              matchExpressions:
              - {key: app, operator: In, values: [web]} # stays: who would read this otherwise?
        "#);
    }
}
