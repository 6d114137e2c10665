//! The first five minutes of the documentation, done as written.

use std::fs;
use std::process::Command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/first-steps.md");

#[test]
fn every_command_prints_what_the_page_says() {
    let page = fs::read_to_string(PAGE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deploy")).unwrap();
    for (name, text) in ["db", "app"].into_iter().zip(blocks(&page, "yaml")) {
        fs::write(folder.path().join(format!("deploy/{name}.yaml")), text).unwrap();
    }
    let mut commands = 0;
    for session in blocks(&page, "console") {
        for step in session.split("$ netpol-lint ").skip(1) {
            let (arguments, expected) = step.split_once('\n').unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_netpol-lint"));
            let output = command.args(arguments.split(' ')).current_dir(folder.path()).output().unwrap();
            let printed =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
            match expected.trim_end().strip_suffix('…') {
                Some(beginning) => assert!(printed.starts_with(beginning), "{arguments}\n{printed}"),
                None if expected.trim().is_empty() => {}
                None => assert_eq!(printed.trim_end(), expected.trim_end(), "{arguments}"),
            }
            commands += 1;
        }
    }
    assert!(commands >= 5, "only {commands} commands were found");
}

/// The fenced blocks of a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}
