//! The demo: a three-tier application whose policy has a mistake; the linter finds it, the fixed policy is enforced, and
//! real connections show what changed.

mod keep;
mod lint;
mod report;
mod style;
mod talk;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use self::report::Report;
use crate::agent::Agent;
use crate::cluster::running::RunningCluster;
use crate::lab::address::Family;
use crate::lab::{ServiceProxy, Shape, Wiring, requirements};
use crate::probe::Outcome;
use crate::scenario::flow::{self, Flow};
use crate::scenario::{Scenario, Verdict, measure};

#[derive(Parser)]
#[command(
    about = "A three-tier application: its policy linted, enforced by eBPF, and measured with real connections"
)]
struct Options {
    /// Leave pods and agent up, and say how to play with them
    #[arg(long)]
    keep: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Open a connection between two pods of a demo that is kept up, and send a line on it every second
    Talk {
        /// The pod that connects
        from: String,
        /// The pod that is connected to
        to: String,
    },
    /// Connect every pod of a demo that is kept up to every other, once
    Matrix,
    /// End a demo that is kept up
    Down,
}

/// How long a connection attempt waits before it counts as timed out.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long the agent may take to program what the policies say.
const CONVERGENCE: Duration = Duration::from_secs(60);

/// Parses the command line and runs; the exit code says whether what was measured is what was expected.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.command {
        None => run(options.keep),
        Some(Command::Talk { from, to }) => talk::talk(from, to),
        Some(Command::Matrix) => talk::matrix(),
        Some(Command::Down) => keep::down(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{} {error:#}", style::bad("error:"));
            ExitCode::from(2)
        }
    }
}

fn run(keep: bool) -> Result<bool> {
    let scenario = Scenario::read("three-tier")?;
    println!("{}", style::title("A three-tier application: frontend -> backend -> db"));
    println!("Each tier is a pod behind a Service. Only the backend is meant to reach the database.\n");

    let policy = lint::find_explain_fix(&scenario)?;

    let missing = requirements::missing();
    if !missing.is_empty() {
        println!("{}", style::title("Not measured here"));
        println!("Enforcing this on real pods needs what this machine, or this user, doesn't have:");
        missing.iter().for_each(|each| println!("  - {each}"));
        println!("\nThe policy was linted and its effect predicted; nothing was enforced.");
        return Ok(true);
    }

    println!("{}", style::title("3. Real pods, before"));
    let stage = &scenario.expected.stages[1];
    let cluster = scenario.cluster(stage)?;
    let flows = flow::between_pods(&cluster).into_iter().filter(|flow| !flow.is_to_itself(&cluster));
    let flows = flows.collect::<Vec<_>>();
    let started = Instant::now();
    style::progress("building three pods in network namespaces, with their Services");
    let shape = Shape::one_node(Wiring::Bridge { call_iptables: true }, ServiceProxy::Nftables);
    let mut running = RunningCluster::new(shape)?;
    running.apply(&cluster)?;
    style::done(started.elapsed());
    let before = measured(&running, &flows)?;

    println!("\n{}", style::title("4. Real pods, after"));
    let started = Instant::now();
    style::progress("starting netpol-enforcer: eBPF programs on the pods' interfaces");
    running.set_policies([("db-test.yaml", policy.as_str())])?;
    let agent = Agent::start(&running, 0)?;
    let expected = scenario.flows(stage, &cluster)?;
    let settled = measure::mismatches_within(&running, &expected, CONVERGENCE);
    agent.check()?;
    if settled.is_empty() {
        style::done(started.elapsed());
    } else {
        style::failed("the measured connectivity did not become the expected one");
    }
    let after = measured(&running, &flows)?;

    let report = Report::new(&running, &flows, &before, &after, |flow| verdict_of(&expected, flow));
    println!("\n{}", style::title("Before and after, measured with real connections over IPv4 and IPv6"));
    print!("{report}");
    let right = report.is_as_expected() && settled.is_empty();
    settled.iter().for_each(|each| println!("{} {each}", style::bad("wrong:")));
    println!("\n{}", report.conclusion());
    if keep {
        keep::keep(&mut running, agent)?;
    }
    Ok(right)
}

/// Tries every flow over both families; one list of outcomes for each.
fn measured(running: &RunningCluster, flows: &[Flow]) -> Result<Vec<[Outcome; 2]>> {
    let started = Instant::now();
    style::progress(&format!("connecting every pod to every other, {} connections", flows.len() * 2));
    let both = flows.iter().flat_map(|flow| Family::BOTH.map(|family| (flow.clone(), family)));
    let outcomes = measure::outcomes(running, &both.collect::<Vec<_>>(), PATIENCE);
    style::done(started.elapsed());
    let (pairs, _) = outcomes.as_chunks::<2>();
    Ok(pairs.to_vec())
}

fn verdict_of(expected: &[(Flow, Verdict)], flow: &Flow) -> Result<Verdict> {
    let listed = expected.iter().find(|(listed, _)| listed == flow);
    listed
        .map(|(_, verdict)| *verdict)
        .with_context(|| format!("the scenario doesn't expect anything of {flow}"))
}
