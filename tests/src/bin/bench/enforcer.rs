//! The agent of one node of a large cluster: how long until a change is enforced, and what it takes to run.

mod cluster;
mod pinger;
mod starts;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use netpol_tests::agent::Agent;
use netpol_tests::apiserver::ApiServer;
use netpol_tests::cluster::Cluster;
use netpol_tests::cluster::mirror::{self, Mirror, Passage};
use netpol_tests::cluster::running::RunningCluster;
use netpol_tests::lab::requirements;
use netpol_tests::lab::{ServiceProxy, Shape, Wiring};

use self::pinger::Pinger;

/// How much there is, and how often to look.
pub(crate) struct Plan {
    pub(crate) pods: usize,
    pub(crate) policies: usize,
    pub(crate) local: usize,
    pub(crate) runs: usize,
    pub(crate) seconds: u64,
}

const WAIT: Duration = Duration::from_secs(120);

impl Plan {
    pub(crate) fn run(&self) -> Result<()> {
        let what = "the agent's benchmark";
        if requirements::skip(what) || netpol_tests::apiserver::skip(what) {
            return Ok(());
        }
        let server = ApiServer::start_with(|_| Ok(mirror::arguments()))?;
        let mut running = RunningCluster::new(Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables))?;
        running.apply(&Cluster::read([cluster::local(self.local).as_str()])?)?;
        let mut mirror = Mirror::default();
        mirror.write(&server, &running)?;
        cluster::fill(&server, self.pods, self.policies)?;
        println!(
            "One node with {} pods, in a cluster of {} pods and {} policies in {} namespaces; a real API server.\n",
            running.lab.pods.len(),
            self.pods + running.lab.pods.len(),
            self.policies,
            cluster::NAMESPACES
        );
        println!("| what | p50 | p99 | most |\n|---|---:|---:|---:|");
        let _passage = Passage::new(&running, 0, server.kubeconfig())?;
        let mut starts = Vec::new();
        let mut agent = None;
        for _ in 0..4 {
            if let Some(agent) = agent.take() {
                Agent::stop(agent)?;
            }
            let start = Instant::now();
            let started = Agent::start_in_cluster(&running, 0, server.kubeconfig(), &[])?;
            wait(&started, || started.has_programmed(&running))?;
            starts.push(start.elapsed());
            agent = Some(started);
        }
        let agent = agent.context("an agent was started")?;
        row("start to all pods programmed", &mut starts);

        let ping = Pinger::new(&running, "team-00/client", "team-00/server")?;
        wait(&agent, || ping.is_answered())?;
        let peers = [
            ("few pods", cluster::FEW),
            ("every second pod of the cluster", cluster::HALF),
            ("every pod of the cluster", cluster::ALL),
        ];
        let mut answered = Vec::new();
        for (name, peers) in peers {
            let (mut closed, mut open) = (Vec::new(), Vec::new());
            for _ in 0..self.runs {
                let start = Instant::now();
                server.apply("team-00", &cluster::toggle("[]"))?;
                answered.push(start.elapsed());
                closed.push(ping.last_answer(start)?);
                let start = Instant::now();
                server.apply("team-00", &cluster::toggle(peers))?;
                answered.push(start.elapsed());
                open.push(ping.first_answer(start)?);
            }
            row(&format!("API write to the last packet that is denied now, {name}"), &mut closed);
            row(&format!("API write to the first packet that is allowed now, {name}"), &mut open);
        }
        row("API write of a policy to the API server's answer", &mut answered);

        let late = cluster::LATE;
        let ping = Pinger::new(&running, "team-00/client", late)?;
        let (mut started, mut answered) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            cluster::forget_address(&server, late)?;
            ping.wait_for_silence()?;
            let start = Instant::now();
            cluster::say_address(&server, late, running.layout.pods[late].address)?;
            answered.push(start.elapsed());
            started.push(ping.first_answer(start)?);
        }
        row("a pod's address in the API to its first packet", &mut started);
        row("a pod's address in the API to the API server's answer", &mut answered);
        starts::measure(&server, &running, &agent, self.runs)?;

        let before = ticks(agent.pid())?;
        std::thread::park_timeout(Duration::from_secs(self.seconds));
        let idle = ticks(agent.pid())?.saturating_sub(before);
        println!(
            "\nMemory of the agent: {:.1} MiB resident, {:.1} MiB at most",
            memory(agent.pid(), "VmRSS:")?,
            memory(agent.pid(), "VmHWM:")?
        );
        // A tick is a hundredth of a second, and so a percent of one.
        println!(
            "CPU while nothing happens: {:.2} % of one core over {} s",
            idle as f64 / self.seconds as f64,
            self.seconds
        );
        let log = fs::read_to_string(&agent.log)?;
        let programmed: Vec<&str> =
            log.lines().rev().filter(|line| line.contains(" programmed ")).take(3).collect();
        println!("\nThe agent's own words about its last changes:\n{}", programmed.join("\n"));
        agent.stop()
    }
}

fn wait(agent: &Agent, mut condition: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + WAIT;
    while !condition() {
        ensure!(Instant::now() < deadline, "not within {WAIT:?}:\n{}", agent.last_words());
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(())
}

fn row(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| {
        let last = times.len() - 1;
        times[((last as f64 * share).ceil() as usize).min(last)].as_secs_f64() * 1e3
    };
    println!("| {what} | {:.1} ms | {:.1} ms | {:.1} ms |", at(0.5), at(0.99), at(1.0));
}

/// Time on a CPU since the start, in hundredths of a second.
fn ticks(pid: i32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(") ").context("a process has a name")?.1.split(' ');
    let numbers: Vec<u64> = fields.skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(numbers.iter().sum())
}

/// A line of a process's status, in MiB.
fn memory(pid: i32, line: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|text| text.strip_prefix(line)).context("a process has memory")?;
    let kib: f64 = value.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
