//! Benchmarks: ratios against a baseline measured in the same run, because machines are noisy.
//!
//! `make bench` builds with optimisation and prints the figures of `docs/benchmarks.md`.

mod corpus;
mod datapath;
mod enforcer;
mod lint;
mod memory;
mod sample;
mod webhook;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures what can be compared with something that everybody knows.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The linter against plain text searches of the same files, and against other linters where they are installed.
    Lint {
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
    },
    /// The admission webhook beside a large cluster, against a server that sends the body back. Needs an API server.
    Webhook {
        /// Number of pods of the cluster.
        #[arg(long, default_value_t = 10_000)]
        pods: usize,
        /// Number of its policies.
        #[arg(long, default_value_t = 1000)]
        policies: usize,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 8)]
        seconds: u64,
    },
    /// The agent of one node of a large cluster: how long until a change is enforced, memory, CPU. Needs root and an API
    /// server.
    Enforcer {
        /// Number of pods on other nodes.
        #[arg(long, default_value_t = 10_000)]
        pods: usize,
        /// Number of policies.
        #[arg(long, default_value_t = 1000)]
        policies: usize,
        /// Number of pods on this node.
        #[arg(long, default_value_t = 30)]
        local: usize,
        /// Changes of each sort.
        #[arg(long, default_value_t = 100)]
        runs: usize,
        /// Seconds to look at the idle agent.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
    },
    /// Traffic between pods with the agent, against no policies and against the same policies by nftables. Needs root.
    Datapath {
        /// Number of policies.
        #[arg(long, default_value_t = 1000)]
        policies: usize,
        /// Number of other pods that they name.
        #[arg(long, default_value_t = 10_000)]
        peers: usize,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 0.2)]
        seconds: f64,
        /// Measurements of each kind.
        #[arg(long, default_value_t = 21)]
        rounds: usize,
    },
    /// The server that sends the body back.
    #[command(hide = true)]
    Echo,
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Lint { netpol_lint, files, apps, runs } => {
            lint::Plan { netpol_lint: &netpol_lint, files, apps, runs }.run()
        }
        What::Webhook { pods, policies, seconds } => webhook::Plan { pods, policies, seconds }.run(),
        What::Enforcer { pods, policies, local, runs, seconds } => {
            enforcer::Plan { pods, policies, local, runs, seconds }.run()
        }
        What::Datapath { policies, peers, seconds, rounds } => {
            datapath::Plan { policies, peers, seconds, rounds }.run()
        }
        What::Echo => webhook::echo(),
    }
}
