//! The forms of the output.

mod support;

use std::collections::HashSet;
use std::fs;

use serde_json::Value;
use support::{Run, folder, run};

/// An error, a warning with an unsafe fix and a warning with a safe one.
const POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
    - from:
        - namespaceSelector: {matchLabels: {team: a}}
        - podSelector: {matchLabels: {app: web}}
    - from: []
";

const CLEAN: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
";

/// What a format makes of a clean file and of an unclean one whose name needs escaping.
fn check(format: &str) -> String {
    let folder = folder(&[("b c/100%,d.yaml", POLICY), ("clean.yaml", CLEAN)]);
    let Run { status, out, .. } = run(folder.path(), &["check", "--output-format", format], "");
    assert_eq!(status, 1);
    out
}

fn check_clean(format: &str) -> String {
    let folder = folder(&[("clean.yaml", CLEAN)]);
    let run = run(folder.path(), &["check", "--output-format", format], "");
    assert_eq!((run.status, &*run.err), (0, ""));
    run.out
}

/// What a format makes of a finding behind a character of two bytes.
fn check_line(format: &str) -> String {
    let line = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop, \
        annotations: {a: \"ä\"}}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: []}]}}\n";
    run(&std::env::temp_dir(), &["check", "--output-format", format, "-"], line).out
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
#[cfg(unix)]
fn names_of_files_are_no_commands() {
    let name = "a\u{1b}[2J\n\u{202e}b.yaml";
    let folder = folder(&[(
        name,
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}, ingress: [{from: []}]}\n",
    )]);
    let bad = |text: &str| text.contains(['\u{1b}', '\u{202e}']) || text.contains("\nb.yaml");
    for format in ["full", "concise", "grouped", "json", "sarif", "github", "gitlab", "junit", "rdjson"] {
        let shown = run(folder.path(), &["check", "--output-format", format], "");
        assert_eq!(shown.status, 1, "{format}");
        assert!(
            !shown.out.contains('\u{1b}') && !shown.out.contains("\nb.yaml"),
            "{format}: {:?}",
            shown.out
        );
        assert!(!bad(&shown.err), "{format}: {:?}", shown.err);
    }
    for command in [
        &["check", "--diff"][..],
        &["check", "--fix"],
        &["explain"],
        &["check", "--output-format=concise", "a\u{1b}\nb.yaml"],
    ] {
        let shown = run(folder.path(), command, "");
        assert!(!bad(&shown.out) && !bad(&shown.err), "{command:?}: {:?} {:?}", shown.out, shown.err);
    }
}

#[test]
fn grouped() {
    insta::assert_snapshot!(check("grouped"), @r#"
        b c/100%,d.yaml:
          4:1   warning  NP106  policyTypes is left to the default, which is Ingress here
          9:9   warning  NP101  two peers (OR) where one (AND) was probably meant; as written: every pod of namespaces team=a, and every app=web pod of namespace shop; joined: only the app=web pods of namespaces team=a
          10:7  error    NP103  `from` is empty, which means no restriction: everyone may connect on every port
        "#);
}

#[test]
fn github() {
    insta::assert_snapshot!(check("github"), @r#"
        ::warning file=b c/100%25%2Cd.yaml,line=4,endLine=4,col=1,endColumn=5,title=NP106 implicit-policy-types::policyTypes is left to the default, which is Ingress here
        ::warning file=b c/100%25%2Cd.yaml,line=9,endLine=9,col=9,endColumn=22,title=NP101 split-peer-selectors::two peers (OR) where one (AND) was probably meant; as written: every pod of namespaces team=a, and every app=web pod of namespace shop; joined: only the app=web pods of namespaces team=a
        ::error file=b c/100%25%2Cd.yaml,line=10,endLine=10,col=7,endColumn=15,title=NP103 empty-peer-list::`from` is empty, which means no restriction: everyone may connect on every port
        "#);
    assert_eq!(check_clean("github"), "");
}

#[test]
fn junit() {
    insta::assert_snapshot!(check("junit"), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="netpol-lint" tests="4" failures="3">
          <testsuite name="b c/100%,d.yaml" tests="3" failures="3">
            <testcase name="NP106 implicit-policy-types 4:1" classname="b c/100%,d.yaml" line="4">
              <failure type="warning" message="policyTypes is left to the default, which is Ingress here">b c/100%,d.yaml:4:1: policyTypes is left to the default, which is Ingress here
        write policyTypes, so that it doesn't change when rules come and go</failure>
            </testcase>
            <testcase name="NP101 split-peer-selectors 9:9" classname="b c/100%,d.yaml" line="9">
              <failure type="warning" message="two peers (OR) where one (AND) was probably meant; as written: every pod of namespaces team=a, and every app=web pod of namespace shop; joined: only the app=web pods of namespaces team=a">b c/100%,d.yaml:9:9: two peers (OR) where one (AND) was probably meant; as written: every pod of namespaces team=a, and every app=web pod of namespace shop; joined: only the app=web pods of namespaces team=a
        each item of the list is a peer of its own; remove the dash to require both, or keep both items and say why with a comment on each</failure>
            </testcase>
            <testcase name="NP103 empty-peer-list 10:7" classname="b c/100%,d.yaml" line="10">
              <failure type="error" message="`from` is empty, which means no restriction: everyone may connect on every port">b c/100%,d.yaml:10:7: `from` is empty, which means no restriction: everyone may connect on every port
        to allow nobody, remove the rule; to leave peers open on purpose, remove `from`</failure>
            </testcase>
          </testsuite>
          <testsuite name="clean.yaml" tests="1" failures="0">
            <testcase name="netpol-lint" classname="clean.yaml"/>
          </testsuite>
        </testsuites>
        "#);
    insta::assert_snapshot!(check_clean("junit"), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="netpol-lint" tests="1" failures="0">
          <testsuite name="clean.yaml" tests="1" failures="0">
            <testcase name="netpol-lint" classname="clean.yaml"/>
          </testsuite>
        </testsuites>
        "#);
}

#[test]
fn gitlab() {
    let list = parse(&check("gitlab"));
    let entries = list.as_array().unwrap();
    assert_eq!(entries.len(), 3);
    for entry in entries {
        // What GitLab asks of every entry.
        for key in ["/description", "/check_name", "/fingerprint", "/location/path"] {
            assert!(entry.pointer(key).unwrap().as_str().is_some_and(|text| !text.is_empty()), "{key}");
        }
        assert!(
            ["info", "minor", "major", "critical", "blocker"].contains(&entry["severity"].as_str().unwrap())
        );
        assert!(entry.pointer("/location/lines/begin").unwrap().as_u64().is_some_and(|line| line > 0));
    }
    let fingerprints: HashSet<_> =
        entries.iter().map(|entry| entry["fingerprint"].as_str().unwrap()).collect();
    assert_eq!(fingerprints.len(), 3);
    assert_eq!(check_clean("gitlab"), "[]\n");
}

#[test]
fn fingerprints_stay_when_text_is_added_above() {
    let fingerprints = |text: &str| {
        let folder = folder(&[("a.yaml", text)]);
        let run = run(folder.path(), &["check", "--output-format", "gitlab"], "");
        let list = parse(&run.out);
        let fingerprints: Vec<_> =
            list.as_array().unwrap().iter().map(|entry| entry["fingerprint"].to_string()).collect();
        fingerprints
    };
    let before = fingerprints(POLICY);
    assert_eq!(before, fingerprints(&format!("# A comment.\n\n{POLICY}")));
    assert_ne!(before, fingerprints(&POLICY.replace("name: db", "name: other")));
}

#[test]
fn rdjson() {
    let result = parse(&check("rdjson"));
    assert_eq!(result["source"]["name"], "netpol-lint");
    let diagnostics = result["diagnostics"].as_array().unwrap();
    let split = diagnostics.iter().find(|diagnostic| diagnostic["code"]["value"] == "NP101").unwrap();
    assert_eq!(
        (&split["severity"], &split["location"]["path"]),
        (&"WARNING".into(), &"b c/100%,d.yaml".into())
    );
    assert_eq!(split["location"]["range"]["start"], serde_json::json!({"line": 9, "column": 9}));
    for diagnostic in diagnostics {
        assert!(diagnostic["message"].as_str().is_some_and(|text| !text.is_empty()));
    }
    let implicit = diagnostics.iter().find(|diagnostic| diagnostic["code"]["value"] == "NP106").unwrap();
    assert!(implicit["suggestions"][0]["text"].as_str().unwrap().contains("policyTypes"));
    let sarif = parse(&check_line("sarif"));
    assert_eq!(
        sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startColumn"],
        178
    );
    let rdjson = parse(&check_line("rdjson"));
    assert_eq!(rdjson["diagnostics"][0]["location"]["range"]["start"]["column"], 179, "bytes");
    assert_eq!(parse(&check_clean("rdjson"))["diagnostics"], serde_json::json!([]));
}

/// What the published schema asks of the parts that are used.
fn assert_is_sarif(log: &Value) -> &Vec<Value> {
    let keys = |value: &Value, allowed: &[&str]| {
        for key in value.as_object().unwrap().keys() {
            assert!(allowed.contains(&key.as_str()), "{key} in {value}");
        }
    };
    let text =
        |value: &Value| assert!(value["text"].as_str().is_some_and(|text| !text.is_empty()), "{value}");
    let level =
        |value: &Value| assert!(["none", "note", "warning", "error"].contains(&value.as_str().unwrap()));
    let artifact = |value: &Value| {
        keys(value, &["uri", "uriBaseId"]);
        let uri = value["uri"].as_str().unwrap();
        assert!(!uri.starts_with('/') && !uri.contains([' ', '<', '\\']), "{uri}");
    };
    let region = |value: &Value| {
        let number = |key: &str| value[key].as_u64().filter(|number| *number >= 1).unwrap();
        let (start, end) =
            ((number("startLine"), number("startColumn")), (number("endLine"), number("endColumn")));
        assert!(start <= end);
    };
    let physical = |value: &Value| {
        keys(value, &["artifactLocation", "region"]);
        artifact(&value["artifactLocation"]);
        region(&value["region"]);
    };

    keys(log, &["$schema", "version", "runs"]);
    assert_eq!(log["version"], "2.1.0");
    let [run] = log["runs"].as_array().unwrap().as_slice() else { panic!("one run") };
    keys(run, &["tool", "columnKind", "results"]);
    assert!(["utf16CodeUnits", "unicodeCodePoints"].contains(&run["columnKind"].as_str().unwrap()));
    let driver = &run["tool"]["driver"];
    keys(driver, &["name", "version", "semanticVersion", "rules"]);
    assert_eq!(driver["name"], "netpol-lint");
    let rules = driver["rules"].as_array().unwrap();
    let ids: HashSet<_> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), rules.len(), "unique");
    for rule in rules {
        keys(rule, &["id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration"]);
        for key in ["shortDescription", "fullDescription", "help"] {
            text(&rule[key]);
        }
        level(&rule["defaultConfiguration"]["level"]);
    }
    let results = run["results"].as_array().unwrap();
    for result in results {
        keys(
            result,
            &[
                "ruleId",
                "ruleIndex",
                "level",
                "message",
                "locations",
                "relatedLocations",
                "partialFingerprints",
                "fixes",
                "suppressions",
            ],
        );
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(result["ruleId"], rules[index]["id"]);
        level(&result["level"]);
        text(&result["message"]);
        let [location] = result["locations"].as_array().unwrap().as_slice() else { panic!("one location") };
        physical(&location["physicalLocation"]);
        for related in result["relatedLocations"].as_array().into_iter().flatten() {
            text(&related["message"]);
            physical(&related["physicalLocation"]);
        }
        assert!(result["partialFingerprints"].as_object().unwrap().values().all(Value::is_string));
        for suppression in result["suppressions"].as_array().unwrap() {
            keys(suppression, &["kind", "justification"]);
            assert!(["inSource", "external"].contains(&suppression["kind"].as_str().unwrap()));
        }
        for fix in result["fixes"].as_array().into_iter().flatten() {
            keys(fix, &["description", "artifactChanges"]);
            text(&fix["description"]);
            for change in fix["artifactChanges"].as_array().filter(|changes| !changes.is_empty()).unwrap() {
                artifact(&change["artifactLocation"]);
                let replacements = change["replacements"].as_array().filter(|list| !list.is_empty()).unwrap();
                for replacement in replacements {
                    keys(replacement, &["deletedRegion", "insertedContent"]);
                    region(&replacement["deletedRegion"]);
                    assert!(replacement["insertedContent"]["text"].is_string());
                }
            }
        }
    }
    results
}

#[test]
fn sarif() {
    let log = parse(&check("sarif"));
    let results = assert_is_sarif(&log);
    let codes: Vec<_> = results.iter().map(|result| result["ruleId"].as_str().unwrap()).collect();
    assert_eq!(codes, ["NP106", "NP101", "NP103"]);
    let split = &results[1];
    let place = &split["locations"][0]["physicalLocation"];
    assert_eq!(
        place["artifactLocation"],
        serde_json::json!({"uri": "b%20c/100%25,d.yaml", "uriBaseId": "%SRCROOT%"})
    );
    assert_eq!(place["region"]["startLine"], 9);
    assert_eq!(
        split["locations"][0]["logicalLocations"][0]["fullyQualifiedName"],
        "shop/NetworkPolicy/db/spec.ingress[0].from[1]"
    );
    assert!(split["fixes"][0]["description"]["text"].as_str().unwrap().ends_with("(changes the meaning)"));
    assert!(split["relatedLocations"].is_array());
    assert!(results[2]["fixes"].is_null());
}

#[test]
fn sarif_of_a_clean_run() {
    let log = parse(&check_clean("sarif"));
    assert!(assert_is_sarif(&log).is_empty());
    assert!(log["runs"][0]["results"].is_array());
}

#[test]
fn statistics() {
    let folder = folder(&[
        ("a.yaml", POLICY),
        ("b.yaml", &POLICY.replace("    - from: []\n", "").replace("name: db", "name: b")),
    ]);
    let table = run(folder.path(), &["check", "--statistics", "--ignore", "NP406"], "");
    assert_eq!(table.status, 1);
    insta::assert_snapshot!(table.out, @r#"
        2  NP101  split-peer-selectors  (2 with a fix)
        2  NP106  implicit-policy-types  (2 with a fix)
        1  NP103  empty-peer-list
        "#);
    let json =
        run(folder.path(), &["check", "--statistics", "--ignore", "NP406", "--output-format", "json"], "");
    assert_eq!(
        parse(&json.out)[2],
        serde_json::json!({"code": "NP103", "name": "empty-peer-list", "count": 1, "fixable": 0})
    );
    let refused = run(folder.path(), &["check", "--statistics", "--output-format", "sarif"], "");
    assert_eq!((refused.status, &*refused.out), (2, ""));
}

#[test]
fn exit_status() {
    let folder = folder(&[("a.yaml", POLICY)]);
    for (args, status) in [
        (&["--select", "NP101"][..], 1),
        (&["--select", "NP101", "--fail-on", "warning"], 1),
        (&["--select", "NP101", "--fail-on", "error"], 0),
        (&["--select", "NP103", "--fail-on", "error"], 1),
        (&["--exit-zero"], 0),
        (&["--unsafe-fixes", "--diff"], 1),
        (&["--unsafe-fixes", "--diff", "--exit-zero"], 0),
        (&["--exit-zero", "missing.yaml"], 2),
        (&["--fail-on", "never"], 2),
    ] {
        let run = run(folder.path(), &[&["check"], args].concat(), "");
        assert_eq!(run.status, status, "{args:?}\n{}{}", run.out, run.err);
    }
}

#[test]
fn output_file() {
    let folder = folder(&[("a.yaml", POLICY)]);
    let args = ["check", "--output-format", "sarif", "--output-file", "out.sarif"];
    let run = run(folder.path(), &args, "");
    assert_eq!((run.status, &*run.out), (1, ""));
    assert_eq!(
        assert_is_sarif(&parse(&fs::read_to_string(folder.path().join("out.sarif")).unwrap())).len(),
        3
    );
    let args = ["check", "--color", "always", "--output-file", "out.txt"];
    self::run(folder.path(), &args, "");
    let text = fs::read_to_string(folder.path().join("out.txt")).unwrap();
    assert!(text.contains("NP101") && !text.contains('\x1b'), "no colour in a file");
    let refused = self::run(folder.path(), &["check", "--output-file", "no/such/out.txt"], "");
    assert_eq!(refused.status, 2);
    assert!(refused.err.contains("can't write no/such/out.txt"), "{}", refused.err);
}

/// A policy on one line, as compact JSON has it, with so many bytes before what is wrong and behind it.
fn on_one_line(padding: usize) -> String {
    let padding = "ä".repeat(padding / 2);
    format!(
        r#"{{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {{"name": "db", "annotations": {{"a": "{padding}"}}}}, "spec": {{"podSelector": {{}}, "policyTypes": ["Ingress"], "ingress": [{{"from": []}}]}}, "x": "{padding}"}}"#
    )
}

#[test]
fn of_a_long_line_only_what_is_near_is_shown() {
    for padding in [0, 600, 60_000, 200_000] {
        let Run { status, out, err } = run(&std::env::temp_dir(), &["check", "-"], &on_one_line(padding));
        assert_eq!((status, err.contains("panicked")), (1, false), "{padding}: {err}");
        assert!(out.contains("NP103") && out.contains(r#""from": []"#), "{padding}: {out}");
        let longest = out.lines().map(str::len).max().unwrap_or_default();
        assert!(padding == 0 || longest < 260, "{padding}: a line of {longest} bytes: {out}");
    }
}

#[test]
fn a_long_line_beside_a_place_is_not_shown() {
    let long = format!("  annotations: {{last: '{}'}}\n", "x".repeat(70_000));
    let policy = POLICY
        .replace("spec:\n  podSelector", &format!("{long}spec:\n  podSelector"))
        .replace("metadata: {name: db, namespace: shop}\n", "metadata:\n  name: db\n  namespace: shop\n");
    let policy = policy.replace("  ingress:", "  # short\n  ingress:");
    let Run { status, out, err } = run(&std::env::temp_dir(), &["check", "-"], &policy);
    assert_eq!((status, err.contains("panicked")), (1, false), "{err}");
    let longest = out.lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 260, "a line of {longest} bytes: {out}");
}

#[test]
fn a_way_through_a_long_line_is_shown() {
    let pods = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "c"}]}}"#;
    let list = format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [{pods}, {}]}}"#,
        on_one_line(200_000).replace(r#", "ingress": [{"from": []}]"#, "")
    );
    let folder = folder(&[("list.json", &list)]);
    let arguments = ["reach", "--from", "1.2.3.4", "--to", "web", "--port", "80", "list.json"];
    let Run { status, out, err } = run(folder.path(), &arguments, "");
    assert_eq!((status, err.contains("panicked")), (1, false), "{err}");
    let longest = out.lines().map(str::len).max().unwrap_or_default();
    assert!(out.contains("denied") && longest < 260, "a line of {longest} bytes: {out}");
}
