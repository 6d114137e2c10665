//! Policies that the cluster already holds, checked with the same rules and the same effects.
//!
//! The audit never changes a policy. What it finds is in metrics, and where the cluster has the kind PolicyReport, in one
//! report for each namespace, written by the leader of all replicas.

mod report;
mod run;

use netpol_lint::facts::ClusterFacts;
use netpol_lint::{Finding, Index, SourceFile, check};
use netpol_policy::model::Cluster;

use crate::config::{Config, Effect};

pub use run::{Summary, keep_auditing};

/// What was found in one policy.
#[derive(Debug)]
pub struct Audited {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What was found, with what it does to a policy that is created now; what would do nothing is left out.
    pub findings: Vec<(Finding, Effect)>,
}

/// Checks the policies of some files, one each, beside the cluster that they are from.
pub fn audit(
    files: Vec<SourceFile>,
    cluster: &Cluster,
    facts: &ClusterFacts,
    config: &Config,
) -> Vec<Audited> {
    let mut facts = facts.clone();
    facts.tell_at_first(&files);
    let index = Index::new(cluster).with_facts(&facts);
    let report = check(files, &index, &config.settings);
    let policies = report.files.iter().map(|file| {
        let (namespace, name) = policy_of(file);
        Audited { namespace: namespace.into(), name: name.into(), findings: Vec::new() }
    });
    let mut policies: Vec<_> = policies.collect();
    let mut effects = std::collections::HashMap::new();
    for finding in report.findings {
        let policy = &mut policies[finding.place.file];
        let effects = effects.entry(policy.namespace.clone()).or_insert_with(|| {
            config.effects(&policy.namespace, |selector| index.namespace_matches(&policy.namespace, selector))
        });
        match effects.of(&finding) {
            Effect::Off => {}
            effect => policy.findings.push((finding, effect)),
        }
    }
    policies
}

/// Namespace and name of a policy of the cluster, from the name of its file: `cluster:NAMESPACE/NetworkPolicy/NAME`.
fn policy_of(file: &SourceFile) -> (&str, &str) {
    let name = file.name.strip_prefix("cluster:").unwrap_or(&file.name);
    name.split_once("/NetworkPolicy/").unwrap_or(("", name))
}
