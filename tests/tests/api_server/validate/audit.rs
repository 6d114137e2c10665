//! What the cluster already holds is checked too: for a person, in metrics and as PolicyReports.

use std::process::Command;

use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use netpol_tests::apiserver::{ApiServer, block_on};
use netpol_tests::programs;

use super::{Validating, eventually, policy};

const BAD: &str = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}";

/// The group, the kind and the versions are the real ones; it takes whatever it is given.
const CRD: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: policyreports.wgpolicyk8s.io
  annotations: {api-approved.kubernetes.io: 'unapproved, for a test'}
spec:
  group: wgpolicyk8s.io
  scope: Namespaced
  names: {kind: PolicyReport, plural: policyreports, singular: policyreport, listKind: PolicyReportList, shortNames: [polr]}
  versions:
    - name: v1alpha2
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

/// What else the leader needs.
const LEASES: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: audit-leases}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, list, watch, create, update, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: audit-leases}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: audit-leases}
subjects: [{kind: ServiceAccount, name: netpol-webhook, namespace: netpol-system}]
";

#[test]
fn the_leader_reports_what_is_there() {
    let Some(server) = ApiServer::shared("the_leader_reports_what_is_there") else { return };
    let [namespace, own] = ["audited", "audit-own"].map(|prefix| server.namespace(prefix).unwrap());
    let name = namespace.name();
    server.apply(name, &policy(BAD, "")).unwrap();
    server.apply(own.name(), LEASES).unwrap();
    server.apply("", CRD).unwrap();
    let resource = ApiResource {
        group: "wgpolicyk8s.io".into(),
        version: "v1alpha2".into(),
        api_version: "wgpolicyk8s.io/v1alpha2".into(),
        kind: "PolicyReport".into(),
        plural: "policyreports".into(),
    };
    let api = Api::<DynamicObject>::namespaced_with(server.client().unwrap(), name, &resource);
    let validating =
        Validating::start(server, "", &["--audit-interval", "200ms", "--own-namespace", own.name()]);
    let report = || block_on(api.get_opt("netpol-webhook")).ok().flatten();
    eventually("there is a report", || report().is_some());
    let found = report().unwrap().data;
    assert_eq!(found["summary"]["fail"], 1, "{found:#}");
    let result = &found["results"][0];
    assert_eq!((&result["policy"], &result["result"]), (&"NP107".into(), &"fail".into()), "{found:#}");
    assert_eq!(result["resources"][0]["name"], "db");
    let page = validating.webhook.get("/metrics").unwrap();
    assert!(page.contains("netpol_webhook_audit_findings{code=\"NP107\",effect=\"deny\"} "), "{page}");
    server.delete(name, &policy(BAD, "")).unwrap();
    eventually("the report goes with the policies", || report().is_none());
}

#[test]
fn a_person_can_ask() {
    let Some(server) = ApiServer::shared("a_person_can_ask") else { return };
    let namespace = server.namespace("asked").unwrap();
    server.apply(namespace.name(), &policy(BAD, "")).unwrap();
    let audit = |arguments: &[&str]| {
        let mut command = Command::new(programs::webhook().unwrap());
        command.args(["audit", "--output-format", "concise", "--kubeconfig"]).arg(server.kubeconfig());
        command.args(arguments).output().unwrap()
    };
    let output = audit(&["--refused-only"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let line = format!("cluster:{}/NetworkPolicy/db:", namespace.name());
    assert!(text.lines().any(|found| found.starts_with(&line) && found.contains("NP107")), "{text}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(audit(&["--config", "/nowhere"]).status.code(), Some(2));
}
