//! One direction of a policy in words.

use std::collections::BTreeSet;

use netpol_policy::evaluate::Isolation;
use netpol_policy::model::{self, DEFAULT_DENY_LABEL, Direction, NetworkPolicy, Peers, Ports, Rule};
use netpol_policy::source::PolicySource;

use super::facts::{Explainer, Known, names};
use super::ports::{Destinations, Words, ports};
use super::words;
use crate::output::plural;

/// One direction of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Which one.
    pub direction: Direction,
    /// Whether the policy isolates its pods in this direction.
    pub isolated: bool,
    /// What that means, in whole sentences that begin with the direction; the rules follow it.
    pub summary: String,
    /// What its rules allow, by their index. None when it isolates nothing: then rules have no effect.
    pub rules: Vec<Allowed>,
    /// Rules that have no effect because `policyTypes` leaves the direction out.
    pub ignored: usize,
    /// The policy leaves the direction alone, but others limit every workload that it is known to select.
    pub limited_by_others: bool,
}

/// What one rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Who; none when it is everyone.
    pub peers: Vec<Peer>,
    /// `on port 80/TCP`.
    pub ports: String,
    /// It allows everyone on every port.
    pub everything: bool,
    /// Its ports are names that nothing has: it allows nothing.
    pub nothing: bool,
    direction: Direction,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// `every pod of namespace shop`.
    pub words: String,
    /// The workloads that are known; `None` for addresses.
    pub known: Option<Known>,
}

pub(super) fn side(
    facts: &Explainer<'_>,
    source: &PolicySource,
    policy: &NetworkPolicy,
    direction: Direction,
) -> Side {
    let rules = policy.rules(direction);
    let written = source.spec.value().and_then(|spec| spec.rules(direction).value());
    let ignored = if rules.is_none() { written.map_or(0, |list| list.items.len()) } else { 0 };
    let words: Vec<_> =
        rules.unwrap_or_default().iter().map(|rule| Allowed::of(facts, policy, direction, rule)).collect();
    let (summary, limited_by_others) = match rules {
        None => untouched(facts, policy, direction, ignored),
        Some([]) => (closed(direction), false),
        Some(_) => (isolated(direction, &words), false),
    };
    Side { direction, isolated: rules.is_some(), summary, rules: words, ignored, limited_by_others }
}

fn closed(direction: Direction) -> String {
    match direction {
        Direction::Ingress => {
            "Ingress is isolated, and this policy allows nothing: nobody may connect to these pods unless another policy \
             allows it."
        }
        Direction::Egress => {
            "Egress is isolated, and this policy allows nothing: these pods may connect to nobody, not even to look up \
             names, unless another policy allows it."
        }
    }
    .to_owned()
}

fn isolated(direction: Direction, rules: &[Allowed]) -> String {
    let only = match direction {
        Direction::Ingress => "these pods accept only connections that some policy allows",
        Direction::Egress => "these pods may open only connections that some policy allows",
    };
    let all = match direction {
        Direction::Ingress => "these pods accept every connection",
        Direction::Egress => "these pods may open every connection",
    };
    let name = direction.policy_type();
    match rules.iter().position(|rule| rule.everything) {
        Some(index) => {
            format!("{name} is isolated in name only: rule {} allows everything, so {all}.", index + 1)
        }
        None => format!("{name} is isolated: {only}. This one allows them:"),
    }
}

/// A direction that the policy leaves alone, with what others do about it, and whether they limit all of the pods.
fn untouched(
    facts: &Explainer<'_>,
    policy: &NetworkPolicy,
    direction: Direction,
    ignored: usize,
) -> (String, bool) {
    let (mut open, mut by) = (Vec::new(), BTreeSet::new());
    let pods = facts.selected(policy);
    for pod in &pods {
        let isolation = facts.evaluator.isolation(pod, direction);
        if isolation.is_empty() {
            open.push(pod.name.to_string());
        }
        by.extend(isolation.iter().map(|isolation| match isolation {
            Isolation::Policy(policy) => policy.name.to_string(),
            Isolation::NamespaceLabel => format!("the namespace's label {DEFAULT_DENY_LABEL}"),
        }));
    }
    let by: Vec<_> = by.into_iter().collect();
    let free = match direction {
        Direction::Ingress => "accept every connection",
        Direction::Egress => "may open every connection",
    };
    let mut words = format!("{} is untouched by this policy: ", direction.policy_type());
    words += &match (open.len(), by.is_empty()) {
        (_, true) => format!("these pods {free}, unless another policy isolates them."),
        (0, false) => format!("these pods are limited by {}.", names(&by)),
        (_, false) => format!("some of these pods are limited by {}, but not {}.", names(&by), names(&open)),
    };
    if ignored > 0 {
        let (rules, have) =
            (plural(ignored, &format!("{direction} rule")), if ignored == 1 { "has" } else { "have" });
        words += &format!(
            " Its {rules} {have} no effect, because policyTypes does not list {}.",
            direction.policy_type()
        );
    }
    (words, open.is_empty() && !by.is_empty())
}

impl Side {
    /// What it leaves open, a sentence each.
    pub(super) fn still_open(&self) -> Vec<String> {
        let direction = self.direction;
        if self.limited_by_others {
            return Vec::new();
        }
        if !self.isolated {
            let open = match direction {
                Direction::Ingress => "who may connect to these pods (ingress) is not limited by this policy",
                Direction::Egress => "what these pods may connect to (egress) is not limited by this policy",
            };
            return vec![open.to_owned()];
        }
        let everyone = self.rules.iter().filter(|rule| rule.peers.is_empty() && !rule.nothing);
        let sentence = |rule: &Allowed| match direction {
            Direction::Ingress => {
                format!("everyone, inside and outside the cluster, may connect to these pods {}", rule.ports)
            }
            Direction::Egress => {
                format!("these pods may connect to everyone, inside and outside the cluster, {}", rule.ports)
            }
        };
        let mut open: Vec<_> = everyone.map(sentence).collect();
        open.dedup();
        open
    }
}

impl Allowed {
    fn of(facts: &Explainer<'_>, policy: &NetworkPolicy, direction: Direction, rule: &Rule) -> Self {
        let own = &*policy.name.namespace;
        let mut destinations = match direction {
            Direction::Ingress => Destinations {
                pods: facts.selected(policy),
                complete: facts.index.knows_workloads_of(own),
                only_blocks: false,
            },
            Direction::Egress => Destinations {
                pods: Vec::new(),
                complete: !rule.peers.items().is_empty(),
                only_blocks: !rule.peers.items().is_empty(),
            },
        };
        let mut peers = Vec::new();
        for peer in rule.peers.items() {
            let known = match peer {
                model::Peer::Block(_) => None,
                model::Peer::Pods { namespaces, pods } => {
                    let (pods, complete) = facts.meant(namespaces, own, pods);
                    if direction == Direction::Egress {
                        destinations.pods.extend(&pods);
                        destinations.complete &= complete;
                        destinations.only_blocks = false;
                    }
                    Some(Known::new(&pods, complete))
                }
            };
            peers.push(Peer { words: words::peer(peer, own), known });
        }
        let everything = (&rule.peers, &rule.ports) == (&Peers::All, &Ports::All);
        let Words { text, nothing } = ports(&rule.ports, &destinations);
        Self { peers, ports: text, everything, nothing, direction }
    }

    /// `on port 80/TCP, from every pod of namespace shop: shop/Pod/a`. Of several peers an introduction to [`Self::list`].
    pub fn sentence(&self) -> String {
        let (ports, word) = (&self.ports, self.direction.peer_field());
        match &self.peers[..] {
            [] => format!("{ports}, {word} everyone, inside and outside the cluster"),
            [peer] => format!("{ports}, {word} {}", peer.sentence()),
            _ => format!("{ports}, {word} any of these, each of which is enough:"),
        }
    }

    /// The peers when there are several.
    pub fn list(&self) -> &[Peer] {
        if self.peers.len() > 1 { &self.peers } else { &[] }
    }
}

impl Peer {
    /// With the workloads that are known.
    pub fn sentence(&self) -> String {
        format!("{}{}", self.words, self.known.as_ref().map(Known::suffix).unwrap_or_default())
    }
}
