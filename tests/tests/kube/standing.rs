//! What an agent says of its node, and who reads it.

use netpol_lint::facts::{Enforcement, Evidence, Readable};
use netpol_tests::agent::Agent;
use netpol_tests::apiserver::TempKubeconfig;
use serde_json::Value;

use crate::common::{CONVERGENCE, eventually};

use super::InCluster;
use super::enforcement::three_tier;

/// The agent's pod, as the DaemonSet's controller and a kubelet would have it.
const POD: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: netpol-enforcer}}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: netpol-enforcer}
spec: {nodeName: node-1, hostNetwork: true, containers: [{name: agent, image: "example.com/netpol-enforcer:0.1.0"}]}
status: {phase: Running}
"#;

/// The rights of manifests/enforcer, and those of an agent that may say something but read nothing.
const RIGHTS: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reads}
rules:
- {apiGroups: [""], resources: [namespaces, nodes, pods, services], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reads}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reads}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: agent}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: says, namespace: netpol-enforcer}
rules: [{apiGroups: [""], resources: [pods/status], verbs: [patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: says, namespace: netpol-enforcer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: says}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: agent}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: blind}
"#;

#[test]
fn an_agent_says_whether_its_node_enforces_and_the_linter_reads_it() {
    let Some(mut cluster) = three_tier("what an agent says of its node") else { return };
    cluster.enforced.agents.pop().unwrap().stop().unwrap();
    cluster.server.apply("default", POD).unwrap();
    cluster.server.apply("default", RIGHTS).unwrap();

    // One that never enforced anything, and may not read what it should.
    let output = netpol_tests::agent::command(&cluster.enforced.running, 0, &["cleanup"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let _blind = start(&mut cluster, "blind");
    eventually("the agent says that it enforces nothing", CONVERGENCE, || {
        condition(&cluster).starts_with("False NoObjects")
    });
    assert!(matches!(enforcement(&cluster), Enforcement::SaysNo(_)), "{:?}", enforcement(&cluster));

    cluster.enforced.agents.pop().unwrap().stop().unwrap();
    let _agent = start(&mut cluster, "agent");
    cluster.enforced.wait_until_programmed();
    eventually("the agent says that it enforces", CONVERGENCE, || {
        condition(&cluster).starts_with("True Enforcing netpol-enforcer")
    });
    assert!(matches!(enforcement(&cluster), Enforcement::By(_)), "{:?}", enforcement(&cluster));
    cluster.enforced.expect(&["backend -> db:3306"], &["frontend -> db:3306"]);
}

/// The agent reads its kubeconfig when it starts: it lives as long as that.
fn start(cluster: &mut InCluster, user: &str) -> TempKubeconfig {
    let kubeconfig = cluster.server.kubeconfig_as(user, &["system:authenticated"]).unwrap();
    let who = ["--pod-name", "agent", "--pod-namespace", "netpol-enforcer", "--pod-events", "off"]
        .map(AsRef::as_ref);
    let agent = Agent::start_in_cluster(&cluster.enforced.running, 0, &kubeconfig, &who).unwrap();
    cluster.enforced.agents.push(agent);
    kubeconfig
}

fn condition(cluster: &InCluster) -> String {
    let path = "jsonpath={range .status.conditions[?(@.type=='netpol.dev/Enforcing')]}{.status} {.reason} {.message}{end}";
    cluster.server.kubectl(&["-n", "netpol-enforcer", "get", "pod", "agent", "-o", path]).unwrap()
}

/// What the linter and the webhook make of it.
fn enforcement(cluster: &InCluster) -> Enforcement {
    let mut evidence = Evidence::default();
    for (kind, plural) in [("Node", "nodes"), ("Pod", "pods")] {
        let list = cluster.server.kubectl(&["get", plural, "--all-namespaces", "-o", "json"]).unwrap();
        let list: Value = serde_json::from_str(&list).unwrap();
        list["items"].as_array().unwrap().iter().for_each(|item| evidence.add(kind, item));
    }
    let readable = Readable { namespaces: true, pods: true, daemon_sets: true };
    let nodes = evidence.conclude(readable).nodes;
    nodes.into_iter().find(|node| *node.name == *"node-1").unwrap().enforcement
}
