//! The keys.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use netpol_lint::{ExternalNamespaces, ExternalPods, RuleSelector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::break_glass::BreakGlass;
use super::effects::Effect;
use super::namespaces::NamespaceOptions;

/// The configuration of netpol-webhook, an admission webhook for Kubernetes NetworkPolicies.
// The comments of the fields are the descriptions in the schema.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "netpol-webhook.yaml", extend("$id" = "netpol-webhook.schema.json"))]
pub struct Options {
    /// What the findings of rules do. Of several words that stand for a rule, the narrowest counts. Without it: errors
    /// deny, warnings warn, the rest is off.
    pub effects: BTreeMap<RuleSelector, Effect>,
    /// What is done with policies that this cluster can't enforce (NP506, NP509, NP701, NP702). Without it: as `effects`
    /// says, but NP701 only warns, because nobody who writes a policy can do anything about a missing agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unenforceable: Option<Effect>,
    /// What is different in some namespaces. Later entries win over earlier ones.
    pub namespaces: Vec<NamespaceOptions>,
    /// The way round a refusal.
    pub break_glass: BreakGlass,
    /// What a change does to who may connect, in the warnings.
    pub preview: Preview,
    /// Namespaces of which the API server doesn't show everything: names or labels.
    pub external_namespaces: Vec<ExternalNamespaces>,
    /// Pods that the API server doesn't show: labels, perhaps after a namespace and a colon.
    pub external_pods: Vec<ExternalPods>,
    /// The cluster has IPv4 and IPv6.
    pub dual_stack: bool,
    /// A range of more ports than this is wide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wide_port_range: Option<NonZeroU16>,
}

/// What a change does to who may connect, in the warnings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Preview {
    /// Whether it is told at all.
    pub enabled: bool,
    /// At most so many pairs of workloads are looked at for one change; beyond that, it is only said that there are more.
    pub pairs: u32,
}

impl Default for Preview {
    fn default() -> Self {
        Self { enabled: true, pairs: 400 }
    }
}
