//! Findings that were there before.

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::{Run, folder, run};

const OPEN: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
    - from: []
";

const CLEAN: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: office}
spec: {podSelector: {}, policyTypes: [Ingress]}
";

fn check(folder: &Path, args: &[&str]) -> Run {
    run(folder, &[&["check", "--output-format", "concise"], args].concat(), "")
}

#[test]
fn the_configuration_names_the_list() {
    let folder = folder(&[("repo/netpol-lint.toml", "baseline = 'known.json'\n"), ("repo/b/web.yaml", OPEN)]);
    let repo = folder.path().join("repo");
    let missing = check(&repo, &[]);
    assert_eq!(missing.status, 2);
    assert!(missing.err.contains("can't read the baseline known.json"), "{}", missing.err);
    // The one that is written is not asked what is known.
    for _ in 0..2 {
        let written = check(&repo, &["--write-baseline", "known.json"]);
        assert_eq!((written.status, written.err.as_str()), (0, "wrote 1 finding to known.json\n"));
    }
    for (folder, args) in [(&repo, &[][..]), (&repo.join("b"), &["web.yaml"])] {
        let known = check(folder, args);
        assert_eq!((known.status, known.out.as_str(), known.err.as_str()), (0, "", ""));
    }
    assert_eq!(check(&repo, &["--isolated"]).status, 1);
    let other = check(&repo, &["--baseline", "b/none.json"]);
    assert!(other.err.contains("can't read the baseline b/none.json"), "{}", other.err);
    fs::write(repo.join("b/web.yaml"), CLEAN).unwrap();
    let stale = check(&repo.join("b"), &[]);
    assert!(
        stale.err.contains("known.json lists 1 finding of b/web.yaml that is not there any more"),
        "{}",
        stale.err
    );
}

#[test]
fn known_findings_are_not_reported() {
    let folder =
        folder(&[("b/web.yaml", OPEN), ("a.yaml", "kind: NetworkPolicy\nspec: {"), ("c.yaml", CLEAN)]);
    let path = folder.path();
    let written = check(path, &["--write-baseline", "known.json"]);
    assert_eq!((written.status, written.out.as_str()), (0, ""));
    assert_eq!(written.err, "wrote 2 findings to known.json\n");
    let list = fs::read_to_string(path.join("known.json")).unwrap();
    insta::assert_snapshot!(list, @r#"
        {
          "version": 1,
          "findings": {
            "a.yaml": [
              {"code": "NP013", "path": "", "message": "unclosed bracket '{'"}
            ],
            "b/web.yaml": [
              {"code": "NP103", "namespace": "shop", "object": "web", "path": "spec.ingress[0].from", "message": "`from` is empty, which means no restriction: everyone may connect on every port"}
            ]
          }
        }
        "#);
    // The same findings, the same list.
    check(path, &["--write-baseline", "known.json"]);
    assert_eq!(fs::read_to_string(path.join("known.json")).unwrap(), list);

    let known = check(path, &["--baseline", "known.json"]);
    assert_eq!((known.status, known.out.as_str(), known.err.as_str()), (0, "", ""));
    // From wherever the command runs, and in part.
    let elsewhere = check(&path.join("b"), &["--baseline", "../known.json"]);
    assert_eq!((elsewhere.status, elsewhere.out.as_str(), elsewhere.err.as_str()), (0, "", ""));
    let absolute = path.join("b/web.yaml");
    let absolute = check(
        Path::new("/"),
        &["--baseline", path.join("known.json").to_str().unwrap(), absolute.to_str().unwrap()],
    );
    assert_eq!((absolute.status, absolute.out.as_str()), (0, ""));
    let full = run(path, &["check", "--baseline", "known.json"], "");
    assert_eq!(full.err, "checked 2 policies in 4 files: all clean; 2 findings in the baseline\n");

    let sarif = run(path, &["check", "--baseline", "known.json", "--output-format", "sarif"], "");
    let sarif: Value = serde_json::from_str(&sarif.out).unwrap();
    for result in sarif["runs"][0]["results"].as_array().unwrap() {
        assert_eq!(
            result["suppressions"],
            json!([{"kind": "external", "justification": "listed in the baseline"}])
        );
    }
}

#[test]
fn new_findings_are_reported() {
    let folder = folder(&[("web.yaml", OPEN)]);
    let path = folder.path();
    check(path, &["--write-baseline", "known.json"]);
    let with = |text: &str| {
        fs::write(path.join("web.yaml"), text).unwrap();
        let run = check(path, &["--baseline", "known.json", "--select", "NP103"]);
        let lines = run.out.lines().map(|line| line.split(' ').next().unwrap().to_owned() + &run.err);
        lines.collect::<Vec<_>>()
    };
    // Lines and items before it don't matter.
    assert_eq!(with(&format!("# Ours.\n---\n{CLEAN}---\n{OPEN}")), [""; 0]);
    assert_eq!(with(&OPEN.replace("    - from", "    - from: [{podSelector: {}}]\n    - from")), [""; 0]);
    // Each stands for one.
    assert_eq!(with(&format!("{OPEN}    - from: []\n")), ["web.yaml:9:7:"]);
    // Another object, another file.
    assert_eq!(with(&format!("{}---\n{OPEN}", OPEN.replace("name: web", "name: db"))), ["web.yaml:8:7:"]);
    fs::write(path.join("copy.yaml"), OPEN).unwrap();
    assert_eq!(with(OPEN), ["copy.yaml:8:7:"]);
}

#[test]
fn known_findings_are_not_repaired() {
    let open =
        OPEN.replace("  policyTypes: [Ingress]\n", "").replace("- from: []", "- from: [{podSelector: {}}]");
    let folder = folder(&[("web.yaml", &open), ("new.yaml", CLEAN)]);
    let path = folder.path();
    check(path, &["--write-baseline", "known.json"]);
    fs::write(path.join("new.yaml"), open.replace("web", "new")).unwrap();
    let fixed = check(path, &["--baseline", "known.json", "--fix"]);
    assert_eq!(fixed.status, 0, "{}", fixed.out);
    assert_eq!(fs::read_to_string(path.join("web.yaml")).unwrap(), open);
    assert!(fs::read_to_string(path.join("new.yaml")).unwrap().contains("policyTypes"));
}

#[test]
fn what_is_gone_is_told() {
    let folder = folder(&[("web.yaml", OPEN), ("db.yaml", &OPEN.replace("name: web", "name: db"))]);
    let path = folder.path();
    check(path, &["--write-baseline", "known.json"]);
    fs::write(path.join("web.yaml"), CLEAN).unwrap();
    let gone = check(path, &["--baseline", "known.json"]);
    assert_eq!((gone.status, gone.out.as_str()), (0, ""));
    insta::assert_snapshot!(gone.err, @"netpol-lint: known.json lists 1 finding of web.yaml that is not there any more; --write-baseline writes it anew");
    // Not where nobody looked.
    assert_eq!(check(path, &["--baseline", "known.json", "db.yaml"]).err, "");
    assert_eq!(check(path, &["--baseline", "known.json", "--ignore", "NP103"]).err, "");
    fs::remove_file(path.join("db.yaml")).unwrap();
    insta::assert_snapshot!(check(path, &["--baseline", "known.json"]).err, @"netpol-lint: known.json lists 2 findings of db.yaml and 1 other file that are not there any more; --write-baseline writes it anew");
}

#[test]
fn what_is_no_baseline() {
    let folder = folder(&[
        ("web.yaml", OPEN),
        ("text.json", "kind: x"),
        ("list.json", "[]"),
        ("later.json", "{\"version\": 2, \"found\": 3}"),
        ("more.json", "{\"version\": 1, \"findings\": {\"a\": [{\"code\": \"NP101\", \"line\": 3}]}}"),
    ]);
    let mut told = String::new();
    for name in ["missing.json", "text.json", "list.json", "later.json", "more.json"] {
        let run = check(folder.path(), &["web.yaml", "--baseline", name]);
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{name}");
        told.push_str(&run.err);
    }
    insta::assert_snapshot!(told, @"
        netpol-lint: can't read the baseline missing.json; --write-baseline makes one: No such file or directory (os error 2)
        netpol-lint: text.json is no baseline; --write-baseline makes one: expected value at line 1 column 1
        netpol-lint: list.json is no baseline; --write-baseline makes one: invalid length 0, expected struct Versioned with 1 element at line 1 column 2
        netpol-lint: the baseline later.json has version 2, and only 1 is known; use a newer netpol-lint
        netpol-lint: more.json is no baseline; --write-baseline makes one: unknown field `line`, expected one of `code`, `namespace`, `object`, `path`, `message` at line 1 column 58
        ");
    // Half a list is none.
    let half = check(folder.path(), &["web.yaml", "missing.yaml", "--write-baseline", "known.json"]);
    assert_eq!(half.status, 2);
    assert!(half.err.contains("known.json is not written"), "{}", half.err);
    assert!(!folder.path().join("known.json").exists());
}
