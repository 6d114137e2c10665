//! Findings that are known and meant.

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{Run, folder, run};

/// Two findings: NP103 on line 8, NP106 on line 4.
const OPEN: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {}
  ingress:
    # from the proxy
    - from: []
";

fn codes(run: &Run) -> Vec<&str> {
    run.out.lines().filter_map(|line| line.split(' ').nth(1)).collect()
}

/// What is found in a text.
fn check(text: &str) -> Vec<String> {
    let folder = folder(&[("a.yaml", text)]);
    let run = run(folder.path(), &["check", "--output-format", "concise", "a.yaml"], "");
    assert_eq!(run.err, "", "{text}");
    codes(&run).into_iter().map(str::to_owned).collect()
}

#[test]
fn places() {
    let with = |from: &str, to: &str| {
        assert!(OPEN.contains(from));
        check(&OPEN.replacen(from, to, 1))
    };
    assert_eq!(check(OPEN), ["NP106", "NP103"]);
    // On the line.
    assert_eq!(with("spec:", "spec: # netpol-lint: ignore[NP106]"), ["NP103"]);
    assert_eq!(with("from: []", "from: [] # netpol-lint: ignore[NP103] the list follows"), ["NP106"]);
    assert_eq!(with("from: []", "from: [] # soon # netpol-lint: ignore[np103]"), ["NP106"]);
    assert_eq!(with("from: []", "from: [] # netpol-lint: ignore[NP106]"), ["NP106", "NP103"]);
    assert_eq!(with("ingress:", "ingress: # netpol-lint: ignore[NP103]"), ["NP106", "NP103"]);
    // Above it, and above what it is in.
    assert_eq!(with("    # from", "    # netpol-lint: ignore[empty-peer-list] soon\n    # from"), ["NP106"]);
    assert_eq!(with("  ingress:", "  # netpol-lint: ignore[NP1]\n  ingress:"), ["NP106"]);
    assert_eq!(with("spec:", "# netpol-lint: ignore[NP103, NP106]\nspec:"), [""; 0]);
    assert_eq!(with("  podSelector", "  # netpol-lint: ignore[NP103]\n  podSelector"), ["NP106", "NP103"]);
    assert_eq!(with("metadata", "# netpol-lint: ignore[NP103]\nmetadata"), ["NP106", "NP103"]);
    // Above the object: it alone.
    let named = |namespace: &str| OPEN.replacen("namespace: shop", &format!("namespace: {namespace}"), 1);
    let (office, store) = (named("office"), named("store"));
    let two = format!("{OPEN}---\n# netpol-lint: ignore[NP103,NP106]\n{office}---\n{store}");
    assert_eq!(check(&two), ["NP106", "NP103", "NP106", "NP103"]);
    // For the file.
    let file = format!("# Ours.\n# netpol-lint: ignore-file[NP103] later\n---\n{OPEN}---\n{office}");
    assert_eq!(check(&file), ["NP106", "NP106"]);
    // By annotation.
    let annotation = |value: &str| {
        with(
            "namespace: shop}",
            &format!("namespace: shop, annotations: {{netpol.dev/lint-ignore: {value}}}}}"),
        )
    };
    assert_eq!(annotation("NP103"), ["NP106"]);
    assert_eq!(annotation("'NP103,NP106 because, well'"), [""; 0]);
    assert_eq!(annotation("NP106 not NP103"), ["NP103"]);
}

#[test]
fn lists_and_json() {
    let policy = |name: &str, ignored: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "shop", "annotations": {"netpol.dev/lint-ignore": ignored}},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": []}]},
        })
    };
    let json = json!({"apiVersion": "v1", "kind": "List", "items": [policy("a", "NP103"), policy("b", "NP106,NP101")]});
    let folder = folder(&[("a.json", &json.to_string())]);
    let run = run(folder.path(), &["check", "--output-format", "json"], "");
    let found: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found[0]["object"], "b");
}

#[test]
fn what_cannot_be_read_is_suppressed_for_the_file_only() {
    let broken = "kind: NetworkPolicy\n# netpol-lint: ignore[NP013]\nspec: { # netpol-lint: ignore[NP013]\n";
    assert_eq!(check(broken), ["NP013"]);
    assert_eq!(check(&format!("# netpol-lint: ignore[NP013]\n{broken}")), ["NP013"]);
    assert_eq!(check(&format!("# netpol-lint: ignore-file[NP013] a sample\n{broken}")), [""; 0]);
}

#[test]
fn slips_are_told() {
    let text = format!(
        "# netpol-lint: ignore-file[NP1003]\n# netpol-lint: ignore-files[NP103]\n{}",
        OPEN.replace("from: []", "from: [] # netpol-lint: ignore[empty-per-list] x")
    );
    let folder = folder(&[("a.yaml", &text)]);
    let told = run(folder.path(), &["check", "--output-format", "concise"], "");
    assert_eq!(codes(&told), ["NP106", "NP103"]);
    insta::assert_snapshot!(told.err, @"
        netpol-lint: a.yaml:1:1: `NP1003` is no rule: nothing is suppressed by it; did you mean `NP003`?
        netpol-lint: a.yaml:2:1: this is no suppression: it lacks `ignore[…]` or `ignore-file[…]`
        netpol-lint: a.yaml:10:16: `empty-per-list` is no rule: nothing is suppressed by it; did you mean `empty-peer-list`?
        ");
    // Not twice.
    let found = run(folder.path(), &["check", "--output-format", "concise", "--select", "NP901"], "");
    assert_eq!((codes(&found).len(), found.err.as_str()), (3, ""));
    let none = run(folder.path(), &["check", "--output-format", "concise", "--disregard-suppressions"], "");
    assert_eq!((codes(&none).len(), none.err.as_str()), (2, ""));
}

#[test]
fn unused_ones_are_removed() {
    let text = OPEN.replace("from: []", "from: [] # netpol-lint: ignore[NP103,NP106] soon");
    let folder = folder(&[("a.yaml", &text)]);
    let fixed = run(folder.path(), &["check", "--select", "NP901", "--fix"], "");
    assert_eq!(fixed.status, 0, "{}", fixed.out);
    let after = fs::read_to_string(folder.path().join("a.yaml")).unwrap();
    assert_eq!(after, text.replace("NP103,NP106", "NP103"));
}

#[test]
fn what_is_suppressed_is_not_repaired() {
    let text = OPEN.replace("spec:", "spec: # netpol-lint: ignore[NP106]");
    let folder = folder(&[("a.yaml", &text), ("b.yaml", OPEN)]);
    let fixed = run(folder.path(), &["check", "--fix"], "");
    assert_eq!(fs::read_to_string(folder.path().join("a.yaml")).unwrap(), text);
    assert!(fs::read_to_string(folder.path().join("b.yaml")).unwrap().contains("policyTypes"));
    assert!(fixed.err.contains("; 1 finding suppressed"), "{}", fixed.err);
}

#[test]
fn every_format_leaves_them_out() {
    let text = OPEN.replace("from: []", "from: [] # netpol-lint: ignore[NP103] soon");
    let folder = folder(&[("a.yaml", &text)]);
    for format in ["full", "concise", "grouped", "json", "github", "gitlab", "junit", "rdjson"] {
        let run = run(folder.path(), &["check", "--output-format", format], "");
        assert!(run.out.contains("NP106") && !run.out.contains("NP103"), "{format}: {}", run.out);
    }
    let statistics = run(folder.path(), &["check", "--statistics", "--output-format", "concise"], "");
    assert!(!statistics.out.contains("NP103"), "{}", statistics.out);
    // SARIF has a word for it.
    let sarif = run(folder.path(), &["check", "--output-format", "sarif"], "");
    let sarif: Value = serde_json::from_str(&sarif.out).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let suppressions: Vec<_> =
        results.iter().map(|r| (r["ruleId"].clone(), r["suppressions"].clone())).collect();
    assert_eq!(
        suppressions,
        [
            (json!("NP106"), json!([])),
            (json!("NP103"), json!([{"kind": "inSource", "justification": "soon"}])),
        ]
    );
    // It keeps its fingerprint.
    let open = run(folder.path(), &["check", "--output-format", "sarif", "--disregard-suppressions"], "");
    let open: Value = serde_json::from_str(&open.out).unwrap();
    let fingerprint = |log: &Value| log["runs"][0]["results"][1]["partialFingerprints"].clone();
    assert_eq!(fingerprint(&open), fingerprint(&sarif));
}

/// A text after `--add-ignores`. Nothing is found in it, and a second time changes nothing.
fn with_ignores(name: &str, text: &str) -> String {
    let folder = folder(&[(name, text)]);
    let check = |args: &[&str]| {
        run(folder.path(), &[&["check", "--output-format", "concise", name], args].concat(), "")
    };
    let found = check(&[]);
    assert_ne!(found.out, "", "{text}");
    let added = check(&["--add-ignores"]);
    let after = fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!((added.out.as_str(), added.status), ("", 0), "{after}");
    let count = format!("suppressed {} finding", found.out.lines().count());
    assert!(added.err.starts_with(&count), "{}{}", found.out, added.err);
    let again = check(&["--add-ignores"]);
    assert_eq!((again.out.as_str(), again.err.as_str()), ("", ""));
    assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), after);
    assert_eq!(check(&["--select", "NP901"]).out, "", "every one is needed:\n{after}");
    after
}

#[test]
fn ignores_at_line_ends() {
    assert_eq!(
        with_ignores("a.yaml", OPEN),
        OPEN.replace("spec:", "spec:  # netpol-lint: ignore[NP106]")
            .replace("from: []", "from: []  # netpol-lint: ignore[NP103]")
    );
    let odd = "\u{feff}apiVersion: networking.k8s.io/v1\r\nkind: NetworkPolicy\r\nmetadata: {name: web, namespace: shop}\r\nspec:  \r\n  podSelector: {}\r\n  ingress: [{from: []}, {from: [null]}]\t# ours";
    insta::assert_snapshot!(with_ignores("a.yaml", odd).replace("\r\n", "~\n"), @"
        ﻿apiVersion: networking.k8s.io/v1~
        kind: NetworkPolicy~
        metadata: {name: web, namespace: shop}~
        spec:  # netpol-lint: ignore[NP106]~
          podSelector: {}~
          ingress: [{from: []}, {from: [null]}]	# ours # netpol-lint: ignore[NP005, NP103]
        ");
    let listed = OPEN.replace("from: []", "from: [] # netpol-lint: ignore[NP901,] why");
    let listed = with_ignores("a.yaml", &listed);
    assert!(listed.contains("from: [] # netpol-lint: ignore[NP901, NP103,] why"), "{listed}");
}

#[test]
fn ignores_elsewhere() {
    // A text of several lines: no comment can stand behind its first.
    let scalar = OPEN.replace("podSelector: {}", "podSelector: {matchLabels: {app: \"no\n    label\"}}");
    insta::assert_snapshot!(with_ignores("a.yaml", &scalar), @r#"
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: web, namespace: shop}
        spec:  # netpol-lint: ignore[NP106]
          # netpol-lint: ignore[NP006]
          podSelector: {matchLabels: {app: "no
            label"}}
          ingress:
            # from the proxy
            - from: []  # netpol-lint: ignore[NP103]
        "#);
    // In a block scalar it is a text like any other.
    let broken = "# Ours.\nkind: NetworkPolicy\nspec: {\n";
    assert_eq!(with_ignores("a.yaml", broken), format!("# netpol-lint: ignore-file[NP013]\n{broken}"));
    let two = format!("# netpol-lint: ignore-file[NP103]\n{OPEN}---\n{broken}");
    assert!(with_ignores("a.yaml", &two).starts_with("# netpol-lint: ignore-file[NP103, NP013]\n"));
}

#[test]
fn ignores_in_json() {
    let policy = |metadata: &str| {
        format!(
            r#"{{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {metadata}, "spec": {{"podSelector": {{}}, "ingress": [{{"from": []}}]}}}}"#
        )
    };
    let after = |metadata: &str| {
        let after = with_ignores("a.json", &policy(metadata));
        serde_json::from_str::<Value>(&after).unwrap();
        let start = policy("").find(", \"spec").unwrap();
        let end = after.find(", \"spec").unwrap();
        after[start..end].to_owned()
    };
    insta::assert_snapshot!(after(r#"{"name": "a", "namespace": "b"}"#), @r#"{"annotations": {"netpol.dev/lint-ignore": "NP103,NP106"}, "name": "a", "namespace": "b"}"#);
    insta::assert_snapshot!(after(r#"{"name": "a", "namespace": "b", "annotations": {"x": "y"}}"#), @r#"{"name": "a", "namespace": "b", "annotations": {"netpol.dev/lint-ignore": "NP103,NP106", "x": "y"}}"#);
    insta::assert_snapshot!(after(r#"{"name": "a", "namespace": "b", "annotations": {"netpol.dev/lint-ignore": "NP103 why"}}"#), @r#"{"name": "a", "namespace": "b", "annotations": {"netpol.dev/lint-ignore": "NP103,NP106 why"}}"#);
    insta::assert_snapshot!(after("{\n  \"name\": \"a\",\n  \"namespace\": \"b\"\n}"), @r#"
        {
          "annotations": {"netpol.dev/lint-ignore": "NP103,NP106"},
          "name": "a",
          "namespace": "b"
        }
        "#);
    let list = format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [{}, {}]}}"#,
        policy(r#"{"name": "a", "namespace": "b"}"#),
        policy(r#"{"name": "b", "namespace": "b"}"#)
    );
    assert_eq!(with_ignores("list.yaml", &list).matches("netpol.dev/lint-ignore").count(), 2);
}

#[test]
fn ignores_with_a_reason() {
    let folder = folder(&[("a.yaml", OPEN)]);
    let shown = run(folder.path(), &["check", "--add-ignores=older than the linter", "--diff"], "");
    assert_eq!(shown.status, 1);
    assert_eq!(fs::read_to_string(folder.path().join("a.yaml")).unwrap(), OPEN);
    assert!(
        shown.out.contains("+    - from: []  # netpol-lint: ignore[NP103] older than the linter\n"),
        "{}",
        shown.out
    );
    let piped = run(folder.path(), &["check", "-", "--add-ignores=x", "--select", "NP103"], OPEN);
    assert_eq!(piped.out, OPEN.replace("from: []", "from: []  # netpol-lint: ignore[NP103] x"));
    for args in [&["--add-ignores=a\nb"][..], &["--add-ignores", "--fix"]] {
        let refused = run(folder.path(), &[&["check"], args].concat(), "");
        assert_eq!(refused.status, 2, "{args:?}");
    }
    // Nothing but the annotation is left where all of a policy is one text.
    let text = "text: |\n  a\n";
    assert_eq!(run(folder.path(), &["check", "-", "--add-ignores"], text).out, text);
}
