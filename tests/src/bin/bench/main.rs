//! Benchmarks: ratios against a baseline measured in the same run, because machines are noisy.
//!
//! `make bench` builds with optimisation and prints the figures of `docs/benchmarks.md`.

mod corpus;
mod lint;
mod memory;
mod sample;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

/// Measures the linter against plain text searches of the same files, and against other linters where they are installed.
#[derive(Parser)]
struct Arguments {
    /// The netpol-lint binary to measure.
    #[arg(long, value_name = "FILE")]
    netpol_lint: PathBuf,
    /// Number of policy files.
    #[arg(long, default_value_t = 2000)]
    files: usize,
    /// Number of applications in the repository, with ten files each.
    #[arg(long, default_value_t = 900)]
    apps: usize,
    /// Measured runs of each command.
    #[arg(long, default_value_t = 31)]
    runs: usize,
}

fn main() -> Result<()> {
    let Arguments { netpol_lint, files, apps, runs } = Arguments::parse();
    lint::Plan { netpol_lint: &netpol_lint, files, apps, runs }.run()
}
