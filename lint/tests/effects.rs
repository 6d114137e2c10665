//! What fixes that change the meaning say about it.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{folder, run};

const SPLIT: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
        - podSelector: {matchLabels: {app: prometheus}}
";

const PODS: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: prometheus, namespace: monitoring, labels: {app: prometheus}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: grafana, namespace: monitoring, labels: {app: grafana}}}
";

/// Another policy of the same pods.
fn other(ingress: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: other, namespace: shop}}\nspec:\n  podSelector: {{matchLabels: {{app: db}}}}\n  policyTypes: [Ingress]\n  ingress: {ingress}\n"
    )
}

/// What stands in front of the patch of a file.
fn told(files: &[(&str, &str)], file: &str) -> String {
    let folder = folder(files);
    let run = run(
        folder.path(),
        &["check", "--unsafe-fixes", "--diff", "--extend-select", "ALL", "--ignore", "NP602,NP311", file],
        "",
    );
    assert_eq!(run.status, 1, "{}", run.err);
    run.out.lines().filter_map(|line| Some(format!("{}\n", line.strip_prefix("# ")?))).collect()
}

#[test]
fn in_words() {
    insta::assert_snapshot!(told(&[("a.yaml", SPLIT)], "a.yaml"), @"
        a.yaml: NP101 split-peer-selectors changes what a policy means
          shop/db ingress: all pods of monitoring, and pods app=prometheus of shop → pods app=prometheus of monitoring
        ");
}

#[test]
fn with_workloads() {
    insta::assert_snapshot!(told(&[("a.yaml", &format!("{SPLIT}---\n{PODS}"))], "a.yaml"), @"
        a.yaml: NP101 split-peer-selectors changes what a policy means
          shop/db ingress: all pods of monitoring, and pods app=prometheus of shop → pods app=prometheus of monitoring
          closes every port from monitoring/Pod/grafana to shop/Pod/db
        ");
}

/// A block is its addresses that belong to no pod: the pod with the first one must not hide what changes.
#[test]
fn with_a_pod_in_the_block() {
    let text = "apiVersion: v1
kind: Pod
metadata: {name: web, namespace: a, labels: {app: web}}
spec: {containers: [{name: c}]}
status: {podIP: 10.1.0.1}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: out, namespace: a}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: []
  egress:
    - to: [{ipBlock: {cidr: 10.1.0.0/24}}]
      ports: [{protocol: TCP, port: 443}]
";
    insta::assert_snapshot!(told(&[("a.yaml", text)], "a.yaml"), @"
    a.yaml: NP107 rules-not-in-policy-types changes what a policy means
      a/out egress: not limited → 10.1.0.0/24 on 443/TCP
      closes TCP 1-442,444-65535; UDP; SCTP; ICMP and others from a/Pod/web to 10.1.0.0/24
      closes every port from a/Pod/web to the rest of 0.0.0.0/0
    ");
}

#[test]
fn beside_other_policies() {
    let monitoring = "[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}], ports: [{protocol: TCP, port: 9090}]}]";
    let text = format!("{SPLIT}---\n{PODS}---\n{}", other(monitoring));
    insta::assert_snapshot!(told(&[("a.yaml", &text)], "a.yaml"), @"
        a.yaml: NP101 split-peer-selectors changes what a policy means
          shop/db ingress: all pods of monitoring, and pods app=prometheus of shop → pods app=prometheus of monitoring
          closes TCP 1-9089,9091-65535; UDP; SCTP; ICMP and others from monitoring/Pod/grafana to shop/Pod/db
          without other policies: closes every port from monitoring/Pod/grafana to shop/Pod/db
        ");
    let all = "[{from: [{namespaceSelector: {}}]}]";
    let text = format!("{SPLIT}---\n{PODS}---\n{}", other(all));
    insta::assert_snapshot!(told(&[("a.yaml", &text)], "a.yaml"), @"
        a.yaml: NP101 split-peer-selectors changes what a policy means
          shop/db ingress: all pods of monitoring, and pods app=prometheus of shop → pods app=prometheus of monitoring
          opens and closes nothing, because of other policies
          without other policies: closes every port from monitoring/Pod/grafana to shop/Pod/db
        ");
}

#[test]
fn every_kind_of_change() {
    let policy = |spec: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
        )
    };
    let told = |spec: &str| told(&[("a.yaml", &policy(spec))], "a.yaml");
    // A type that was missing, more ports, two rules that become one, a field that was dropped, one that was refused.
    insta::assert_snapshot!(told("{podSelector: {}, policyTypes: [Ingress], egress: [{to: [{podSelector: {}}]}]}"), @"
        a.yaml: NP107 rules-not-in-policy-types changes what a policy means
          p egress: not limited → all pods of its own namespace
        ");
    insta::assert_snapshot!(told("{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}]}]}"), @"
        a.yaml: NP301 dns-one-protocol changes what a policy means
          p egress: all pods of every namespace on 53/UDP → all pods of every namespace on 53/UDP and 53/TCP
        ");
    insta::assert_snapshot!(told("{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}, {ports: [{port: 80, protocol: TCP}]}]}"), @"
        a.yaml: NP102 split-peers-and-ports changes what a policy means
          p ingress: all pods of its own namespace; everyone on 80/TCP → all pods of its own namespace on 80/TCP
        ");
    insta::assert_snapshot!(told("{podSelector: {}, policyTypes: [Egress], egress: [{from: [{podSelector: {}}]}]}"), @"
        a.yaml: NP003 wrong-direction-field changes what a policy means
          p egress: everyone on every port → all pods of its own namespace
        ");
}

#[test]
fn patches_apply_with_git_and_patch() {
    let crlf = SPLIT.replace('\n', "\r\n");
    let unended = SPLIT.trim_end();
    let files = [("a.yaml", SPLIT), ("deep/b.yaml", &crlf), ("c.yaml", unended), ("pods.yaml", PODS)];
    let expected = folder(&files);
    let fixed = run(expected.path(), &["check", "--fix", "--unsafe-fixes", "--ignore", "NP5"], "");
    assert!(fixed.err.contains("repaired 3 findings in 3 files"), "{}", fixed.err);
    let patch = run(folder(&files).path(), &["check", "--unsafe-fixes", "--diff"], "").out;
    assert_eq!(patch.lines().filter(|line| line.starts_with("# ")).count(), 3 * 3, "{patch}");
    for (program, args) in [("git", &["apply", "-"][..]), ("patch", &["--binary", "-p1"])] {
        let patched = folder(&files);
        if !feed(program, args, patched.path(), &patch) {
            continue;
        }
        for (name, before) in files {
            let [after, expected] =
                [&patched, &expected].map(|f| fs::read_to_string(f.path().join(name)).unwrap());
            assert_eq!(after, expected, "{program}: {name}");
            assert_eq!(after != before, name != "pods.yaml", "{program}: {name}");
        }
    }
}

/// Gives a program its input; whether there is such a program.
fn feed(program: &str, args: &[&str], folder: &Path, input: &str) -> bool {
    use std::io::Write;
    let command = Command::new(program).args(args).current_dir(folder).stdin(Stdio::piped()).spawn();
    let Ok(mut child) = command else { return false };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program} takes\n{input}");
    true
}

#[test]
fn applied_fixes_are_told() {
    let folder = folder(&[("a.yaml", SPLIT), ("pods.yaml", PODS)]);
    let fixed = run(folder.path(), &["check", "--fix", "--unsafe-fixes"], "");
    insta::assert_snapshot!(fixed.err, @"
        a.yaml: NP101 split-peer-selectors changes what a policy means
          shop/db ingress: all pods of monitoring, and pods app=prometheus of shop → pods app=prometheus of monitoring
          closes every port from monitoring/Pod/grafana to shop/Pod/db
        repaired 1 finding in 1 file
        checked 1 policy in 2 files: all clean
        ");
    let safe = run(folder.path(), &["check", "--fix"], "");
    assert!(!safe.err.contains("changes what"), "{}", safe.err);
}

#[test]
fn json() {
    let folder = folder(&[("a.yaml", SPLIT), ("pods.yaml", PODS)]);
    let report = run(folder.path(), &["check", "--select", "NP101", "--output-format", "json"], "");
    let report: Value = serde_json::from_str(&report.out).unwrap();
    let closes = json!([{"from": ["monitoring/Pod/grafana"], "to": ["shop/Pod/db"], "ports": "all"}]);
    let effect = json!({
        "policy": "shop/db",
        "changes": [{
            "what": "ingress",
            "before": "all pods of monitoring, and pods app=prometheus of shop",
            "after": "pods app=prometheus of monitoring",
        }],
        "opens": [],
        "closes": closes,
        "alone": {"opens": [], "closes": closes},
    });
    assert_eq!(report[0]["fix"]["effect"], effect);
    let safe = run(
        folder.path(),
        &["check", "-", "--select", "NP106", "--output-format", "json"],
        &SPLIT.replace("  policyTypes: [Ingress]\n", ""),
    );
    let safe: Value = serde_json::from_str(&safe.out).unwrap();
    assert_eq!(safe[0]["fix"]["effect"], Value::Null);
}

/// Many pods are not a reason to take long.
#[test]
fn too_many_to_ask() {
    let pods: String = (0..30_000)
        .map(|n| format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p{n}, namespace: monitoring, labels: {{app: a{n}}}}}}}\n---\n"))
        .collect();
    let told = told(&[("a.yaml", SPLIT), ("pods.yaml", &format!("{pods}{PODS}"))], ".");
    assert!(!told.contains("closes") && told.contains(" → pods app=prometheus of monitoring"), "{told}");
}
