//! Findings as PolicyReport objects (`wgpolicyk8s.io/v1alpha2`), which dashboards and other tools read.

use std::collections::{BTreeMap, HashMap};

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use netpol_lint::Severity;
use serde_json::{Value, json};

use super::Audited;
use crate::config::Effect;

/// The name of each report, and who its fields belong to.
const NAME: &str = "netpol-webhook";

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The most results of a report: an object has its limits. The summary counts all of them.
const RESULTS: usize = 1000;

/// Writes reports, and remembers what it wrote: what stays the same isn't written again.
#[derive(Debug, Default)]
pub(super) struct Reports {
    written: HashMap<String, Value>,
}

impl Reports {
    /// One report for each namespace that has policies; those of other namespaces are deleted. `may_write` is asked before
    /// each write. Returns the number of reports; `None` when the cluster has no such kind.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(super) async fn write(
        &mut self,
        client: &Client,
        audited: &[Audited],
        may_write: impl Fn() -> bool,
    ) -> kube::Result<Option<usize>> {
        let ours = ListParams::default().labels(&format!("{MANAGED_BY}={NAME}"));
        let there = match Api::<DynamicObject>::all_with(client.clone(), &kind()).list_metadata(&ours).await {
            Ok(list) => list.items.into_iter().filter_map(|report| report.namespace()).collect::<Vec<_>>(),
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
            Err(error) => return Err(error),
        };
        self.written.retain(|namespace, _| there.contains(namespace));
        let wanted = reports(audited);
        for namespace in there.iter().filter(|namespace| !wanted.contains_key(namespace.as_str())) {
            if !may_write() {
                return Ok(Some(0));
            }
            let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind());
            match api.delete(NAME, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                deleted => drop(deleted?),
            }
        }
        let count = wanted.len();
        for (namespace, report) in wanted {
            if self.written.get(namespace) == Some(&report) {
                continue;
            }
            if !may_write() {
                break;
            }
            let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind());
            match api.patch(NAME, &PatchParams::apply(NAME).force(), &Patch::Apply(&report)).await {
                Ok(_) => _ = self.written.insert(namespace.to_owned(), report),
                // The namespace goes, or is gone.
                Err(kube::Error::Api(status))
                    if status.code == 404 || status.message.contains("is being terminated") =>
                {
                    tracing::debug!(namespace, error = status.message, "no report");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(count))
    }
}

fn kind() -> ApiResource {
    ApiResource {
        group: "wgpolicyk8s.io".to_owned(),
        version: "v1alpha2".to_owned(),
        api_version: "wgpolicyk8s.io/v1alpha2".to_owned(),
        kind: "PolicyReport".to_owned(),
        plural: "policyreports".to_owned(),
    }
}

fn reports(audited: &[Audited]) -> BTreeMap<&str, Value> {
    let mut namespaces = BTreeMap::<&str, Vec<&Audited>>::new();
    for policy in audited {
        namespaces.entry(&policy.namespace).or_default().push(policy);
    }
    namespaces.into_iter().map(|(namespace, policies)| (namespace, report(namespace, &policies))).collect()
}

fn report(namespace: &str, policies: &[&Audited]) -> Value {
    let (mut pass, mut fail, mut warn) = (0, 0, 0);
    let mut results = Vec::new();
    for policy in policies {
        pass += usize::from(policy.findings.is_empty());
        for (finding, effect) in &policy.findings {
            let result = if *effect == Effect::Deny { "fail" } else { "warn" };
            *if *effect == Effect::Deny { &mut fail } else { &mut warn } += 1;
            if results.len() == RESULTS {
                continue;
            }
            let severity = match finding.severity {
                Severity::Error => "high",
                Severity::Warning => "medium",
                Severity::Info => "info",
            };
            results.push(json!({
                "source": NAME,
                "policy": finding.rule.code,
                "rule": finding.rule.name,
                "category": "NetworkPolicy",
                "severity": severity,
                "result": result,
                "scored": true,
                "message": finding.message,
                "properties": {"path": finding.path},
                "resources": [{
                    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                    "namespace": namespace, "name": policy.name,
                }],
            }));
        }
    }
    json!({
        "apiVersion": "wgpolicyk8s.io/v1alpha2",
        "kind": "PolicyReport",
        "metadata": {"name": NAME, "namespace": namespace, "labels": {MANAGED_BY: NAME}},
        "scope": {"apiVersion": "v1", "kind": "Namespace", "name": namespace},
        "summary": {"pass": pass, "fail": fail, "warn": warn, "error": 0, "skip": 0},
        "results": results,
    })
}
