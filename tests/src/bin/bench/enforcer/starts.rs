//! Pods that start: what the chained plugin takes of it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use netpol_tests::agent::Agent;
use netpol_tests::apiserver::ApiServer;
use netpol_tests::cluster::running::RunningCluster;
use netpol_tests::cni::{self, Runtime, Sandbox};
use netpol_tests::lab::netns::NetNs;
use netpol_tests::programs;
use serde_json::json;

use super::{cluster, row};

/// So many addresses are left for pods of a runtime.
const MOST: usize = 100;

/// Connects pods one after another as a kubelet's runtime does. Their network is there and they are under policy when the last plugin returns.
pub(crate) fn measure(
    server: &ApiServer,
    running: &RunningCluster,
    agent: &Agent,
    runs: usize,
) -> Result<()> {
    let references = match cni::reference_plugins() {
        Ok(directory) => directory,
        Err(why) => {
            println!("\nNot measured: starts of pods: no reference CNI plugins: {why}\n");
            return Ok(());
        }
    };
    let files = &running.files;
    let mut network = cni::network("ptp", "1.0.0", &files.directory("ipam")?);
    network["plugins"].as_array_mut().context("a list of plugins")?.push(json!({
        "type": "netpol-cni",
        "socket": agent.state().join("cni.sock"),
        "timeoutSeconds": 10.0,
        "onUnavailable": "fail",
    }));
    let configurations = files.directory("net.d")?;
    fs::write(configurations.join("10-lab.conflist"), network.to_string())?;
    let own = programs::cni()?.parent().context("the plugin's directory")?;
    let runtime = Runtime::new(&configurations, &[references, own]);

    let node = &running.lab.nodes[0];
    let names: Vec<String> = (0..runs.min(MOST)).map(|number| format!("team-00/start-{number}")).collect();
    cluster::schedule(server, &node.name, &names)?;
    let (mut whole, mut ours) = (Vec::new(), Vec::new());
    let namespaces = names.iter().map(|name| NetNs::new(name)).collect::<Result<Vec<_>>>()?;
    let containers: Vec<String> = names.iter().map(|name| name.replace('/', "-")).collect();
    let sandboxes = names.iter().zip(&containers).zip(&namespaces);
    let sandboxes: Vec<Sandbox<'_>> = sandboxes
        .map(|((name, container), namespace)| Sandbox { container, pod: Some(name), namespace })
        .collect();
    for sandbox in sandboxes.iter().copied() {
        let start = Instant::now();
        let (_, times) = runtime.timed_add(&node.namespace, sandbox)?;
        whole.push(start.elapsed());
        let (last, time) = times.last().context("there are plugins")?;
        ensure!(last == "netpol-cni", "the last plugin is {last}");
        ours.push(*time);
    }
    // Afterwards, so that no pod starts while another one ends.
    for sandbox in sandboxes {
        runtime.del(&node.namespace, sandbox)?;
    }
    let mut waited = waited(agent, names.len())?;
    row("a pod's start: ADD of all plugins (ptp, portmap, netpol-cni)", &mut whole);
    row("a pod's start: of these netpol-cni", &mut ours);
    row("a pod's start: of these the agent", &mut waited);
    Ok(())
}

/// How long the last pods waited for the agent: what it says itself.
fn waited(agent: &Agent, pods: usize) -> Result<Vec<Duration>> {
    let log = fs::read_to_string(&agent.log)?;
    let times = log.lines().filter(|line| line.contains("pod attached"));
    let times = times.map(|line| {
        let text = line.split_once("microseconds=").context("how long it took")?.1;
        Ok(Duration::from_micros(text.split_whitespace().next().unwrap_or_default().parse()?))
    });
    let times = times.collect::<Result<Vec<_>>>()?;
    ensure!(times.len() >= pods, "{} of {pods} pods were attached by the agent", times.len());
    Ok(times[times.len() - pods..].to_vec())
}
