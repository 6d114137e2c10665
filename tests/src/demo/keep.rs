//! A demo that is kept up: what can be done with it, and how it ends.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::style;
use crate::agent::Agent;
use crate::cluster::running::RunningCluster;
use crate::lab::address::Pair;

/// Only root can write here, and only root runs the demo's pods.
const STATE: &str = "/run/netpol-demo.json";

/// What another process needs to know of a demo that is kept up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) pid: i32,
    pub(super) pods: BTreeMap<String, Reachable>,
    pub(super) services: BTreeMap<String, Reachable>,
}

/// Where something is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reachable {
    /// The network namespace; empty for a Service.
    pub(super) namespace: String,
    pub(super) address: Pair,
    pub(super) port: u16,
}

impl State {
    /// The demo that is up.
    pub(super) fn read() -> Result<Self> {
        let text =
            fs::read_to_string(STATE).context("no demo is kept up: start one with `make demo KEEP=1`")?;
        let state: Self = serde_json::from_str(&text).with_context(|| format!("reading {STATE}"))?;
        ensure!(alive(state.pid), "the demo has ended: start one with `make demo KEEP=1`");
        Ok(state)
    }
}

/// Says what can be done, and waits for Ctrl-C or `make demo-down`.
pub(super) fn keep(running: &mut RunningCluster, agent: Agent) -> Result<()> {
    let pods = running.lab.pods.iter().filter_map(|(key, pod)| {
        let port = running.cluster.pods[key].ports.first()?.number;
        Some((short(key), Reachable { namespace: pod.namespace.path(), address: pod.address, port }))
    });
    let services = running.cluster.services.iter().filter_map(|(key, service)| {
        let address = running.service_address(key);
        Some((
            short(key),
            Reachable { namespace: String::new(), address, port: service.ports.first()?.number },
        ))
    });
    let state =
        State { pid: std::process::id().cast_signed(), pods: pods.collect(), services: services.collect() };
    fs::write(STATE, serde_json::to_string_pretty(&state)?).with_context(|| format!("writing {STATE}"))?;
    let ended = wait(running, agent, &state);
    // The last thing a demo does; a new one overwrites the file anyway.
    let _ = fs::remove_file(STATE);
    ended
}

fn wait(running: &RunningCluster, agent: Agent, state: &State) -> Result<()> {
    let policy = running.manifests().join("db-test.yaml");
    instructions(running, &agent, state, &policy)?;
    let (sender, events) = mpsc::channel();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let from_signals = sender.clone();
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            let _ = from_signals.send(Event::End);
        }
    });
    if io::stdin().is_terminal() {
        thread::spawn(move || {
            while io::stdin().lines().next().is_some_and(|line| line.is_ok()) {
                if sender.send(Event::Enter).is_err() {
                    return;
                }
            }
        });
    }
    let mut agent = Some(agent);
    loop {
        match events.recv_timeout(Duration::from_millis(200)) {
            Ok(Event::End) => break,
            Ok(Event::Enter) if agent.is_none() => {
                let started = Agent::start(running, 0)?;
                println!("The agent is back, as process {}. It took over what was enforced.", started.pid());
                agent = Some(started);
            }
            Ok(Event::Enter) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("nothing can end this demo any more"),
        }
        if agent.as_ref().is_some_and(|agent| agent.check().is_err()) {
            agent = None;
            println!(
                "The agent is gone. Its programs and maps are still in the kernel: db stays closed to frontend."
            );
            println!("Press Enter to start it again.");
        }
    }
    println!("\nEnding the demo: its pods, interfaces, rules and programs go with it.");
    Ok(())
}

enum Event {
    /// The Enter key.
    Enter,
    /// A signal that ends programs.
    End,
}

fn instructions(running: &RunningCluster, agent: &Agent, state: &State, policy: &Path) -> Result<()> {
    let demo = program_path()?;
    let demo = demo.display();
    let node = &running.lab.nodes[0].namespace;
    let mounts = node.mounts_path().unwrap_or_default();
    println!("\n{}", style::title("The pods and the agent stay up. In another terminal, as root:"));
    println!(
        "
  An established connection closes and reopens. The policy is this file, edit it as you like:
         {policy}
    1. Let the frontend in:
         sed -i '/- from:/a\\        - podSelector: {{matchLabels: {{role: frontend}}}}' {policy}
    2. Open a connection, a line every second:
         {demo} talk frontend db
    3. Shut the frontend out again and watch the connection go silent; let it in, and it goes on:
         sed -i '/role: frontend/d' {policy}

  Enforcement outlives the agent
         kill -9 {agent}
         {demo} matrix                (every pod to every other: db is still closed to frontend)
    Press Enter here to start the agent again.

  Look inside
         nsenter --net={node} --mount={mounts} {enforcer} status --state-dir {state_dir}
         nsenter --net={frontend} ip address
         tail -f {log}

  End it with Ctrl-C here, or `make demo-down`.
",
        policy = policy.display(),
        agent = agent.pid(),
        node = node.path(),
        enforcer = crate::programs::enforcer()?.display(),
        state_dir = agent.state().display(),
        frontend = state.pods.get("frontend").map_or("", |pod| pod.namespace.as_str()),
        log = agent.log.display(),
    );
    Ok(())
}

/// Ends a demo that is kept up, and waits until it is gone.
pub(super) fn down() -> Result<bool> {
    let Ok(state) = State::read() else {
        println!("No demo is kept up.");
        return Ok(true);
    };
    let pid = Pid::from_raw(state.pid).context("a process id is positive")?;
    kill_process(pid, Signal::TERM).context("ending the demo")?;
    let deadline = Instant::now() + Duration::from_secs(15);
    while alive(state.pid) {
        ensure!(Instant::now() < deadline, "the demo (process {}) doesn't end", state.pid);
        thread::sleep(Duration::from_millis(50));
    }
    println!("The demo has ended.");
    Ok(true)
}

fn alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

fn program_path() -> Result<PathBuf> {
    std::env::current_exe().context("finding this program's own path")
}

fn short(key: &str) -> String {
    key.strip_prefix("default/").unwrap_or(key).to_owned()
}
