//! From an event to what it means.

use std::time::{Duration, SystemTime};

use netpol_enforcer_common::Address;
use netpol_enforcer_common::event::Event;
use netpol_enforcer_common::reason::Reason;
use netpol_policy::evaluate::{Decision, Endpoint, Evaluator, Flow, Isolation};
use netpol_policy::model::{Cluster, Direction, Protocol, Traffic, WorkloadName};

use super::{Notice, Side, View};
use crate::log;

/// Names an event and has the evaluator say why.
#[must_use]
pub fn explain(event: &Event, view: &View) -> Notice {
    let reason = Reason::from_number(event.reason);
    let direction = if event.direction == 0 { Direction::Ingress } else { Direction::Egress };
    let mut notice = Notice {
        time: log::timestamp(wall_clock(event.time)),
        verdict: if reason.is_none_or(Reason::is_drop) { "drop".into() } else { "allow".into() },
        direction: direction.field().into(),
        reason: reason.map_or_else(|| event.reason.to_string(), |reason| reason.code().into()),
        text: reason.map_or_else(String::new, |reason| reason.text().trim().into()),
        pod: view.generations.get(&event.generation).map(pod_name),
        source: side(event, event.source, event.source_port, view),
        destination: side(event, event.destination, event.destination_port, view),
        protocol: protocol(event),
        link: view.links.get(&event.ifindex).cloned().unwrap_or_else(|| event.ifindex.to_string()),
        isolated_by: Vec::new(),
        rule: None,
    };
    if let Some(cluster) = &view.cluster {
        judge(event, cluster, direction, reason, &mut notice);
    }
    notice
}

fn judge(
    event: &Event,
    cluster: &Cluster,
    direction: Direction,
    reason: Option<Reason>,
    notice: &mut Notice,
) {
    if !matches!(reason, Some(Reason::NotAllowed | Reason::Policy)) || event.source.is_none() {
        return;
    }
    let Some(traffic) = traffic(event) else { return };
    let source = Endpoint::at(cluster, event.source.to_ip());
    let destination = Endpoint::at(cluster, event.destination.to_ip());
    let evaluator = Evaluator::new(cluster);
    let verdict = evaluator.verdict(&Flow::new(source, destination, traffic));
    let decision = match direction {
        Direction::Ingress => verdict.ingress,
        Direction::Egress => verdict.egress,
    };
    notice.isolated_by = decision
        .isolation()
        .iter()
        .map(|isolation| match isolation {
            Isolation::Policy(policy) => policy.name.to_string(),
            Isolation::NamespaceLabel => "namespace label".into(),
        })
        .collect();
    notice.rule = match &decision {
        Decision::Allowed { by, .. } => Some(format!("allowed by {} {by}", by.policy.name)),
        Decision::Denied { closest: Some(closest), .. } => {
            let lacks: Vec<String> = closest.lacks.iter().map(ToString::to_string).collect();
            Some(format!(
                "closest rule: {} {}, which would need {}",
                closest.at.policy.name,
                closest.at,
                lacks.join(" and ")
            ))
        }
        Decision::Denied { closest: None, .. } => Some("no rule allows anything in this direction".into()),
        Decision::Exempt(_) | Decision::NotIsolated => None,
    };
}

fn side(event: &Event, address: Address, port: u16, view: &View) -> Side {
    if address.is_none() {
        return Side { address: None, port: None, pod: None };
    }
    let address = address.to_ip();
    let owner =
        view.cluster.as_ref().and_then(|cluster| cluster.owner(address).map(|pod| pod_name(&pod.name)));
    let port = (has_ports(event.protocol) || is_icmp(event.protocol)).then_some(port);
    Side { address: Some(address), port, pod: owner }
}

fn traffic(event: &Event) -> Option<Traffic> {
    if let Some(protocol) = Protocol::ALL.into_iter().find(|protocol| protocol.number() == event.protocol) {
        return Traffic::port(protocol, event.destination_port.into()).ok();
    }
    Some(if is_icmp(event.protocol) { Traffic::Icmp } else { Traffic::Other(event.protocol) })
}

fn protocol(event: &Event) -> String {
    if event.source.is_none() {
        return format!("EtherType {:#06x}", event.ether_type);
    }
    match Protocol::ALL.into_iter().find(|protocol| protocol.number() == event.protocol) {
        Some(protocol) => protocol.as_str().into(),
        None if event.protocol == ICMPV6 => "ICMPv6".into(),
        None if is_icmp(event.protocol) => "ICMP".into(),
        None => format!("IP protocol {}", event.protocol),
    }
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

fn is_icmp(protocol: u8) -> bool {
    protocol == ICMP || protocol == ICMPV6
}

fn has_ports(protocol: u8) -> bool {
    Protocol::ALL.iter().any(|known| known.number() == protocol)
}

fn pod_name(pod: &WorkloadName) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

/// A reading of the monotonic clock as a point in time.
fn wall_clock(monotonic: u64) -> SystemTime {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux, and `now` has room for the struct that the kernel writes.
    #[allow(unsafe_code)]
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
    }
    let now =
        Duration::new(now.tv_sec.try_into().unwrap_or_default(), now.tv_nsec.try_into().unwrap_or_default());
    SystemTime::now() - now.saturating_sub(Duration::from_nanos(monotonic))
}
