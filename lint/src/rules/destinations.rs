//! Ports of rules beside where the pods listen that they are about.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use netpol_policy::model::{
    Direction, LabelSelector, NetworkPolicy, Peer, PodNamespaces, PortMatch, Ports, Protocol, Rule,
};
use netpol_policy::source::{Item, PortSource};
use netpol_policy::span::Span;

use crate::context::{Context, RuleAt, head};
use crate::index::Listening;

/// A port of a rule whose destinations are known.
pub(super) struct PortAt<'a> {
    pub(super) policy: &'a NetworkPolicy,
    pub(super) at: RuleAt<'a>,
    rule: &'a Rule,
    pub(super) index: usize,
    pub(super) item: &'a Item<PortSource>,
    pub(super) port: &'a PortMatch,
    /// The text of the list also serves other places.
    pub(super) shared: bool,
    destinations: Arc<Destinations>,
}

/// Where the pods of a rule listen: those that the policy selects for ingress, those of the peers for egress.
struct Destinations(Vec<Arc<Listening>>);

/// A port that belongs to a Service, while its pods listen on others.
pub(super) struct ServicePort {
    pub(super) protocol: Protocol,
    pub(super) number: NonZeroU16,
    /// Some of the Services that have this port.
    pub(super) services: Vec<String>,
    /// There are more.
    pub(super) more: bool,
    /// The ports that the pods listen on.
    pub(super) targets: BTreeSet<NonZeroU16>,
}

/// More Services than this are not named.
const MANY: usize = 3;

/// The ports of all rules that have an effect, where it is known which pods they are about.
pub(super) fn ports<'a>(cx: &Context<'a>) -> impl Iterator<Item = PortAt<'a>> + use<'a> {
    let mut all = Vec::new();
    let Some(policy) = cx.policy.model.as_ref().filter(|_| cx.index.knows_workloads()) else {
        return all.into_iter();
    };
    for at in cx.effective_rules() {
        let Some(rule) = policy.rules(at.direction).and_then(|rules| rules.get(at.index)) else { continue };
        let (Ports::Only(ports), Some(field)) = (&rule.ports, at.rule.ports.present()) else { continue };
        let Some(destinations) = destinations(cx, policy, at.direction, rule).map(Arc::new) else { continue };
        for (index, (port, item)) in ports.iter().zip(&field.value.items).enumerate() {
            let shared = at.shared || field.shared || item.shared;
            let destinations = destinations.clone();
            all.push(PortAt { policy, at, rule, index, item, port, shared, destinations });
        }
    }
    all.into_iter()
}

/// `None` when some destination isn't known, or when there is none.
fn destinations(
    cx: &Context<'_>,
    policy: &NetworkPolicy,
    direction: Direction,
    rule: &Rule,
) -> Option<Destinations> {
    let own = &*policy.name.namespace;
    let listening = |namespaces: &PodNamespaces, pods: &LabelSelector| {
        let external = cx.settings.may_match_external_pods(cx.index, namespaces, own, pods);
        if external { None } else { cx.index.listening(namespaces, own, pods) }
    };
    let mut all = match direction {
        Direction::Ingress => vec![listening(&PodNamespaces::Own, &policy.pod_selector)?],
        Direction::Egress => {
            let of_peer = |peer: &Peer| match peer {
                Peer::Pods { namespaces, pods } => listening(namespaces, pods),
                Peer::Block(_) => None,
            };
            rule.peers.items().iter().map(of_peer).collect::<Option<Vec<_>>>()?
        }
    };
    // A peer that matches no pod is another rule's business.
    all.retain(|listening| listening.pods > 0);
    if all.is_empty() { None } else { Some(Destinations(all)) }
}

impl PortAt<'_> {
    /// Its place.
    pub(super) fn span(&self, cx: &Context<'_>) -> Span {
        let field = self.item.value.as_ref().and_then(|port| port.port.present());
        field.map_or_else(|| head(cx.file, self.item.dash, self.item.span), |field| field.span)
    }

    /// The JSON path of its number or name.
    pub(super) fn path(&self) -> String {
        format!("{}.ports[{}].port", self.at.path(), self.index)
    }

    /// The pods in words.
    pub(super) fn pods(&self) -> &'static str {
        match self.at.direction {
            Direction::Ingress => "the pods that this policy selects",
            Direction::Egress => "the pods of this rule's peers",
        }
    }

    /// The policy with another port in this place.
    pub(super) fn replaced(&self, with: PortMatch) -> Option<NetworkPolicy> {
        let mut policy = self.policy.clone();
        let rules = match self.at.direction {
            Direction::Ingress => policy.ingress.as_mut()?,
            Direction::Egress => policy.egress.as_mut()?,
        };
        let Ports::Only(ports) = &mut rules.get_mut(self.at.index)?.ports else { return None };
        *ports.get_mut(self.index)? = with;
        Some(policy)
    }

    /// The port as one of a Service, when no pod listens on it, as far as all of them are known.
    pub(super) fn of_service(&self) -> Option<ServicePort> {
        let PortMatch::Range(protocol, number, last) = *self.port else { return None };
        let all = &self.destinations.0;
        if number != last || !all.iter().all(|listening| listening.all_known) || self.is_listened_on() {
            return None;
        }
        let fronts = all.iter().filter_map(|listening| listening.services.get(&(protocol, number))).flatten();
        let targets: BTreeSet<_> = fronts.clone().map(|(_, target)| *target).collect();
        let allowed = |target: &NonZeroU16| {
            self.rule.ports.items().iter().any(|port| match port {
                PortMatch::Range(other, first, last) => {
                    *other == protocol && (first..=last).contains(&target)
                }
                PortMatch::Every(other) => *other == protocol,
                PortMatch::Named(other, name) => {
                    let numbers = all.iter().filter_map(|listening| listening.named.get(name)).flatten();
                    *other == protocol && numbers.into_iter().any(|(p, n)| *p == protocol && n == target)
                }
            })
        };
        // Whoever lists both wants to be on the safe side.
        let found = !targets.is_empty() && !targets.iter().all(allowed);
        found.then(|| {
            let mut services: Vec<_> =
                fronts.map(|(service, _)| service.to_string()).take(MANY + 1).collect();
            services.dedup();
            let more = services.len() > MANY;
            services.truncate(MANY);
            ServicePort { protocol, number, services, more, targets }
        })
    }

    /// Whether a pod says that it listens on one of these numbers, or a Service leads there.
    fn is_listened_on(&self) -> bool {
        let (protocol, first, last) = match *self.port {
            PortMatch::Range(protocol, first, last) => (protocol, first, last),
            _ => return true,
        };
        self.destinations.0.iter().any(|listening| listening.on(protocol, first, last))
    }

    /// Whether every pod declares ports and none of them is among these.
    pub(super) fn is_not_exposed(&self) -> bool {
        self.destinations.0.iter().all(|listening| listening.all_declare) && !self.is_listened_on()
    }

    /// The ports that containers declare.
    pub(super) fn declared(&self) -> BTreeSet<(NonZeroU16, Protocol)> {
        let declared = self.destinations.0.iter().flat_map(|listening| &listening.declared);
        declared.map(|(protocol, port)| (*port, *protocol)).collect()
    }

    /// The names of container ports with the protocols that they have.
    pub(super) fn names(&self) -> BTreeSet<(&str, Protocol)> {
        let named = self.destinations.0.iter().flat_map(|listening| &listening.named);
        named.flat_map(|(name, ports)| ports.iter().map(|(protocol, _)| (name.as_str(), *protocol))).collect()
    }
}
