//! The scenarios on a whole cluster: installed by the manifests, with real pods, through Services and node ports.
//!
//! Made for a cluster that can be thrown away: it makes namespaces and pods by fixed names, and node ports.

mod kubectl;
mod nodes;
mod objects;
mod outside;
mod reach;
mod scenarios;
mod upkeep;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use netpol_tests::scenario::Scenario;

use crate::kubectl::Kubectl;
use crate::nodes::Nodes;
use crate::outside::Outside;
use crate::scenarios::World;

/// Runs the scenarios of tests/scenarios on a whole cluster, with real pods.
///
/// The cluster must be one that can be thrown away. Images of this version must be known to its nodes (`make images`).
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    helper: Option<Helper>,
    /// How kubectl is called; KUBECONFIG is passed on.
    #[arg(long, env = "KUBECTL", default_value = "kubectl")]
    kubectl: String,
    /// What is installed.
    #[arg(long, default_value = "manifests/overlays/suite")]
    overlay: String,
    /// Nothing is installed: what is there already is tested.
    #[arg(long)]
    installed: bool,
    /// The image of the pods: agnhost.
    #[arg(long, env = "E2E_IMAGE", default_value = "registry.k8s.io/e2e-test-images/agnhost:2.53")]
    image: String,
    /// Runs a command on a host outside the cluster that reaches pods by their addresses and has 203.0.113.10 to 203.0.113.12
    /// and lets programs ping (net.ipv4.ping_group_range).
    /// Without it, what comes from outside is left out.
    #[arg(long, env = "E2E_OUTSIDE", value_name = "COMMAND")]
    outside: Option<String>,
    /// Ends the node whose name is the last argument. Without it, no node is lost.
    #[arg(long, env = "E2E_KILL_NODE", value_name = "COMMAND")]
    kill_node: Option<String>,
    /// Brings it back.
    #[arg(long, env = "E2E_START_NODE", value_name = "COMMAND")]
    start_node: Option<String>,
    /// Only these scenarios.
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// Leave what was installed.
    #[arg(long, env = "E2E_KEEP")]
    keep: bool,
}

/// What this program does on the host outside.
#[derive(Subcommand)]
enum Helper {
    /// Answers on the addresses of the hosts outside.
    #[command(hide = true)]
    Serve,
    /// Connects once, and says so if there was an answer.
    #[command(hide = true)]
    Connect(outside::Connect),
    /// Pings once: as `connect`.
    #[command(hide = true)]
    Ping(outside::Ping),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.helper {
        Some(Helper::Serve) => outside::serve(),
        Some(Helper::Connect(connect)) => outside::connect(connect),
        Some(Helper::Ping(ping)) => outside::ping(ping),
        None => run(&cli),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let kubectl = Kubectl::new(&cli.kubectl);
    let nodes = Nodes::schedulable(&kubectl)?;
    scenarios::refuse_a_cluster_in_use(&kubectl)?;
    let outside = cli.outside.as_deref().map(Outside::new).transpose()?;
    let mut world = World::new(&kubectl, nodes, outside, cli.image.clone());
    let result = all(cli, &mut world);
    world.remove();
    result?;
    if !cli.keep && !cli.installed {
        remove(cli, &kubectl)?;
        for scenario in chosen(cli)?.iter().filter(|scenario| !scenario.expected.agent) {
            world.check(scenario)?;
        }
        world.remove();
    }
    Ok(())
}

/// Takes the enforcer off every node, and deletes what was installed. After a failure everything stays to be looked at.
fn remove(cli: &Cli, kubectl: &Kubectl) -> Result<()> {
    if kubectl.run(&["-n", ENFORCER, "get", DAEMON_SET]).is_ok() {
        kubectl.run(&["apply", "-k", REMOVE])?;
        kubectl
            .run(&["-n", ENFORCER, "rollout", "status", DAEMON_SET, "--timeout=180s"])
            .context("removing the enforcer from every node")?;
        said("the enforcer is off every node");
    }
    kubectl.run(&["delete", "--ignore-not-found", "--timeout=120s", "-k", &cli.overlay]).map(drop)
}

const ENFORCER: &str = "netpol-enforcer";
const DAEMON_SET: &str = "daemonset/netpol-enforcer";
const REMOVE: &str = "manifests/overlays/remove-enforcer";

fn all(cli: &Cli, world: &mut World<'_>) -> Result<()> {
    let (with, without): (Vec<_>, Vec<_>) =
        chosen(cli)?.into_iter().partition(|scenario| scenario.expected.agent);
    let mut flows = 0;
    if !cli.installed {
        for scenario in &without {
            flows += world.check(scenario)?;
        }
        install(cli, world.kubectl)?;
    }
    for scenario in &with {
        flows += world.check(scenario)?;
    }
    upkeep::roll_out(world)?;
    if let Some(kill) = &cli.kill_node {
        upkeep::lose_a_node(world, kill, cli.start_node.as_deref())?;
    }
    println!("{flows} flows of {} scenarios: all as expected", with.len() + without.len());
    Ok(())
}

fn chosen(cli: &Cli) -> Result<Vec<Scenario>> {
    let wanted = |name: &str| cli.scenarios.is_empty() || cli.scenarios.iter().any(|wanted| wanted == name);
    let mut scenarios = netpol_tests::scenario::all()?;
    scenarios.retain(|scenario| wanted(&scenario.name));
    ensure!(!scenarios.is_empty(), "there is no scenario of that name");
    Ok(scenarios)
}

fn install(cli: &Cli, kubectl: &Kubectl) -> Result<()> {
    let start = Instant::now();
    kubectl.run(&["apply", "-k", &cli.overlay]).with_context(|| format!("installing {}", cli.overlay))?;
    for (namespace, workload) in [(ENFORCER, DAEMON_SET), ("netpol-system", "deployment/netpol-webhook")] {
        if kubectl.run(&["-n", namespace, "get", workload]).is_ok() {
            kubectl
                .run(&["-n", namespace, "rollout", "status", workload, "--timeout=180s"])
                .with_context(|| format!("waiting for {workload}"))?;
        }
    }
    said(&format!("{} is installed and ready after {}", cli.overlay, seconds(start.elapsed())));
    Ok(())
}

/// One line about something that went well.
fn said(what: &str) {
    println!("ok      {what}");
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
