//! The first two steps: the linter on the application's folder, and the predicted matrix.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::style;
use crate::lab::state_dir::StateDir;
use crate::programs;
use crate::scenario::Scenario;

const POLICY: &str = include_str!("../../demo/db-test.yaml");

/// Lints a copy of the application, fixes it, and shows what the fixed policy will do. What comes back is the fixed policy.
pub(super) fn find_explain_fix(scenario: &Scenario) -> Result<String> {
    let files = StateDir::new()?;
    let app = files.directory("app")?;
    let (workloads, policy) = (app.join("workloads.yaml"), app.join("db-test.yaml"));
    fs::copy(scenario.folder.join("workloads.yaml"), workloads).context("copying the application")?;
    fs::write(&policy, POLICY)?;

    println!("{}", style::title("1. The policy has a mistake, and the linter finds it"));
    let findings = netpol_lint(files.path(), &["check", "app"])?;
    ensure!(findings == 1, "the linter was expected to find the mistake, but ended with code {findings}");
    println!("\n{}", style::title("   … and fixes it"));
    let shown = netpol_lint(files.path(), &["check", "--fix", "--unsafe-fixes", "--diff", "app"])?;
    ensure!(shown <= 1, "showing the fix ended with code {shown}");
    let fixed = netpol_lint(files.path(), &["check", "--fix", "--unsafe-fixes", "app"])?;
    ensure!(
        fixed == 0,
        "after the fix nothing was expected to be left, but the linter ended with code {fixed}"
    );

    println!("\n{}", style::title("2. What the fixed policy will do, as predicted"));
    let predicted = netpol_lint(files.path(), &["matrix", "app"])?;
    ensure!(predicted == 0, "the matrix ended with code {predicted}");
    println!();
    fs::read_to_string(policy).context("reading the fixed policy")
}

fn netpol_lint(directory: &Path, arguments: &[&str]) -> Result<i32> {
    println!("{}", style::dim(&format!("$ netpol-lint {}", arguments.join(" "))));
    let status = Command::new(programs::linter()?).args(arguments).current_dir(directory).status();
    status.context("starting netpol-lint")?.code().context("netpol-lint was killed")
}
