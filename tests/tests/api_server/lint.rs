//! netpol-lint on a real API server, with the rights that its documentation asks for and no others.

use std::path::Path;
use std::process::{Command, Output};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use netpol_tests::apiserver::{ApiServer, block_on};
use netpol_tests::programs;

const ROLE: &str = include_str!("../../../docs/lint-cluster.md");

const BINDING: &str = r"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: netpol-lint}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: netpol-lint}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: linter}]
";

/// A CRD that takes whatever it is given.
const ADMIN_CRD: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: clusternetworkpolicies.policy.networking.k8s.io
  annotations: {api-approved.kubernetes.io: 'unapproved, for a test'}
spec:
  group: policy.networking.k8s.io
  scope: Cluster
  names: {kind: ClusterNetworkPolicy, plural: clusternetworkpolicies, singular: clusternetworkpolicy, listKind: ClusterNetworkPolicyList}
  versions:
    - name: v1alpha2
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

const ADMIN_POLICY: &str = r"
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: no-web}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {}}
  ingress:
    - action: Deny
      from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}}]
";

const SHOP: &str = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector: {matchLabels: {app: web}}
        - ipBlock: {cidr: 10.0.0.0/8}
      ports: [{protocol: TCP, port: 3306}]
---
apiVersion: v1
kind: Pod
metadata: {name: db, labels: {app: db}}
spec: {nodeName: lint-a, containers: [{name: db, image: example.com/db, env: [{name: PASSWORD, value: secret}]}]}
status: {phase: Running, podIP: 10.244.1.7, podIPs: [{ip: 10.244.1.7}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {nodeName: lint-b, containers: [{name: web, image: example.com/web}]}
status: {phase: Running, podIP: 10.244.2.7, podIPs: [{ip: 10.244.2.7}]}
---
apiVersion: v1
kind: Node
metadata: {name: lint-a}
spec: {podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24]}
---
apiVersion: v1
kind: Node
metadata: {name: lint-b}
spec: {podCIDR: 10.244.2.0/24, podCIDRs: [10.244.2.0/24]}
";

fn agent(node: &str, container: &str, image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: agent-{node}}}\nspec:\n  nodeName: {node}\n  hostNetwork: true\n  \
         containers: [{{name: {container}, image: '{image}'}}]\nstatus: {{phase: Running}}\n"
    )
}

/// The ClusterRole of the documentation.
fn role() -> &'static str {
    let mut blocks = ROLE.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.find(|block| block.contains("kind: ClusterRole")).expect("the documentation has it")
}

fn lint(kubeconfig: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(programs::linter().unwrap());
    command.args(arguments).arg("--cluster").arg("--kubeconfig").arg(kubeconfig).env_remove("KUBECONFIG");
    command.output().unwrap()
}

/// What `check` finds: lines of `FILE:LINE:COLUMN: CODE …`, with NAMESPACE for the name of the namespace.
#[track_caller]
fn findings(kubeconfig: &Path, namespace: &str, paths: &[&str]) -> Vec<String> {
    let arguments =
        [&["check", "--isolated", "--select", "NP7", "--output-format", "concise"], paths].concat();
    let output = lint(kubeconfig, &arguments);
    assert_ne!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap().replace(namespace, "NAMESPACE");
    text.lines().map(str::to_owned).collect()
}

fn codes(findings: &[String]) -> Vec<&str> {
    findings.iter().map(|line| line.split(' ').find(|word| word.starts_with("NP")).unwrap_or(line)).collect()
}

#[test]
fn a_cluster_and_files_beside_it() {
    let Some(server) = ApiServer::shared("a_cluster_and_files_beside_it") else { return };
    let namespace = server.namespace("lint").unwrap();
    let name = namespace.name();
    server.apply(name, role()).unwrap();
    server.apply(name, BINDING).unwrap();
    server.apply(name, SHOP).unwrap();
    let kubeconfig = server.kubeconfig_as("linter", &[]).unwrap();
    let check = |paths: &[&str]| findings(&kubeconfig, name, paths);

    // Flannel alone.
    for node in ["lint-a", "lint-b"] {
        server.apply(name, &agent(node, "kube-flannel", "ghcr.io/flannel-io/flannel:v0.26.1")).unwrap();
    }
    let found = check(&[]);
    assert_eq!(codes(&found), ["NP701", "NP703"], "{found:#?}");
    assert!(found[0].starts_with("cluster:NAMESPACE/NetworkPolicy/db:4:9: "), "{found:#?}");
    assert!(found[0].contains("on nodes lint-a and lint-b: flannel"), "{found:#?}");
    assert!(found[1].contains("10.0.0.0/8 covers the pod range of 2 nodes"), "{found:#?}");

    // An agent on one node only; the pod that the policy selects is on the other.
    for (node, image) in
        [("lint-a", "ghcr.io/flannel-io/flannel:v0.26.1"), ("lint-b", "quay.io/calico/node:v3.29.1")]
    {
        let container = if image.contains("calico") { "calico-node" } else { "kube-flannel" };
        server.delete(name, &agent(node, container, image)).unwrap();
        server.apply(name, &agent(node, container, image)).unwrap();
    }
    let found = check(&[]);
    assert!(found[0].contains("on node lint-a: flannel"), "{found:#?}");
    assert!(found[0].contains("policies select 1 pod there, such as NAMESPACE/Pod/db"), "{found:#?}");

    // Everywhere.
    server.delete(name, &agent("lint-a", "x", "x")).unwrap();
    server.apply(name, &agent("lint-a", "calico-node", "quay.io/calico/node:v3.29.1")).unwrap();
    assert_eq!(codes(&check(&[])), ["NP703"]);

    // The administrator decides first.
    server.apply(name, ADMIN_CRD).unwrap();
    let applied = (0..200).any(|_| server.apply(name, ADMIN_POLICY).is_ok());
    assert!(applied, "the API server knows the kind soon");
    let found = check(&[]);
    assert_eq!(codes(&found), ["NP704", "NP703"], "{found:#?}");
    assert!(found[0].contains("ClusterNetworkPolicy no-web (priority 10) denies it"), "{found:#?}");
    server.delete(name, ADMIN_POLICY).unwrap();

    // A file is judged beside the cluster, and nothing is said about the cluster's policies.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let policy = |peer: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: db, namespace: {name}}}\n\
             spec: {{podSelector: {{matchLabels: {{app: db}}}}, policyTypes: [Ingress], ingress: [{{from: [{peer}]}}]}}\n"
        )
    };
    let path = file.to_str().unwrap();
    std::fs::write(&file, policy("{podSelector: {matchLabels: {app: wbe}}}")).unwrap();
    let output = lint(&kubeconfig, &["check", "--isolated", "--output-format", "concise", path]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("NP502") && !text.contains("cluster:"), "{text}");

    // As if it had been applied: the web pod reached the database before.
    let reach = |paths: &[&str]| {
        let (from, to) = (format!("{name}/web"), format!("{name}/db"));
        let question = ["reach", "--isolated", "--from", &from, "--to", &to, "--port", "3306/TCP"];
        lint(&kubeconfig, &[&question[..], paths].concat()).status.code()
    };
    assert_eq!(reach(&[]), Some(0));
    assert_eq!(reach(&[path]), Some(1));

    // Nothing can be repaired in a cluster.
    assert_eq!(lint(&kubeconfig, &["check", "--isolated", "--fix"]).status.code(), Some(2));
    server.delete(name, SHOP).unwrap();
}

#[test]
fn without_rights_it_says_so() {
    let Some(server) = ApiServer::shared("without_rights_it_says_so") else { return };
    let kubeconfig = server.kubeconfig_as("nobody-in-particular", &[]).unwrap();
    let output = lint(&kubeconfig, &["check", "--isolated"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("you may not list networkpolicies, namespaces,"), "{err}");
    assert_eq!(output.status.code(), Some(2), "{err}");
}

#[test]
fn without_a_cluster_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    // Port 9 of loopback is the one for discarding; nobody listens there.
    std::fs::write(
        &kubeconfig,
        r#"{"clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}], "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x"}"#,
    )
    .unwrap();
    for (arguments, expected) in [
        (
            &["check", "--isolated"][..],
            "can't reach the API server at http://127.0.0.1:9: Connection refused",
        ),
        (
            &["check", "--isolated", "--context", "y"],
            "can't use the kubeconfig: failed to load current context: y",
        ),
    ] {
        let output = lint(&kubeconfig, arguments);
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains(expected), "{err}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn more_than_a_page() {
    let Some(server) = ApiServer::shared("more_than_a_page") else { return };
    let namespace = server.namespace("pages").unwrap();
    server.apply(namespace.name(), role()).unwrap();
    server.apply(namespace.name(), BINDING).unwrap();
    let pods = Api::<Pod>::namespaced(server.client().unwrap(), namespace.name());
    block_on(async {
        for number in 0..520 {
            let pod = serde_json::json!({
                "metadata": {"name": format!("web-{number}"), "labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "example.com/web"}]},
            });
            pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        }
    });
    let kubeconfig = server.kubeconfig_as("linter", &[]).unwrap();
    let output = lint(&kubeconfig, &["matrix", "--isolated", "--output-format", "json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let missing = (0..520).find(|number| !text.contains(&format!("web-{number}\"")));
    assert_eq!(missing, None, "{}", String::from_utf8_lossy(&output.stderr));
    block_on(pods.delete_collection(&DeleteParams::default().grace_period(0), &ListParams::default()))
        .unwrap();
}
