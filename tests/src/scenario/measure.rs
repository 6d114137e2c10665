//! Flows as real packets.

use std::time::{Duration, Instant};

use super::Verdict;
use super::flow::{Destination, Flow, Source};
use crate::cluster::running::RunningCluster;
use crate::lab::OUTSIDE_PORT;
use crate::lab::address::{self, Family};
use crate::lab::netns::NetNs;
use crate::probe::server::Port;
use crate::probe::{self, Outcome, Probe, Target};

/// How long a probe waits.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a flow that should be open. A lost first packet costs a second with TCP.
    pub open: Duration,
    /// For a flow that should be closed: every one of them waits to the end.
    pub closed: Duration,
}

impl Patience {
    /// For tests: enough for a loaded machine, little enough to run hundreds of them.
    pub const TEST: Self = Self { open: Duration::from_secs(4), closed: Duration::from_millis(400) };
}

/// A flow whose measured outcome isn't the expected one.
#[derive(Debug, Clone)]
pub struct Mismatch {
    /// The flow.
    pub flow: Flow,
    /// The address family it was tried with.
    pub family: Family,
    /// What was expected.
    pub expected: Verdict,
    /// What happened.
    pub outcome: Outcome,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): expected {}, but {}", self.flow, self.family, self.expected, self.outcome)
    }
}

/// Whether this network can carry the flow at all, policies aside.
#[must_use]
pub fn is_possible(running: &RunningCluster, flow: &Flow) -> bool {
    let (Source::Pod(source), Destination::Service(..) | Destination::NodePort(_)) =
        (&flow.source, &flow.destination)
    else {
        return true;
    };
    let node = running.lab.pods[source].node;
    let stays = flow.pods_behind(&running.cluster).iter().any(|(pod, _)| running.lab.pods[pod].node == node);
    running.lab.shape.translates_on_one_node() || !stays
}

/// Tries flows once, all side by side. Outcomes are in the flows' order.
#[must_use]
pub fn outcomes(running: &RunningCluster, flows: &[(Flow, Family)], patience: Duration) -> Vec<Outcome> {
    let probes = flows.iter().map(|(flow, family)| probe_of(running, flow, *family, patience));
    probe::run(&probes.collect::<Vec<_>>())
}

/// Tries flows over both families and lists those that don't do what is expected.
#[must_use]
pub fn mismatches(running: &RunningCluster, flows: &[(Flow, Verdict)], patience: Patience) -> Vec<Mismatch> {
    disagreements(running, &over_both(flows), patience)
}

/// Tries flows until all of them do what is expected, or the time is over; what comes back is the last attempt's list.
#[must_use]
pub fn mismatches_within(
    running: &RunningCluster,
    flows: &[(Flow, Verdict)],
    time: Duration,
) -> Vec<Mismatch> {
    disagreements_within(running, &over_both(flows), time)
}

/// [`mismatches_within`] where the families may differ in what is expected.
#[must_use]
pub fn disagreements_within(
    running: &RunningCluster,
    flows: &[(Flow, Family, Verdict)],
    time: Duration,
) -> Vec<Mismatch> {
    let deadline = Instant::now() + time;
    // Short attempts first: a change takes a moment to reach the data path.
    let hasty = Patience { open: Duration::from_millis(300), closed: Patience::TEST.closed };
    while Instant::now() < deadline {
        if disagreements(running, flows, hasty).is_empty() {
            return Vec::new();
        }
    }
    disagreements(running, flows, Patience::TEST)
}

fn over_both(flows: &[(Flow, Verdict)]) -> Vec<(Flow, Family, Verdict)> {
    let each = |family| flows.iter().map(move |(flow, verdict)| (flow.clone(), family, *verdict));
    Family::BOTH.into_iter().flat_map(each).collect()
}

fn disagreements(
    running: &RunningCluster,
    flows: &[(Flow, Family, Verdict)],
    patience: Patience,
) -> Vec<Mismatch> {
    let possible = flows.iter().filter(|(flow, ..)| is_possible(running, flow)).collect::<Vec<_>>();
    let probes = possible.iter().map(|(flow, family, verdict)| {
        let patience = if *verdict == Verdict::Open { patience.open } else { patience.closed };
        probe_of(running, flow, *family, patience)
    });
    let outcomes = probe::run(&probes.collect::<Vec<_>>());
    let pairs = possible.into_iter().zip(outcomes);
    let wrong =
        pairs.filter(|((flow, _, expected), outcome)| !is_as_expected(running, flow, *expected, outcome));
    wrong
        .map(|((flow, family, expected), outcome)| Mismatch {
            flow: flow.clone(),
            family: *family,
            expected: *expected,
            outcome,
        })
        .collect()
}

fn is_as_expected(running: &RunningCluster, flow: &Flow, expected: Verdict, outcome: &Outcome) -> bool {
    match (expected, outcome) {
        (Verdict::Closed, Outcome::TimedOut) | (Verdict::Open, Outcome::Connected(None)) => true,
        (Verdict::Open, Outcome::Connected(Some(name))) => {
            let behind = flow.pods_behind(&running.cluster);
            match flow.destination {
                Destination::Outside(_) => name == "outside",
                _ => behind.iter().any(|(pod, _)| pod == name),
            }
        }
        _ => false,
    }
}

fn probe_of<'r>(running: &'r RunningCluster, flow: &Flow, family: Family, patience: Duration) -> Probe<'r> {
    let lab = &running.lab;
    let first_node = &lab.nodes[0];
    let (from, source, own_node): (&NetNs, _, _) = match &flow.source {
        Source::Pod(pod) => (&lab.pods[pod].namespace, None, &lab.nodes[lab.pods[pod].node]),
        Source::Node => {
            let behind = flow.pods_behind(&running.cluster);
            let node = behind.first().map_or(first_node, |(pod, _)| &lab.nodes[lab.pods[pod].node]);
            (&node.namespace, None, node)
        }
        Source::Outside(number) => (&lab.outside, Some(address::outside(9 + number).of(family)), first_node),
    };
    let to = match &flow.destination {
        Destination::Pod(pod, port) => Target::Port(lab.pods[pod].address.of(family), *port),
        Destination::Ping(pod) => Target::Echo(lab.pods[pod].address.of(family)),
        Destination::Service(name, port) => Target::Port(running.service_address(name).of(family), *port),
        Destination::NodePort(port) => Target::Port(own_node.address().of(family), *port),
        Destination::Outside(number) => {
            Target::Port(address::outside(9 + number).of(family), Port::tcp(OUTSIDE_PORT))
        }
        Destination::PingOutside(number) => Target::Echo(address::outside(9 + number).of(family)),
    };
    Probe { source, ..Probe::new(from, to, patience) }
}
