//! SARIF output against the schema that OASIS publishes, which is kept beside this test as it is.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const SCHEMA: &str = include_str!("support/sarif-schema-2.1.0.json");
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/scenarios");

fn validator() -> jsonschema::Validator {
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    // A slip of its authors: the pattern has a bracket too many and is none. The log names no language.
    for owner in ["run", "toolComponent"] {
        let language = schema.pointer_mut(&format!("/definitions/{owner}/properties/language")).unwrap();
        language.as_object_mut().unwrap().remove("pattern").unwrap();
    }
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

/// The results of a run, once the log has proven valid.
fn results(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol-lint"));
    command.args(["check", "--isolated", "--output-format", "sarif"]).args(arguments).current_dir(folder);
    let output = command.output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", String::from_utf8_lossy(&output.stderr));
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let validator = validator();
    let errors: Vec<_> =
        validator.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    log["runs"][0]["results"].as_array().expect("a list even when it is empty").clone()
}

#[test]
fn unclean() {
    let results = results(Path::new(SCENARIOS), &["--select", "ALL", "."]);
    for code in ["NP101", "NP106"] {
        assert!(results.iter().any(|result| result["ruleId"] == code), "no {code}");
    }
    assert!(results.iter().any(|result| result["fixes"].is_array()), "no fix");
}

#[test]
fn suppressed() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(format!("{SCENARIOS}/and-or/split.yaml")).unwrap();
    fs::write(folder.path().join("a b.yaml"), format!("# netpol-lint: ignore-file[ALL] known\n{text}"))
        .unwrap();
    let results = results(folder.path(), &["."]);
    assert!(results.iter().any(|result| result["suppressions"][0]["kind"] == "inSource"), "{results:?}");
}

#[test]
fn clean() {
    let folder = tempfile::tempdir().unwrap();
    let text = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
";
    fs::write(folder.path().join("deny.yaml"), text).unwrap();
    assert_eq!(results(folder.path(), &["."]), Vec::<Value>::new());
}

/// The test above must be able to fail.
#[test]
fn the_schema_refuses_what_is_no_log() {
    let validator = validator();
    for wrong in [
        r#"{"version": "2.1.0"}"#,
        r#"{"version": "2.1.0", "runs": [{"tool": {}}]}"#,
        r#"{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "results": [{"level": "bad"}]}]}"#,
    ] {
        assert!(!validator.is_valid(&serde_json::from_str(wrong).unwrap()), "{wrong}");
    }
}
