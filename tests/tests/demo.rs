//! The demo itself: it ends with what it promises.

use std::process::Command;

use netpol_tests::lab::requirements::skip;
use netpol_tests::programs;

#[test]
fn the_demo_ends_with_the_expected_matrix() {
    if skip("the demo") {
        return;
    }
    // The demo looks for them beside itself.
    programs::linter().unwrap();
    programs::enforcer().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let row = |from: &str, to: &str| {
        let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = words.into_iter().find(|words| words.starts_with(&[from, to]));
        row.unwrap_or_else(|| panic!("no row from {from} to {to} in\n{text}"))[2..].join(" ")
    };
    assert_eq!(row("frontend", "db"), "connected timed out connected timed out");
    for (from, to) in [
        ("frontend", "backend"),
        ("backend", "frontend"),
        ("backend", "db"),
        ("db", "frontend"),
        ("db", "backend"),
    ] {
        assert_eq!(row(from, to), "connected connected connected connected", "{from} -> {to}");
    }
    assert!(text.contains("NP101"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours where no terminal is");
}
