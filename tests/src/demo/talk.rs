//! What another terminal does with a demo that is kept up.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::keep::{Reachable, State};
use super::{PATIENCE, style};
use crate::lab::address::Family;
use crate::lab::netns::NetNs;
use crate::probe::server::Port;
use crate::probe::{self, Connection, Probe, Target};

/// Opens a connection between two pods and sends a line every second, until it breaks or Ctrl-C.
pub(super) fn talk(from: &str, to: &str) -> Result<bool> {
    let state = State::read()?;
    let source = NetNs::open(from, &find(&state.pods, from)?.namespace)?;
    let target = find(&state.pods, to)?;
    let address = SocketAddr::new(target.address.of(Family::V4), target.port);
    println!("{from} connects to {to} at {address}");
    let mut connection = match Connection::open(&source, address, Duration::from_secs(3)) {
        Ok(connection) => connection,
        Err(error) => {
            println!("{}: {error:#}", style::bad("not connected"));
            return Ok(false);
        }
    };
    println!(
        "{} to {}; a line every second, Ctrl-C ends it",
        style::good("connected"),
        connection.server.trim_start_matches("default/")
    );
    let started = Instant::now();
    loop {
        let sent = Instant::now();
        let answered = connection.exchange(Duration::from_secs(1))?;
        let word = if answered { style::good("answered") } else { style::bad("no answer") };
        println!("{:5.0} s  {word}", started.elapsed().as_secs_f32());
        thread::sleep(Duration::from_secs(1).saturating_sub(sent.elapsed()));
    }
}

/// Connects every pod to every other, by pod address and by Service.
pub(super) fn matrix() -> Result<bool> {
    let state = State::read()?;
    let namespaces = state
        .pods
        .iter()
        .map(|(name, pod)| Ok((name, NetNs::open(name, &pod.namespace)?)))
        .collect::<Result<Vec<_>>>()?;
    let targets = |kind: &'static str, targets| -> Vec<(&'static str, &String, &Reachable)> {
        let targets: &BTreeMap<String, Reachable> = targets;
        targets.iter().map(|(name, target)| (kind, name, target)).collect()
    };
    let targets = [targets("pod", &state.pods), targets("service", &state.services)].concat();
    let mut labels = Vec::new();
    let mut probes = Vec::new();
    for (from, namespace) in &namespaces {
        for (kind, to, target) in targets.iter().filter(|(_, to, _)| to != from) {
            labels.push(format!("{from:<10} -> {kind:<8} {to}:{}", target.port));
            let to = Target::Port(target.address.of(Family::V4), Port::tcp(target.port));
            probes.push(Probe::new(namespace, to, PATIENCE));
        }
    }
    for (label, outcome) in labels.iter().zip(probe::run(&probes)) {
        let text = outcome.to_string().replace("default/", "");
        println!("{label:<36} {}", if outcome.arrived() { style::good(&text) } else { style::bad(&text) });
    }
    Ok(true)
}

fn find<'s>(pods: &'s BTreeMap<String, Reachable>, name: &str) -> Result<&'s Reachable> {
    let names = || pods.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    pods.get(name).with_context(|| format!("there is no pod {name:?}; there are {}", names()))
}
