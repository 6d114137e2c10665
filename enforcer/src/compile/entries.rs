//! What a policy set looks like as entries of the kernel's table.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use netpol_enforcer_common::identity;
use netpol_enforcer_common::policy::{PolicyPrefix, PortPrefix, port_prefixes};

use super::classes::Signature;
use super::clause::ClauseId;
use super::set::{PolicySet, SetPeers, SetPort, SetPorts, SetRule};

/// The number of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub u32);

impl Identity {
    /// As an address's class: nothing asked of it. In an entry: every address.
    pub const ANY: Self = Self(identity::ANY);
}

/// One thing that a set allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// To or from whom.
    pub identity: Identity,
    /// Over what.
    pub traffic: TrafficPrefix,
}

/// What an entry allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrafficPrefix {
    /// Every protocol.
    All,
    /// Every port of a protocol, by its IP number.
    Protocol(u8),
    /// The ports of a protocol that agree in their leading `bits`.
    Ports {
        /// The protocol's IP number.
        protocol: u8,
        /// The lowest of the ports.
        port: u16,
        /// How many bits count.
        bits: u8,
    },
}

impl Entry {
    /// The entry as a key of the kernel's table.
    #[must_use]
    pub fn key(self, set: u32) -> PolicyPrefix {
        let Identity(identity) = self.identity;
        match self.traffic {
            TrafficPrefix::All => PolicyPrefix::any_protocol(set, identity),
            TrafficPrefix::Protocol(protocol) => PolicyPrefix::any_port(set, identity, protocol),
            TrafficPrefix::Ports { protocol, port, bits } => {
                PolicyPrefix::ports(set, identity, protocol, PortPrefix { port, bits })
            }
        }
    }
}

/// Classes that have numbers, found by what matches them.
#[derive(Clone, Debug, Default)]
pub struct Numbered {
    classes: BTreeMap<Identity, Arc<Signature>>,
    by_clause: HashMap<ClauseId, Vec<Identity>>,
}

impl FromIterator<(Identity, Arc<Signature>)> for Numbered {
    fn from_iter<I: IntoIterator<Item = (Identity, Arc<Signature>)>>(classes: I) -> Self {
        let mut numbered = Self::default();
        for (identity, signature) in classes {
            for clause in &signature.clauses {
                numbered.by_clause.entry(*clause).or_default().push(identity);
            }
            numbered.classes.insert(identity, signature);
        }
        numbered
    }
}

/// The entries of a set for these classes, and those that are about everyone.
#[must_use]
pub fn entries(set: &PolicySet, numbered: &Numbered) -> BTreeSet<Entry> {
    set.rules.iter().flat_map(|rule| rule_entries(rule, numbered)).collect()
}

fn rule_entries(rule: &SetRule, numbered: &Numbered) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut allow = |identity, signature: &Signature| {
        entries
            .extend(traffic(&rule.ports, signature).into_iter().map(|traffic| Entry { identity, traffic }));
    };
    match &rule.peers {
        SetPeers::Only(clauses) => {
            let matched = clauses.iter().filter_map(|clause| numbered.by_clause.get(clause)).flatten();
            for identity in matched.copied().collect::<BTreeSet<_>>() {
                allow(identity, &numbered.classes[&identity]);
            }
        }
        SetPeers::All => {
            allow(Identity::ANY, &Signature::default());
            // A named port means something else at each destination, so "everyone" is not enough for it.
            if has_names(&rule.ports) {
                for (identity, signature) in numbered.classes.iter().filter(|(_, s)| !s.named.is_empty()) {
                    allow(*identity, signature);
                }
            }
        }
    }
    entries
}

fn has_names(ports: &SetPorts) -> bool {
    matches!(ports, SetPorts::Only(ports) if ports.iter().any(|port| matches!(port, SetPort::Named(..))))
}

/// What a rule allows to or from a class; named ports are the class's.
fn traffic(ports: &SetPorts, signature: &Signature) -> Vec<TrafficPrefix> {
    let SetPorts::Only(ports) = ports else { return vec![TrafficPrefix::All] };
    ports
        .iter()
        .flat_map(|port| match port {
            SetPort::Every(protocol) => vec![TrafficPrefix::Protocol(protocol.number())],
            SetPort::Range(protocol, first, last) => port_prefixes(*first, *last)
                .map(|PortPrefix { port, bits }| TrafficPrefix::Ports {
                    protocol: protocol.number(),
                    port,
                    bits,
                })
                .collect(),
            SetPort::Named(protocol, name) => signature
                .named
                .get(&(*protocol, name.clone()))
                .into_iter()
                .flatten()
                .map(|port| TrafficPrefix::Ports { protocol: protocol.number(), port: *port, bits: 16 })
                .collect(),
        })
        .collect()
}
