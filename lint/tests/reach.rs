//! `netpol-lint reach`, as people run it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const MANIFESTS: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: prod, labels: {env: prod}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: prod}
spec:
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-0, namespace: prod, labels: {app: db, role: primary}}
spec: {containers: [{name: c, ports: [{name: mysql, containerPort: 3306}]}]}
status: {podIPs: [{ip: 10.1.0.1}, {ip: 'fd00::1'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db-1, namespace: prod, labels: {app: db}}
spec: {containers: [{name: c, ports: [{name: mysql, containerPort: 3306}]}]}
status: {podIPs: [{ip: 10.1.0.2}, {ip: 'fd00::2'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gone, namespace: prod, labels: {app: db}}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Service
metadata: {name: mysql, namespace: prod}
spec: {clusterIPs: [10.96.0.10, 'fd96::10'], clusterIP: 10.96.0.10, selector: {app: db}, ports: [{port: 13306, targetPort: mysql}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: prod}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: pods, namespace: prod}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 1}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: twin, namespace: prod}
spec: {template: {metadata: {labels: {app: x}}, spec: {}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: twin, namespace: prod}
spec: {jobTemplate: {spec: {template: {metadata: {labels: {app: x}}, spec: {}}}}}
";

const POLICIES: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: db
  namespace: prod
spec:
  podSelector:
    matchLabels:
      app: db
  ingress:
  - from:
    - podSelector:
        matchLabels:
          app: api
    ports:
    - port: mysql
  - from:
    - ipBlock:
        cidr: 203.0.113.0/24
        except: [203.0.113.128/25]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: primary
  namespace: prod
spec:
  podSelector:
    matchLabels:
      role: primary
  ingress:
  - from:
    - ipBlock:
        cidr: fd00::/64
";

fn reach(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("workloads.yaml"), MANIFESTS).unwrap();
    std::fs::write(folder.path().join("policies.yaml"), POLICIES).unwrap();
    reach_in(folder.path(), args)
}

fn reach_in(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol-lint"));
    command.current_dir(folder).arg("reach").args(args).env_remove("NO_COLOR").output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

#[track_caller]
fn status(expected: i32, args: &[&str]) -> String {
    let output = reach(args);
    let shown = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(expected), "{args:?}\n{shown}");
    shown
}

fn json(args: &[&str]) -> Value {
    serde_json::from_slice(&reach(&[args, &["--output-format", "json"]].concat()).stdout).unwrap()
}

/// Of an object given twice the last file's counts (docs/semantics.md): files that are named come in that order, those of a
/// folder in the order of their names, and what is included only tells about the cluster.
#[test]
fn the_last_of_several_counts() {
    let folder = tempfile::tempdir().unwrap();
    let policy = |spec: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: a}}\nspec: {spec}\n"
        )
    };
    let pods = ["x", "y"].map(|name| {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-0, namespace: a}}\nspec: {{}}\n---\n")
    });
    let (open, closed) = (policy("{podSelector: {}, ingress: [{}]}"), policy("{podSelector: {}}"));
    for (name, text) in [
        ("pods.yaml", pods.concat()),
        ("a.yaml", open.clone()),
        ("b.yaml", closed.clone()),
        ("0/now.yaml", closed.clone()),
        ("z/now.yaml", closed),
        ("same/a.yaml", open),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink("a.yaml", folder.path().join("link.yaml")).unwrap();
    let twice = |counts: &str, other: &str| {
        format!(
            "netpol-lint: NetworkPolicy a/p is there more than once: what {counts}:3:18 says counts, not {other}:3:18\n"
        )
    };
    for (files, allowed, note) in [
        (&["a.yaml", "b.yaml"][..], false, twice("b.yaml", "a.yaml")),
        (&["b.yaml", "a.yaml"], true, twice("a.yaml", "b.yaml")),
        (&["a.yaml", "b.yaml", "./a.yaml"], true, twice("a.yaml", "b.yaml")),
        #[cfg(unix)]
        (&["a.yaml", "b.yaml", "link.yaml"], true, twice("a.yaml", "b.yaml")),
        (&["a.yaml", "--include", "z"], true, twice("a.yaml", "z/now.yaml")),
        (&["a.yaml", "--include", "0"], true, twice("a.yaml", "0/now.yaml")),
        (&["z", "a.yaml"], true, twice("a.yaml", "z/now.yaml")),
        (&["."], false, twice("z/now.yaml", "same/a.yaml")),
        (&["a.yaml", "same"], true, String::new()),
        (&["0", "z"], false, String::new()),
    ] {
        let output =
            reach_in(folder.path(), &[&["--from", "a/x-0", "--to", "a/y-0", "pods.yaml"], files].concat());
        assert_eq!(text(&output.stderr), note, "{files:?}");
        assert_eq!(output.status.code(), Some(if allowed { 0 } else { 1 }), "{files:?}");
    }
    // The place that is told is that of the policy that counts.
    let output =
        reach_in(folder.path(), &["--from", "a/x-0", "--to", "a/y-0", "pods.yaml", "b.yaml", "a.yaml"]);
    assert!(text(&output.stdout).contains("a.yaml:"), "{}", text(&output.stdout));
}

#[test]
fn exit_status() {
    let api = ["--from", "prod/api", "--to"];
    for (to, port, expected) in [
        ("prod/db-0", "3306/TCP", 0),
        ("prod/Pod/db-0", "mysql", 0),
        ("prod/pod/db-0", "mysql/TCP", 0),
        ("10.1.0.1", "3306", 0),
        ("prod/db-0", "3307/TCP", 1),
        ("prod/db-0", "3306/UDP", 1),
        ("prod/db-0", "icmp", 1),
        ("prod/Service/mysql", "13306", 0),
        ("10.96.0.10", "13306/TCP", 0),
        ("prod/api", "8080", 0),
        ("203.0.113.7", "443", 0),
    ] {
        status(expected, &[&api[..], &[to, "--port", port]].concat());
    }
    for (from, expected) in [("203.0.113.7", 0), ("203.0.113.200", 1), ("198.51.100.1", 1)] {
        status(expected, &["--from", from, "--to", "prod/db-1", "--port", "3306"]);
        status(expected, &["--from", from, "--to", "prod/db-1"]);
    }
    status(0, &["--from", "api", "--to", "Pod/db-1", "--namespace", "prod", "--port", "mysql"]);
}

#[test]
fn a_denial_names_the_closest_rule() {
    let shown = status(1, &["--from", "prod/Job/twin", "--to", "prod/db-1", "--port", "3306/TCP"]);
    insta::assert_snapshot!(shown, @r"
    denied: prod/Job/twin -> prod/Pod/db-1, 3306/TCP
      egress of prod/Job/twin: open, no policy isolates it
      x ingress of prod/Pod/db-1: denied; policy prod/db comes closest
       ,-[policies.yaml:5:9]
     4 | metadata:
     5 |   name: db
       :         ^|
       :          `-- isolates it
     6 |   namespace: prod
       `----
        ,-[policies.yaml:13:5]
     12 |   - from:
     13 |     - podSelector:
        :     ^^^^^^|^^^^^^
        :           `-- spec.ingress[0].from[0] would need the label app=api on the pod
     14 |         matchLabels:
        `----
    ");
}

#[test]
fn an_allowance_names_the_rule() {
    let shown = status(0, &["--from", "203.0.113.7", "--to", "prod/db-1", "--port", "80/UDP"]);
    insta::assert_snapshot!(shown, @r"
    allowed: 203.0.113.7 -> prod/Pod/db-1, 80/UDP
      egress of 203.0.113.7: open, not a pod, so no NetworkPolicy isolates it
      > ingress of prod/Pod/db-1: allowed by policy prod/db, spec.ingress[1].from[0]
       ,-[policies.yaml:5:9]
     4 | metadata:
     5 |   name: db
       :         ^|
       :          `-- isolates it
     6 |   namespace: prod
       `----
        ,-[policies.yaml:19:5]
     18 |   - from:
     19 |     - ipBlock:
        :     ^^^^|^^^^
        :         `-- this peer matches
     20 |         cidr: 203.0.113.0/24
        `----
    ");
}

#[test]
fn both_families_count() {
    // Over IPv6 the block lets db-1 in, over IPv4 nothing does.
    let shown = status(1, &["--from", "prod/db-1", "--to", "prod/db-0", "--port", "1/TCP"]);
    assert!(shown.starts_with("partly denied: prod/Pod/db-1 -> prod/Pod/db-0, 1/TCP"), "{shown}");
    assert!(shown.contains("denied: prod/Pod/db-1 at 10.1.0.2 -> prod/Pod/db-0 at 10.1.0.1"), "{shown}");
    assert!(shown.contains("allowed: prod/Pod/db-1 at fd00::2 -> prod/Pod/db-0 at fd00::1"), "{shown}");
}

#[test]
fn a_service_is_decided_for_each_endpoint() {
    let answer = json(&["--from", "2001:db8::1", "--to", "prod/mysql", "--port", "13306"]);
    assert_eq!(answer["allowed"], false);
    assert_eq!(answer["routes"].as_array().unwrap().len(), 2);
    // Only one of two: as a whole it is denied, and the output says which.
    let shown = status(1, &["--from", "fd00::99", "--to", "prod/Service/mysql", "--port", "13306"]);
    assert!(shown.starts_with("partly denied: fd00::99 -> prod/Service/mysql, 13306/TCP"), "{shown}");
    assert!(shown.contains("decided after translation: 1 of 2 ways open"), "{shown}");
    assert!(shown.contains("allowed: fd00::99 -> prod/Pod/db-0, 3306/TCP (13306/TCP to mysql)"), "{shown}");
    assert!(shown.contains("denied: fd00::99 -> prod/Pod/db-1, 3306/TCP (13306/TCP to mysql)"), "{shown}");
    // A headless Service translates nothing.
    status(0, &["--from", "prod/api", "--to", "prod/pods", "--port", "3306"]);
}

#[test]
fn everything_that_passes() {
    let shown = status(0, &["--from", "prod/api", "--to", "prod/db-1"]);
    assert!(shown.starts_with("allowed: prod/Deployment/api -> prod/Pod/db-1: TCP 3306\n"), "{shown}");
    let answer = json(&["--from", "prod/api", "--to", "prod/db-1"]);
    assert_eq!(
        answer["routes"][0]["connections"],
        serde_json::json!([{"protocol": "TCP", "ports": ["3306"]}])
    );
    assert_eq!(answer["port"], Value::Null);
    assert_eq!(json(&["--from", "prod/db-1", "--to", "prod/api"])["routes"][0]["connections"], "all");
}

#[test]
fn json_says_why() {
    let answer = json(&["--from", "203.0.113.200", "--to", "prod/db-1", "--port", "80"]);
    let ingress = &answer["routes"][0]["ingress"];
    assert_eq!(ingress["decision"], "denied");
    assert_eq!(ingress["isolatedBy"][0]["policy"]["name"], "prod/db");
    let closest = serde_json::json!({
        "policy": "prod/db", "path": "spec.ingress[1].from[0]", "file": "policies.yaml", "line": 19, "column": 5,
        "lacks": ["an address in 203.0.113.0/24 outside its exception 203.0.113.128/25"],
    });
    assert_eq!(ingress["closest"], closest);
    assert_eq!(answer["routes"][0]["egress"]["decision"], "exempt");
    let allowed = json(&["--from", "prod/api", "--to", "prod/db-1", "--port", "mysql"]);
    assert_eq!(allowed["routes"][0]["ingress"]["rule"]["path"], "spec.ingress[0].from[0]");
    assert_eq!(allowed["routes"][0]["egress"]["decision"], "open");
}

#[test]
fn questions_without_an_answer() {
    for (from, to, port, expected) in [
        ("prod/apii", "prod/db-0", "1", "there is no pod or workload `prod/apii`, did you mean `prod/api`?"),
        ("api", "prod/db-0", "1", "there is no pod or workload `default/api`, did you mean `prod/api`?"),
        (
            "prod/api",
            "prod/mysqll",
            "1",
            "there is no pod, workload or Service `prod/mysqll`, did you mean `prod/mysql`?",
        ),
        (
            "prod/twin",
            "prod/db-0",
            "1",
            "`prod/twin` can mean several things: write prod/CronJob/twin or prod/Job/twin",
        ),
        ("prod/mysql", "prod/db-0", "1", "`prod/mysql` is a Service, which opens no connections"),
        ("prod/gone", "prod/db-0", "1", "pod `prod/Pod/gone` has ended"),
        ("prod/Ingress/x", "prod/db-0", "1", "`Ingress` is no kind that runs pods"),
        ("a/b/c/d", "prod/db-0", "1", "`a/b/c/d` is no name"),
        ("prod/api", "prod/mysql", "3306", "Service prod/mysql has no port 3306/TCP; it has 13306/TCP"),
        ("prod/api", "prod/mysql", "icmp", "Service prod/mysql passes on its ports and no ICMP"),
        (
            "prod/api",
            "prod/nobody",
            "80",
            "Service prod/nobody leads nowhere: no pod given has the labels app=nobody",
        ),
        ("prod/api", "prod/db-0", "web", "prod/Pod/db-0 declares no port named web/TCP"),
        ("prod/api", "192.0.2.1", "web", "192.0.2.1 is an address, which names no ports"),
        ("2001:db8::1", "10.1.0.1", "1", "have no addresses of one family"),
        ("prod/api", "prod/db-0", "99999", "is no port"),
    ] {
        let shown = status(2, &["--from", from, "--to", to, "--port", port]);
        assert!(shown.contains(expected), "{from} {to} {port}: {shown}");
    }
    status(2, &["no-such-folder", "--from", "prod/api", "--to", "prod/db-0"]);
}

#[test]
fn what_does_not_count_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let bad = POLICIES.replace("203.0.113.0/24", "203.0.113.0/33");
    std::fs::write(folder.path().join("a.yaml"), format!("{MANIFESTS}---\n{bad}---\na: [b\n")).unwrap();
    let question = ["--from", "prod/api", "--to", "prod/db-1", "--port", "1"];
    let output = reach_in(folder.path(), &question);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    assert!(text(&output.stderr).contains("no answer without what can't be read"));
    let output = reach_in(folder.path(), &[&question[..], &["--lenient"]].concat());
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "the policy that counts doesn't select db-1: {shown}");
    assert!(shown.contains("left out policy db, which the API server would reject: a.yaml:"), "{shown}");
    assert!(shown.contains("left out a document: a.yaml:"), "{shown}");
}

#[test]
fn plain_text_in_pipes() {
    let args = ["--from", "prod/api", "--to", "prod/db-0", "--port", "1"];
    assert!(!status(1, &args).contains('\x1b'));
    let output = reach(&args);
    assert!(text(&output.stdout).is_ascii());
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol-lint"));
    let forced = command
        .args(["--color", "always", "reach", "--from", "1.1.1.1", "--to", "1.1.1.2"])
        .output()
        .unwrap();
    assert!(text(&forced.stdout).contains('\x1b'));
}

/// What a cluster says to one question, with its exit status.
#[track_caller]
fn ask(manifests: &[&str], from: &str, to: &str, port: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), manifests.join("\n---\n")).unwrap();
    let output = reach_in(folder.path(), &["--from", from, "--to", to, "--port", port]);
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

#[track_caller]
fn says(manifests: &[&str], [from, to, port]: [&str; 3], expected: i32, parts: &[&str]) {
    let (status, shown) = ask(manifests, from, to, port);
    assert_eq!(status, expected, "{from} {to} {port}\n{shown}");
    for part in parts {
        assert!(shown.contains(part), "{from} {to} {port}: no `{part}` in\n{shown}");
    }
}

const WEB: &str = "apiVersion: v1
kind: Pod
metadata: {name: web, namespace: a, labels: {app: web}}
spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
status: {podIP: 10.1.0.1}";
const CLIENT: &str = "{apiVersion: v1, kind: Pod, metadata: {name: cli, namespace: b}, spec: {nodeName: n2}, status: {podIP: 10.1.0.2}}";
const NODES: &str = "apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}";

fn balancer(spec: &str, ingress: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: s, namespace: a}}\n\
         spec: {{type: LoadBalancer, {spec} selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080, nodePort: 30080}}]}}\n\
         status: {{loadBalancer: {{ingress: [{{ip: 203.0.113.10{ingress}}}]}}}}"
    )
}

fn policy(namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {spec}"
    )
}

fn from_block(cidr: &str) -> String {
    policy(
        "a",
        &format!(
            "{{podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: {cidr}}}}}], ports: [{{port: 8080}}]}}]}}"
        ),
    )
}

/// semantics.md: the source is what arrives; an `ipBlock` of the real client can't match then.
#[test]
fn a_load_balancer_that_rewrites_the_source_is_judged_by_what_arrives() {
    let question = ["198.51.100.7", "203.0.113.10", "80/TCP"];
    let client = from_block("198.51.100.0/24");
    let (cluster, local) = (balancer("", ""), balancer("externalTrafficPolicy: Local,", ""));
    says(
        &[WEB, NODES, &cluster, &client],
        question,
        1,
        &["arrives from 192.168.0.1, the address of the node", "would need an address in 198.51.100.0/24"],
    );
    says(&[WEB, NODES, &local, &client], question, 0, &["from[0]"]);
    // An external IP of a Service of any type is treated alike.
    let external = cluster.replace("type: LoadBalancer, ", "externalIPs: [203.0.113.11], ");
    says(&[WEB, NODES, &external, &client], ["198.51.100.7", "203.0.113.11", "80"], 1, &["192.168.0.1"]);
    // The nodes may; it is not their own pods that they ask for, though.
    says(&[WEB, NODES, &cluster, &from_block("192.168.0.0/24")], question, 0, &["allowed"]);
    says(
        &[WEB, NODES, &cluster, &from_block("192.168.0.2/32")],
        question,
        1,
        &["partly denied", "1 of 2 ways open"],
    );
    says(
        &[WEB, NODES, &cluster, &policy("a", "{podSelector: {}}")],
        question,
        1,
        &["nothing that isolates it has a rule"],
    );
    // By the cluster IP and the name nothing is rewritten.
    let named = ["198.51.100.7", "a/s", "80/TCP"];
    says(&[WEB, NODES, &cluster, &client], named, 0, &["allowed"]);
}

/// Nobody knows from which address it arrives: then blocks decide, and all else doesn't depend on it.
#[test]
fn an_unknown_source_is_told() {
    let question = ["198.51.100.7", "203.0.113.10", "80/TCP"];
    let cluster = balancer("", "");
    let shown = ask(&[WEB, &cluster, &from_block("198.51.100.0/24")], question[0], question[1], question[2]);
    assert_eq!(shown.0, 2);
    insta::assert_snapshot!(shown.1, @r"
    it depends: 198.51.100.7 -> a/Service/s, 80/TCP
      Service a/s is decided after translation: 0 of 1 way open

    it depends: 198.51.100.7 -> a/Pod/web, 8080/TCP (80/TCP to 8080)
      egress of 198.51.100.7: open, not a pod, so no NetworkPolicy isolates it
      it arrives from the address of the node that passes it on, not from 198.51.100.7
      ! ingress of a/Pod/web: depends on the address of that node, and no Node with one is given;
      | policy a/p, spec.ingress[0].from[0] lets a block of addresses in
        ,-[a.yaml:16:43]
     14 | kind: NetworkPolicy
     15 | metadata: {name: p, namespace: a}
        :                  |
        :                  `-- isolates it
     16 | spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.51.100.0/24}}], ports: [{port: 8080}]}]}
        :                                           ^^^^^^^^^^^^^^^^^|^^^^^^^^^^^^^^^^
        :                                                            `-- it must be in this block
        `----
    ");
    let folder = tempfile::tempdir().unwrap();
    let manifests = [WEB, &cluster, &from_block("198.51.100.0/24")].join("\n---\n");
    std::fs::write(folder.path().join("a.yaml"), manifests).unwrap();
    let args = ["--from", question[0], "--to", question[1], "--port", "80", "--output-format", "json"];
    let answer: Value = serde_json::from_slice(&reach_in(folder.path(), &args).stdout).unwrap();
    let route = &answer["routes"][0];
    assert_eq!((&answer["allowed"], &route["allowed"]), (&Value::Null, &Value::Null));
    assert_eq!((&route["arrivesFrom"], &route["ingress"]["decision"]), (&"a node".into(), &"depends".into()));
    assert_eq!(route["ingress"]["rule"]["path"], "spec.ingress[0].from[0]");
    let anyone = policy("a", "{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}");
    let pods = policy("a", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}");
    let other_port = from_block("0.0.0.0/0").replace("8080", "8081");
    for (policy, expected) in [
        (String::new(), 0),
        (anyone, 0),
        (from_block("0.0.0.0/0"), 0),
        (pods, 1),
        (other_port, 1),
        (policy("a", "{podSelector: {}}"), 1),
        (from_block("'2001:db8::/32'"), 1),
    ] {
        says(&[WEB, &cluster, &policy], question, expected, &["arrives from the address of the node"]);
    }
    // A load balancer that is a proxy sends from an address of its own, whatever the nodes do.
    let proxy = balancer("externalTrafficPolicy: Local,", ", ipMode: Proxy");
    let client = from_block("198.51.100.0/24");
    says(
        &[WEB, NODES, &proxy, &client],
        question,
        2,
        &["it depends", "the address that the load balancer sends from"],
    );
    let to_balancer = policy(
        "b",
        "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.10/32}}]}]}",
    );
    says(
        &[WEB, NODES, CLIENT, &proxy, &to_balancer],
        ["b/cli", "203.0.113.10", "80"],
        0,
        &["allowed by policy b/p"],
    );
}

/// docs/semantics.md: Services are decided after translation; docs/enforcer.md: a pod's own node is deferred, another node
/// is an ordinary address.
#[test]
fn a_node_port_is_decided_behind_it() {
    let (cluster, local) = (balancer("", ""), balancer("externalTrafficPolicy: Local,", ""));
    let deny = policy("a", "{podSelector: {}}");
    let outside = ["198.51.100.7", "192.168.0.1", "30080"];
    says(&[WEB, NODES, &cluster, &deny], outside, 1, &["Service a/s is decided after translation"]);
    says(
        &[WEB, NODES, &local, &deny],
        outside,
        1,
        &["denied: 198.51.100.7 -> a/Pod/web, 8080/TCP (80/TCP to 8080)"],
    );
    let client = from_block("198.51.100.0/24");
    says(&[WEB, NODES, &local, &client], outside, 0, &["allowed"]);
    says(&[WEB, NODES, &cluster, &client], outside, 1, &["arrives from 192.168.0.1"]);
    // What a node only passes on doesn't have the node's own right to its pods.
    says(&[WEB, NODES, &cluster, &from_block("192.168.0.1/32")], outside, 0, &["from[0]"]);
    // The other node has none of the pods.
    let other = ["198.51.100.7", "192.168.0.2", "30080"];
    says(&[WEB, NODES, &local], other, 2, &["none of its pods is on node n2"]);
    says(&[WEB, NODES, &cluster], other, 0, &["arrives from 192.168.0.2"]);
    // A pod of n2: at another node the node counts, at its own what is behind.
    let only = |cidr: &str| {
        policy(
            "b",
            &format!(
                "{{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: {cidr}}}}}]}}]}}"
            ),
        )
    };
    for (node, cidr, expected) in [
        ("192.168.0.1", "192.168.0.1/32", 0),
        ("192.168.0.1", "10.1.0.1/32", 1),
        ("192.168.0.2", "192.168.0.2/32", 1),
        ("192.168.0.2", "10.1.0.1/32", 0),
    ] {
        says(
            &[WEB, CLIENT, NODES, &cluster, &only(cidr)],
            ["b/cli", node, "30080"],
            expected,
            &["egress of b/Pod/cli"],
        );
    }
    // Any other port is one of the node itself.
    says(&[WEB, NODES, &cluster, &deny], ["198.51.100.7", "192.168.0.1", "30081"], 0, &["not a pod"]);
}

/// An address of one family never leads to endpoints of the other, and a Service has endpoints of its families only.
#[test]
fn services_lead_to_their_own_families() {
    let dual = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: a, labels: {app: web}}, spec: {}, status: {podIPs: [{ip: 10.1.0.9}, {ip: 'fd00::9'}]}}";
    let client = "{apiVersion: v1, kind: Pod, metadata: {name: cli, namespace: b}, spec: {}, status: {podIPs: [{ip: 10.1.0.8}, {ip: 'fd00::8'}]}}";
    let only_ipv4 = policy("a", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}");
    let service = |spec: &str| {
        format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: a}}, spec: {{selector: {{app: web}}, ports: [{{port: 80}}], {spec}}}}}"
        )
    };
    for (spec, to, expected) in [
        ("ipFamilies: [IPv4]", "a/s", 0),
        ("ipFamilies: [IPv6]", "a/s", 1),
        ("clusterIP: 10.96.0.7", "a/s", 0),
        ("clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7]", "a/s", 0),
        ("clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, 'fd96::7']", "a/s", 1),
        ("clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, 'fd96::7']", "10.96.0.7", 0),
        ("clusterIP: 10.96.0.7, clusterIPs: [10.96.0.7, 'fd96::7']", "fd96::7", 1),
        ("ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv4]", "a/s", 1),
        ("ipFamilyPolicy: SingleStack", "a/s", 1),
        ("clusterIP: None, ipFamilies: [IPv4]", "a/s", 0),
    ] {
        says(&[dual, client, &only_ipv4, &service(spec)], ["b/cli", to, "80"], expected, &[]);
    }
    let none = dual.replace(", {ip: 'fd00::9'}", "");
    says(
        &[&none, client, &service("ipFamilies: [IPv6]")],
        ["b/cli", "a/s", "80"],
        2,
        &["its pods have no address of its ipFamilies"],
    );
}

#[test]
fn why_a_service_leads_nowhere() {
    let service = |spec: &str| {
        format!("{{apiVersion: v1, kind: Service, metadata: {{name: s, namespace: a}}, spec: {{{spec}}}}}")
    };
    let slice = |endpoint: &str| {
        format!(
            "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: s-1, namespace: a, labels: {{kubernetes.io/service-name: s}}}}, addressType: IPv4, endpoints: [{endpoint}], ports: [{{port: 8080}}]}}"
        )
    };
    let (selects, bare) =
        (service("selector: {app: web}, ports: [{port: 80}]"), service("ports: [{port: 80}]"));
    let unready = slice("{addresses: [10.1.0.1], conditions: {ready: false}}");
    let over = WEB.replace("status: {", "status: {phase: Failed, ");
    let named = service("selector: {app: web}, ports: [{port: 80, targetPort: https}]");
    let elsewhere = service("type: ExternalName, externalName: example.com, selector: {app: web}");
    let endpoints = "{apiVersion: v1, kind: Endpoints, metadata: {name: s, namespace: a}, subsets: [{addresses: [{ip: 10.1.0.1}], ports: [{port: 8080}]}]}";
    for (objects, expected) in [
        (vec![WEB, &selects, &unready], "its EndpointSlices list only endpoints that are not ready"),
        (vec![WEB, &selects, &slice("")], "its EndpointSlices list no endpoint"),
        (vec![&over, &selects], "all pods with its labels have ended"),
        (vec![WEB, &bare, endpoints], "no EndpointSlice is given; Endpoints objects are not read"),
        (vec![WEB, &named], "its pods declare no port of the name that targetPort asks for"),
        (vec![WEB, &elsewhere], "of the type ExternalName: only a name for a host elsewhere"),
    ] {
        says(&objects, ["1.2.3.4", "a/s", "80"], 2, &[expected]);
    }
    // A headless Service needs no ports: what is asked for is asked of its pods.
    let headless = service("clusterIP: None, selector: {app: web}");
    says(&[WEB, &headless], ["1.2.3.4", "a/s", "8080"], 0, &["a/Pod/web"]);
    says(&[WEB, &headless, &from_block("10.0.0.0/8")], ["1.2.3.4", "a/s", "http"], 1, &["a/Pod/web"]);
    says(&[&over, &headless], ["1.2.3.4", "a/s", "8080"], 2, &["have ended"]);
}

#[test]
fn a_near_miss_names_all_that_is_missing() {
    let dns = policy("a", "{podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 5353}]}]}");
    let needs = |question: &str, text: &str| {
        says(&[WEB, &dns], ["1.2.3.4", "a/web", question], 1, &[text]);
    };
    needs("5354/TCP", "would need the protocol to be UDP and the port to be 5353/UDP");
    needs("5353/TCP", "would need the protocol to be UDP\n");
    needs("5354/UDP", "would need the port to be 5353/UDP\n");
}

#[test]
fn hints_keep_the_kind() {
    let app = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: dbase, namespace: prod}, spec: {template: {metadata: {labels: {app: db}}, spec: {}}}}";
    let stateful = app.replace("Deployment", "StatefulSet").replace("dbase", "db");
    for (to, expected) in [
        ("prod/Deployment/db", "`prod/Deployment/db`, did you mean `prod/StatefulSet/db`?"),
        ("prod/Deployment/dbas", "`prod/Deployment/dbas`, did you mean `prod/Deployment/dbase`?"),
        ("prod/dbas", "`prod/dbas`, did you mean `prod/dbase`?"),
        ("300.1.1.1", "`300.1.1.1` is no address"),
        ("10.0.0.1.2", "`10.0.0.1.2` is no address"),
        ("fd00:::1", "`fd00:::1` is no address"),
    ] {
        says(&[app, &stateful], ["1.2.3.4", to, "80"], 2, &[expected]);
    }
}
