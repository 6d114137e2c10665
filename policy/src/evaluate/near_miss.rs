//! For a denial: the rule that came closest, and what it lacked.

use crate::model::{Direction, NetworkPolicy, Peer, Peers, Pod, PodNamespaces, PortMatch, Ports, Traffic};

use super::decision::{Lack, NearMiss, RuleRef};
use super::endpoint::{Endpoint, Flow};
use super::evaluator::{Evaluator, far_end, port_matches, rules};

/// The rule with the fewest things missing; the first of equals. `None` when the pod's policies have no rule.
pub(super) fn closest<'c>(
    evaluator: &Evaluator<'c>,
    pod: &'c Pod,
    flow: &Flow<'c>,
    direction: Direction,
) -> Option<NearMiss<'c>> {
    let far = far_end(flow.source, flow.destination, direction);
    nearest(evaluator, pod, far, direction, |ports| closest_port(ports, flow))
}

/// The same by peers alone, whatever the ports. Rules whose peers match are no misses; they are passed over.
pub(super) fn closest_by_peer<'c>(
    evaluator: &Evaluator<'c>,
    pod: &'c Pod,
    far: Endpoint<'c>,
    direction: Direction,
) -> Option<NearMiss<'c>> {
    nearest(evaluator, pod, far, direction, |_| (None, Vec::new()))
}

fn nearest<'c>(
    evaluator: &Evaluator<'c>,
    pod: &'c Pod,
    far: Endpoint<'c>,
    direction: Direction,
    ports: impl Fn(&'c Ports) -> (Option<usize>, Vec<Lack<'c>>),
) -> Option<NearMiss<'c>> {
    let ports = &ports;
    let candidates = evaluator.selecting(pod, direction).flat_map(|policy| {
        rules(policy, direction).map(move |(index, rule)| {
            let (peer, mut lacks) = closest_peer(evaluator, policy, &rule.peers, far);
            let (port, of_port) = ports(&rule.ports);
            lacks.extend(of_port);
            NearMiss { at: RuleRef { policy, direction, rule: index, peer, port }, lacks }
        })
    });
    let misses = candidates.filter(|miss| !miss.lacks.is_empty());
    misses.min_by_key(|miss| miss.lacks.iter().map(weight).sum::<usize>())
}

/// How far off one thing is: a different label is nearer than being of another kind altogether.
fn weight(lack: &Lack<'_>) -> usize {
    match lack {
        Lack::Port(_) | Lack::PortNotDeclared(_) | Lack::NoPorts | Lack::Protocol(_) | Lack::Excepted(..) => {
            2
        }
        Lack::PodLabels { unmet } | Lack::NamespaceLabels { unmet, .. } => 2 + unmet.len(),
        Lack::OtherNamespace { .. } => 3,
        Lack::OutsideBlock(_) => 5,
        Lack::AddressUnknown(_) | Lack::NoPod => 6,
    }
}

fn closest_peer<'c>(
    evaluator: &Evaluator<'c>,
    policy: &'c NetworkPolicy,
    peers: &'c Peers,
    far: Endpoint<'c>,
) -> (Option<usize>, Vec<Lack<'c>>) {
    let Peers::Only(items) = peers else { return (None, Vec::new()) };
    let lacks = items.iter().map(|peer| peer_lacks(evaluator, policy, peer, far)).enumerate();
    lacks
        .min_by_key(|(_, lacks)| lacks.iter().map(weight).sum::<usize>())
        .map_or((None, Vec::new()), |(index, lacks)| (Some(index), lacks))
}

fn peer_lacks<'c>(
    evaluator: &Evaluator<'c>,
    policy: &'c NetworkPolicy,
    peer: &'c Peer,
    far: Endpoint<'c>,
) -> Vec<Lack<'c>> {
    let (namespaces, pods) = match peer {
        Peer::Block(block) => {
            return match far.address() {
                None => vec![Lack::AddressUnknown(block)],
                Some(address) if !block.cidr().contains(&address) => vec![Lack::OutsideBlock(block)],
                Some(address) => {
                    block.exception(address).map(|except| Lack::Excepted(block, except)).into_iter().collect()
                }
            };
        }
        Peer::Pods { namespaces, pods } => (namespaces, pods),
    };
    let Some(pod) = far.subject() else { return vec![Lack::NoPod] };
    let mut lacks = Vec::new();
    match namespaces {
        PodNamespaces::Own if pod.name.namespace != policy.name.namespace => {
            lacks.push(Lack::OtherNamespace {
                actual: pod.name.namespace.clone(),
                wanted: policy.name.namespace.clone(),
            });
        }
        PodNamespaces::Own => {}
        PodNamespaces::Selected(selector) => {
            let namespace = evaluator.namespace_of(pod);
            let unmet: Vec<_> =
                selector.requirements().filter(|wanted| !wanted.matches(namespace.labels())).collect();
            if !unmet.is_empty() {
                lacks.push(Lack::NamespaceLabels { namespace: pod.name.namespace.clone(), unmet });
            }
        }
    }
    let unmet: Vec<_> = pods.requirements().filter(|wanted| !wanted.matches(&pod.labels)).collect();
    if !unmet.is_empty() {
        lacks.push(Lack::PodLabels { unmet });
    }
    lacks
}

fn closest_port<'c>(ports: &'c Ports, flow: &Flow<'c>) -> (Option<usize>, Vec<Lack<'c>>) {
    let Ports::Only(items) = ports else { return (None, Vec::new()) };
    let Traffic::Port(..) = flow.traffic else { return (None, vec![Lack::NoPorts]) };
    let lacks = items.iter().map(|item| port_lacks(item, flow)).enumerate();
    // Of two that are as far off, one of the same protocol is nearer.
    let distance = |lacks: &[Lack<'_>]| {
        let other = lacks.iter().any(|lack| matches!(lack, Lack::Protocol(_)));
        (lacks.iter().map(weight).sum::<usize>(), other)
    };
    lacks
        .min_by_key(|(_, lacks)| distance(lacks))
        .map_or((None, Vec::new()), |(index, lacks)| (Some(index), lacks))
}

fn port_lacks<'c>(item: &'c PortMatch, flow: &Flow<'c>) -> Vec<Lack<'c>> {
    let Traffic::Port(protocol, port) = flow.traffic else { return vec![Lack::NoPorts] };
    let mut lacks = Vec::new();
    if item.protocol() != protocol {
        lacks.push(Lack::Protocol(item.protocol()));
    }
    // With the right protocol the number may still be another.
    if !port_matches(item, Traffic::Port(item.protocol(), port), flow.destination) {
        let declares = |name| {
            let pod = flow.destination.subject();
            pod.is_some_and(|pod| pod.named_ports(item.protocol(), name).next().is_some())
        };
        lacks.push(match item {
            PortMatch::Named(_, name) if !declares(name) => Lack::PortNotDeclared(name),
            item => Lack::Port(item),
        });
    }
    lacks
}
