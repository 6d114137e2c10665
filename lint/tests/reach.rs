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
spec: {clusterIP: 10.96.0.10, selector: {app: db}, ports: [{port: 13306, targetPort: mysql}]}
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
