//! Which namespaces something is different in.

use std::collections::BTreeMap;

use netpol_lint::RuleSelector;
use netpol_policy::model::{LabelKey, LabelSelector, LabelValue, Requirement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::effects::Effect;

/// What is different in some namespaces: those with one of the names or with the labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct NamespaceOptions {
    /// Names; `*` at the end stands for anything.
    pub names: Vec<String>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// What the findings of rules do there.
    pub effects: BTreeMap<RuleSelector, Effect>,
    /// What is done there with policies that this cluster can't enforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unenforceable: Option<Effect>,
}

/// A label selector as Kubernetes writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Selector {
    /// Labels with their values.
    pub match_labels: BTreeMap<String, String>,
    /// Other conditions.
    pub match_expressions: Vec<Expression>,
}

/// A condition on a label.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// The label.
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    pub operator: String,
    /// Values for In and NotIn.
    #[serde(default)]
    pub values: Vec<String>,
}

/// Namespaces by name or label.
#[derive(Debug, Clone)]
pub(super) struct Namespaces {
    names: Vec<String>,
    selector: Option<LabelSelector>,
}

impl Namespaces {
    /// # Errors
    /// What is wrong with the selector, or that it names nothing.
    pub(super) fn new(options: &NamespaceOptions) -> Result<Self, String> {
        if options.names.is_empty() && options.selector.is_none() {
            return Err("say which namespaces: `names` or `selector`".to_owned());
        }
        let selector = options.selector.as_ref().map(Selector::read).transpose()?;
        Ok(Self { names: options.names.clone(), selector })
    }

    /// Whether a namespace is one of them; `labels` says whether a selector matches its labels.
    pub(super) fn contain(&self, name: &str, labels: impl Fn(&LabelSelector) -> bool) -> bool {
        let named = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        };
        self.names.iter().any(named) || self.selector.as_ref().is_some_and(labels)
    }
}

impl Selector {
    fn read(&self) -> Result<LabelSelector, String> {
        let key = |key: &str| LabelKey::new(key).map_err(|error| format!("`{key}`: {error}"));
        let value = |value: &String| LabelValue::new(value).map_err(|error| format!("`{value}`: {error}"));
        let mut all = Vec::new();
        for (name, of) in &self.match_labels {
            all.push(Requirement::equals(key(name)?, value(of)?));
        }
        for Expression { key: name, operator, values } in &self.match_expressions {
            let values = values.iter().map(value).collect::<Result<Vec<_>, _>>()?;
            all.push(
                Requirement::new(key(name)?, operator, values)
                    .map_err(|error| format!("`{name}`: {error}"))?,
            );
        }
        Ok(LabelSelector::new(all))
    }
}
