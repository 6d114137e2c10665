//! For the person on call: every command, on pods that are really enforced.

mod audit;
mod flood;
mod metrics;
mod monitor;
mod scenarios;
mod trace;

use netpol_tests::agent;
use serde_json::Value;

use crate::common::{Enforced, file, plain};

/// The three tiers; only the backend may connect to the database.
fn three_tier() -> Enforced {
    let policy = file("three-tier", "db-test.yaml");
    let enforced =
        Enforced::new(plain(), &file("three-tier", "workloads.yaml"), &[("db-test.yaml", &policy)]);
    enforced.expect(&["backend -> db:3306"], &["frontend -> db:3306"]);
    enforced
}

/// Runs a command on the first node: exit code and standard output.
fn run(enforced: &Enforced, arguments: &[&str]) -> (i32, String) {
    let output = agent::command(&enforced.running, 0, arguments).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("panicked"), "{errors}");
    let code = output.status.code().expect("an exit code");
    (code, String::from_utf8(output.stdout).unwrap() + &errors)
}

/// The same as JSON.
#[track_caller]
fn json(enforced: &Enforced, arguments: &[&str]) -> Value {
    let (code, text) = run(enforced, &[arguments, &["--output-format", "json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("exit code {code}, {error}: {text}"))
}
