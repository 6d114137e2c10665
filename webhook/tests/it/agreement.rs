//! The webhook and the linter never disagree about a policy.

use std::path::{Path, PathBuf};

use netpol_lint::{Settings, Severity, check_text};
use netpol_policy::syntax;
use serde_json::{Value, json};

use crate::support::{self, Webhook, review};

/// Policies in YAML, beside those of the scenarios: one for each rule that can fire on what a client sends.
const POLICIES: &str = include_str!("agreement.yaml");

#[test]
fn the_same_codes_deny_and_warn() {
    let webhook = Webhook::start(&[]);
    let mut texts = vec![POLICIES.to_owned()];
    texts.extend(files().iter().map(|path| std::fs::read_to_string(path).unwrap()));
    let (mut policies, mut seen) = (0, Vec::new());
    for text in texts {
        let stream = syntax::read(&text);
        for document in &stream.documents {
            let object = support::json(document.root());
            if object["kind"] != "NetworkPolicy" {
                continue;
            }
            // One document as the linter reads it on its own.
            let yaml = &text[document.span.range()];
            let findings = check_text("policy.yaml", yaml, &Settings::default()).findings;
            let expected = |severity| {
                let of_severity = findings.iter().filter(move |finding| finding.severity == severity);
                sorted(of_severity.map(|finding| finding.rule.code.to_owned()))
            };
            let response = webhook.post("/validate", review("u", &object, &json!({}))).response();
            assert_eq!(denied(&response), expected(Severity::Error), "{yaml}\n{response:#}");
            assert_eq!(warned(&response), expected(Severity::Warning), "{yaml}\n{response:#}");
            assert_eq!(response["allowed"], expected(Severity::Error).is_empty(), "{yaml}");
            seen.extend(findings.iter().map(|finding| finding.rule.code));
            policies += 1;
        }
    }
    assert!(policies >= 30, "{policies} policies");
    seen.sort_unstable();
    seen.dedup();
    for code in [
        "NP002", "NP003", "NP004", "NP007", "NP010", "NP101", "NP103", "NP104", "NP105", "NP106", "NP107",
        "NP110", "NP112", "NP114", "NP201", "NP203", "NP204", "NP205", "NP301", "NP304", "NP305", "NP307",
    ] {
        assert!(seen.contains(&code), "{code} is not covered, only {seen:?}");
    }
}

fn denied(response: &Value) -> Vec<String> {
    let causes = response["status"]["details"]["causes"].as_array();
    sorted(causes.into_iter().flatten().map(|cause| cause["reason"].as_str().unwrap().to_owned()))
}

fn warned(response: &Value) -> Vec<String> {
    let warnings = response["warnings"].as_array();
    sorted(warnings.into_iter().flatten().map(|warning| warning.as_str().unwrap()[..5].to_owned()))
}

fn sorted(codes: impl Iterator<Item = String>) -> Vec<String> {
    let mut codes: Vec<_> = codes.collect();
    codes.sort();
    codes
}

/// The manifests of the scenarios and the samples.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    let mut folders = vec![root.join("tests/scenarios"), root.join("manifests/samples")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files
}
