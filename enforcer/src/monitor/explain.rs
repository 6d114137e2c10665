//! From an event to what it means.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use netpol_enforcer_common::Address;
use netpol_enforcer_common::event::{AUDITED, Event};
use netpol_enforcer_common::reason::Reason;
use netpol_policy::evaluate::{Decision, Endpoint, Evaluator, Flow, Isolation};
use netpol_policy::model::{Cluster, Direction, Pod, Protocol, Traffic, WorkloadName};

use super::{Notice, Side, View};
use crate::log;

/// Explains events. It remembers what it said of one, because a flood says the same again and again, and judging takes longer
/// than the kernel took.
#[derive(Debug, Default)]
pub struct Explainer {
    /// The version of the view that the rest is about, and the objects.
    version: u64,
    cluster: Option<Arc<Cluster>>,
    owners: HashMap<IpAddr, String>,
    said: HashMap<Key, (Vec<String>, Option<String>)>,
}

/// All that an explanation depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    generation: u32,
    addresses: [Address; 2],
    port: u16,
    protocol: u8,
    direction: u8,
    reason: u8,
}

/// How many explanations are remembered.
const REMEMBERED: usize = 4096;

impl Explainer {
    /// Names an event and has the evaluator say why.
    #[must_use]
    pub fn explain(&mut self, event: &Event, view: &View) -> Notice {
        let cluster = view.objects.recent();
        if self.version != view.version
            || self.cluster.as_ref().map(Arc::as_ptr) != cluster.as_ref().map(Arc::as_ptr)
        {
            let owners = cluster.as_deref().map_or_else(HashMap::new, owners);
            *self = Self { version: view.version, cluster: cluster.clone(), owners, said: HashMap::new() };
        }
        let reason = Reason::from_number(event.reason);
        let direction = if event.direction == 0 { Direction::Ingress } else { Direction::Egress };
        let mut notice = Notice {
            time: log::timestamp(wall_clock(event.time)),
            verdict: verdict(event).into(),
            direction: direction.field().into(),
            reason: reason.map_or_else(|| event.reason.to_string(), |reason| reason.code().into()),
            text: reason.map_or_else(String::new, |reason| reason.text().trim().into()),
            pod: view.generations.get(&event.generation).map(pod_name),
            source: self.side(event, event.source, event.source_port),
            destination: self.side(event, event.destination, event.destination_port),
            protocol: protocol(event),
            link: view.links.get(&event.ifindex).cloned().unwrap_or_else(|| event.ifindex.to_string()),
            isolated_by: Vec::new(),
            rule: None,
        };
        let Some(cluster) = cluster else { return notice };
        let key = Key {
            generation: event.generation,
            addresses: [event.source, event.destination],
            port: event.destination_port,
            protocol: event.protocol,
            direction: event.direction,
            reason: event.reason,
        };
        if let Some((isolated_by, rule)) = self.said.get(&key) {
            (notice.isolated_by, notice.rule) = (isolated_by.clone(), rule.clone());
            return notice;
        }
        judge(event, &cluster, direction, reason, &mut notice);
        if self.said.len() >= REMEMBERED {
            self.said.clear();
        }
        self.said.insert(key, (notice.isolated_by.clone(), notice.rule.clone()));
        notice
    }

    fn side(&self, event: &Event, address: Address, port: u16) -> Side {
        if address.is_none() {
            return Side { address: None, port: None, pod: None };
        }
        let address = address.to_ip();
        let port = (has_ports(event.protocol) || is_icmp(event.protocol)).then_some(port);
        Side { address: Some(address), port, pod: self.owners.get(&address).cloned() }
    }
}

/// `drop`, `audit` or `allow`.
pub(super) fn verdict(event: &Event) -> &'static str {
    match Reason::from_number(event.reason) {
        _ if event.flags & AUDITED != 0 => "audit",
        Some(reason) if !reason.is_drop() => "allow",
        _ => "drop",
    }
}

/// The same choice as [`Cluster::owner`], for all addresses at once.
fn owners(cluster: &Cluster) -> HashMap<IpAddr, String> {
    let mut owners: HashMap<IpAddr, &Pod> = HashMap::new();
    for pod in cluster.pods.iter().filter(|pod| pod.is_subject()) {
        for address in &pod.addresses {
            let owner = owners.entry(*address).or_insert(pod);
            if pod.created.cmp(&owner.created).then_with(|| owner.name.cmp(&pod.name)).is_gt() {
                *owner = pod;
            }
        }
    }
    owners.into_iter().map(|(address, pod)| (address, pod_name(&pod.name))).collect()
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
    notice.isolated_by = isolated_by(&decision);
    notice.rule = rule(&decision);
}

/// The names of what isolates a pod.
pub(crate) fn isolated_by(decision: &Decision<'_>) -> Vec<String> {
    let name = |isolation: &Isolation<'_>| match isolation {
        Isolation::Policy(policy) => policy.name.to_string(),
        Isolation::NamespaceLabel => "namespace label".into(),
    };
    decision.isolation().iter().map(name).collect()
}

/// The rule that allows, or the one that came closest and what it lacked.
pub(crate) fn rule(decision: &Decision<'_>) -> Option<String> {
    match decision {
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
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const OBJECTS: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, status: {podIPs: [{ip: 10.0.0.2}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}, status: {podIPs: [{ip: 10.0.0.3}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 3306}]}]
";

    fn notice(reason: Reason, port: u16) -> Notice {
        let manifest = netpol_policy::source::Manifest::read(OBJECTS, "default");
        assert_eq!(manifest.errors, []);
        let cluster = netpol_policy::source::cluster([&manifest]);
        let db = cluster.pods.iter().find(|pod| &*pod.name.name == "db").expect("a pod").name.clone();
        let view = View {
            objects: cluster.into(),
            generations: BTreeMap::from([(7, db)]),
            links: BTreeMap::from([(4, "veth4".into())]),
            version: 1,
            ..View::default()
        };
        let address = |text: &str| Address::from(text.parse::<IpAddr>().expect("an address"));
        let event = Event {
            time: 0,
            generation: 7,
            ifindex: 4,
            set: 1,
            identity: 1,
            rule: 0,
            epoch: 3,
            length: 60,
            source: address("10.0.0.2"),
            destination: address("10.0.0.3"),
            source_port: 40_000,
            destination_port: port,
            ether_type: 0x0800,
            slot: 1,
            protocol: 6,
            direction: 0,
            reason: reason as u8,
            flags: 0,
        };
        let mut explainer = Explainer::default();
        let notice = explainer.explain(&event, &view);
        assert_eq!(explainer.explain(&event, &view), notice, "it remembers");
        notice
    }

    #[test]
    fn a_drop_names_what_came_closest() {
        let notice = notice(Reason::NotAllowed, 22);
        assert_eq!(notice.verdict, "drop");
        assert_eq!(notice.pod.as_deref(), Some("shop/db"));
        assert_eq!(notice.source.pod.as_deref(), Some("shop/web"));
        assert_eq!(notice.link, "veth4");
        assert_eq!(notice.isolated_by, ["shop/db"]);
        let expected =
            "closest rule: shop/db spec.ingress[0].from[0], which would need the port to be 3306/TCP";
        assert_eq!(notice.rule.as_deref(), Some(expected));
    }

    #[test]
    fn an_allowed_flow_names_its_rule() {
        let notice = notice(Reason::Policy, 3306);
        assert_eq!(notice.verdict, "allow");
        assert_eq!(notice.rule.as_deref(), Some("allowed by shop/db spec.ingress[0].from[0]"));
    }

    #[test]
    fn what_no_policy_decided_names_none() {
        let notice = notice(Reason::Spoofed, 3306);
        assert_eq!((notice.reason.as_str(), notice.isolated_by.len(), notice.rule), ("spoofed", 0, None));
    }
}
