//! Traffic between two pods of a node: without policies, with the agent, with the same policies as an nftables ruleset with sets, and with
//! programs that do nothing where the agent's are.
//!
//! Four clusters of the same shape stand side by side, and every measurement goes round them in turn, so that a noisy machine
//! is noisy for all. Translation of Services, and with it the kernel's connection tracking, is there in all of them.

mod hooks;
mod policies;
mod traffic;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use netpol_tests::agent::Agent;
use netpol_tests::cluster::Cluster;
use netpol_tests::cluster::running::RunningCluster;
use netpol_tests::lab::requirements;
use netpol_tests::lab::{ServiceProxy, Shape, Wiring};

use self::hooks::Hooks;
use self::policies::Policies;
use self::traffic::{Figure, PORT};

/// What to measure with.
pub(crate) struct Plan {
    pub(crate) policies: usize,
    pub(crate) peers: usize,
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
}

/// The variants, the baseline first.
const VARIANTS: [&str; 4] = ["no policies", "empty programs", "netpol-enforcer", "nftables"];
/// Those in which policies are enforced.
const ENFORCED: [bool; 4] = [false, false, true, true];

impl Plan {
    pub(crate) fn run(&self) -> Result<()> {
        if let Some(missing) = requirements::missing().first() {
            println!("Traffic between pods: skipped, {missing}.");
            return Ok(());
        }
        let policies = Policies { policies: self.policies, peers: self.peers };
        let none = cluster()?;
        let mut enforced = cluster()?;
        let filtered = cluster()?;
        let empty = cluster()?;
        let _hooks = Hooks::attach(&empty)?;
        let _agent = enforce(&mut enforced, &policies)?;
        filtered.lab.nodes[0].namespace.feed("nft", &["-f", "-"], &policies.nftables(&filtered))?;
        let clusters = [&none, &empty, &enforced, &filtered];
        for ((cluster, variant), enforced) in clusters.iter().zip(VARIANTS).zip(ENFORCED) {
            let open = traffic::opens(cluster, "default/client");
            ensure!(open, "{variant}: the client must reach the server");
            let closed = !traffic::opens(cluster, "default/stranger");
            ensure!(closed == enforced, "{variant}: the stranger must be kept out by policies");
        }

        println!(
            "Traffic between two pods of a node, {} policies, {} peers; the best of {} rounds of {} s\n",
            self.policies, self.peers, self.rounds, self.seconds
        );
        println!(
            "| what | {} | empty / none | enforcer / none | nftables / none | enforcer / nftables | goal |",
            VARIANTS.join(" | ")
        );
        println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        let time = Duration::from_secs_f64(self.seconds);
        for figure in Figure::ALL {
            let mut rounds = Vec::new();
            for round in 0..=self.rounds {
                let mut rates = [0.0; 4];
                for turn in 0..clusters.len() {
                    // Another one begins each time.
                    let index = (round + turn) % clusters.len();
                    rates[index] = figure.measure(clusters[index], time)?;
                }
                // The first round is for caches and neighbours.
                if round > 0 {
                    rounds.push(rates);
                }
            }
            print(figure, &rounds);
        }
        Ok(())
    }
}

/// One line. The best rate of each: whatever else the machine does only makes it slower.
fn print(figure: Figure, rounds: &[[f64; 4]]) {
    let best @ [none, empty, enforced, filtered] =
        [0, 1, 2, 3].map(|variant| rounds.iter().map(|rates| rates[variant]).fold(0.0, f64::max));
    println!(
        "| {} | {} | {:.2} | {:.2} | {:.2} | {:.2} | enforcer ≥ 0.97, ≥ nftables |",
        figure.name(),
        best.map(|rate| figure.show(rate)).join(" | "),
        empty / none,
        enforced / none,
        filtered / none,
        enforced / filtered,
    );
}

/// A node with a client, a server and a pod that no policy lets in, point-to-point links, kube-proxy's rules by nftables.
fn cluster() -> Result<RunningCluster> {
    let shape = Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables);
    let mut running = RunningCluster::new(shape)?;
    let pods = ["client", "server", "stranger"].map(|name| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{role: {name}}}}}\nspec: {{containers: [{{name: main}}]}}\n---\n"
        )
    });
    running.apply(&Cluster::read([pods.concat().as_str()])?)?;
    Ok(running)
}

fn enforce(running: &mut RunningCluster, policies: &Policies) -> Result<Agent> {
    let files = [("peers.yaml", policies.peers_yaml()), ("policies.yaml", policies.yaml())];
    running.set_policies(files.iter().map(|(name, text)| (*name, text.as_str())))?;
    let agent = Agent::start(running, 0).context("starting the agent")?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !agent.has_programmed(running) || traffic::opens(running, "default/stranger") {
        agent.check()?;
        ensure!(
            Instant::now() < deadline,
            "the agent has not programmed port {PORT}:\n{}",
            agent.last_words()
        );
    }
    Ok(agent)
}
