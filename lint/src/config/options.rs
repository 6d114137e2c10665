//! The keys.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::finding::Severity;
use crate::output::Format;
use crate::select::RuleSelector;
use crate::settings::{ExternalNamespaces, ExternalPods, Pattern};

/// The configuration of netpol-lint, a linter for Kubernetes NetworkPolicies.
// The comments of the fields are the descriptions in the schema.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "netpol-lint.toml", extend("$id" = "netpol-lint.schema.json"))]
pub struct Options {
    /// The rules that are on. Without it: every error and every warning except the groups that are on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<Vec<RuleSelector>>,
    /// Rules that are on beside the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extend_select: Option<Vec<RuleSelector>>,
    /// Rules that are off, whatever else turns them on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore: Option<Vec<RuleSelector>>,
    /// Rules that are off in some files: patterns as in .gitignore, from the folder of this file on, with rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_file_ignores: Option<BTreeMap<Pattern, Vec<RuleSelector>>>,
    /// Severities other than the rules' own. Of several that stand for a rule, the narrowest counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<BTreeMap<RuleSelector, Severity>>,
    /// The least severity with which a finding makes the exit status 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_on: Option<Severity>,
    /// The list of known findings, from the folder of this file on: only what it doesn't have is reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<PathBuf>,
    /// The form of the output of `netpol-lint check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<Format>,
    /// The namespace of objects that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceName>,
    /// Namespaces of the cluster of which the files don't show everything: names or labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_namespaces: Option<Vec<ExternalNamespaces>>,
    /// Pods of the cluster that the files don't show: labels, perhaps after a namespace and a colon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_pods: Option<Vec<ExternalPods>>,
    /// The cluster has IPv4 and IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dual_stack: Option<bool>,
    /// A range of more ports than this is wide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wide_port_range: Option<NonZeroU16>,
    /// Files and folders, from the folder of this file on, that tell about the cluster: they are read, but never reported on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<PathBuf>>,
    /// Files and folders that are left out: patterns as in .gitignore, from the folder of this file on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<Pattern>>,
}

/// The name of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceName(Box<str>);

/// A text that is no name of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no name of a namespace: use lower-case letters, digits and dashes inside, 63 at most")]
pub struct NamespaceError(Box<str>);

impl NamespaceName {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NamespaceName {
    /// Where `kubectl` puts objects that name no namespace, unless told otherwise.
    fn default() -> Self {
        Self("default".into())
    }
}

impl FromStr for NamespaceName {
    type Err = NamespaceError;

    fn from_str(name: &str) -> Result<Self, NamespaceError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = name.starts_with('-') || name.ends_with('-');
        if name.is_empty() || name.len() > 63 || !name.chars().all(fits) || ends {
            return Err(NamespaceError(name.into()));
        }
        Ok(Self(name.into()))
    }
}

impl Options {
    /// These, and where they say nothing, others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        macro_rules! or {
            ($($key:ident),+ $(,)?) => {{
                // Names every key, so that none is forgotten.
                let Self { $($key),+ } = self;
                Self { $($key: $key.or(others.$key)),+ }
            }};
        }
        or!(
            select,
            extend_select,
            ignore,
            per_file_ignores,
            severity,
            fail_on,
            baseline,
            output_format,
            namespace,
            external_namespaces,
            external_pods,
            dual_stack,
            wide_port_range,
            include,
            exclude,
        )
    }
}
