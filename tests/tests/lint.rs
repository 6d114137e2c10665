//! The linter on every scenario's folder: it finds what `expected.yaml` says, and nothing else.

use std::process::Command;

use netpol_tests::programs;
use netpol_tests::scenario;

#[test]
fn the_linter_finds_what_is_expected_of_each_scenario() {
    for scenario in scenario::all().unwrap() {
        let mut lint = Command::new(programs::linter().unwrap());
        lint.args(["check", "--output-format", "json", "."]).current_dir(&scenario.folder);
        let output = lint.output().unwrap();
        let code = i32::from(!scenario.expected.lint.is_empty());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{}: {}",
            scenario.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        let found = findings.iter().map(|finding| {
            let file = finding["file"].as_str().unwrap().trim_start_matches("./");
            format!("{file}:{} {}", finding["start"]["line"], finding["code"].as_str().unwrap())
        });
        assert_eq!(found.collect::<Vec<_>>(), scenario.expected.lint, "{}", scenario.name);
    }
}
