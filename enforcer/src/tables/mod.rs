//! What the kernel's tables hold, and how they get from one state to the next.
//!
//! The tables exist twice where they depend on policies (see [`netpol_enforcer_common`]): programs read the *bank* that
//! the epoch selects. A change is written to the other bank and takes effect, for all endpoints at once, when the
//! epoch is raised. Until then nothing that a packet can meet has changed, so a change that does not fit, or an agent
//! that dies half-way, leaves what was enforced before.
//!
//! A packet that is being decided while the epoch is raised may still read the former bank. So that is not touched until
//! the kernel says that all such packets are through, which takes it some hundredths of a second; nothing that is enforced
//! waits for it. Then the former bank is made like the other one, and what neither needs is removed.

mod apply;
mod banks;
mod numbers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use netpol_enforcer_common::endpoint::{SET_CLOSED, SET_NONE};
use netpol_policy::model::WorkloadName;
use thiserror::Error;

use crate::compile::{ClassMap, Entry, Identity, PolicySet, ServiceAddress};
use crate::prefix_map::PrefixMap;

pub use apply::{Outcome, Programmer};

/// What decides one direction of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate<S> {
    /// Not isolated.
    Open,
    /// Isolated, but for what the set allows.
    Set(S),
    /// Isolated, and what is allowed could not be written down.
    Closed,
}

/// The number of a policy set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetId(pub u32);

/// A pod's veth and what is to be enforced there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetEndpoint {
    /// The pod.
    pub pod: WorkloadName,
    /// The addresses that it may use, link-local ones among them.
    pub addresses: BTreeSet<IpAddr>,
    /// Its MAC address; `None`: not checked.
    pub mac: Option<[u8; 6]>,
    /// What policy would drop is only counted and told.
    pub audited: bool,
    /// Who may connect to it.
    pub ingress: Gate<Arc<PolicySet>>,
    /// What it may connect to.
    pub egress: Gate<Arc<PolicySet>>,
}

/// What the tables should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The class of each address or block.
    pub classes: Arc<ClassMap>,
    /// Endpoints by interface index.
    pub endpoints: BTreeMap<u32, TargetEndpoint>,
    /// Addresses of Services.
    pub services: Arc<BTreeSet<ServiceAddress>>,
    /// The node's own addresses.
    pub node_addresses: BTreeSet<IpAddr>,
}

/// What the tables hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The epoch; its lowest bit is the bank in use.
    pub epoch: u32,
    /// What depends on policies.
    pub banks: [Bank; 2],
    /// The entries of every set.
    pub sets: BTreeMap<SetId, BTreeSet<Entry>>,
    /// Endpoints by interface index.
    pub endpoints: BTreeMap<u32, EndpointRecord>,
    /// Interface indexes by slot.
    pub slots: BTreeMap<u16, u32>,
    /// Addresses of Services.
    pub services: BTreeSet<ServiceAddress>,
    /// The node's own addresses.
    pub node_addresses: BTreeSet<IpAddr>,
}

/// The part of the tables that exists twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bank {
    /// The number of each address or block.
    pub classes: PrefixMap<Identity>,
}

/// An endpoint in the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Whose flows are tracked under this endpoint.
    pub generation: u32,
    /// Its number in marks; 0: none was free.
    pub slot: u16,
    /// The addresses that it may use.
    pub addresses: BTreeSet<IpAddr>,
    /// Its MAC address.
    pub mac: Option<[u8; 6]>,
    /// Nothing is dropped on account of policy, only counted and told.
    pub audited: bool,
    /// Ingress and egress gates, by bank.
    pub gates: [Gates; 2],
}

/// What decides both directions of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// Who may connect to it: a set's number, [`SET_NONE`] or [`SET_CLOSED`].
    pub ingress: u32,
    /// What it may connect to.
    pub egress: u32,
}

/// The tables themselves: the kernel's, or a model of them in tests.
pub trait Tables {
    /// Adds an entry to a set.
    ///
    /// # Errors
    /// See [`TableError`]; the same for all functions of this trait.
    fn add_entry(&mut self, set: SetId, entry: Entry) -> Result<(), TableError>;
    /// Removes an entry from a set.
    #[allow(missing_docs, reason = "errors as above")]
    fn remove_entry(&mut self, set: SetId, entry: Entry) -> Result<(), TableError>;
    /// Gives an address or block a number in one bank.
    fn set_class(&mut self, bank: u32, net: IpNet, identity: Identity) -> Result<(), TableError>;
    /// Takes an address's or block's number in one bank.
    fn remove_class(&mut self, bank: u32, net: IpNet) -> Result<(), TableError>;
    /// Gives many addresses or blocks their numbers, in this order. Returns how many of them have theirs.
    fn set_classes(&mut self, bank: u32, classes: &[(IpNet, Identity)]) -> (usize, Result<(), TableError>) {
        one_by_one(classes, |(net, identity)| self.set_class(bank, *net, *identity))
    }
    /// Takes many addresses' or blocks' numbers, in this order. Returns how many of them have none any more.
    fn remove_classes(&mut self, bank: u32, nets: &[IpNet]) -> (usize, Result<(), TableError>) {
        one_by_one(nets, |net| self.remove_class(bank, *net))
    }
    /// Writes an endpoint.
    fn set_endpoint(&mut self, link: u32, endpoint: &EndpointRecord) -> Result<(), TableError>;
    /// Removes an endpoint: its link is an unknown one from here on.
    fn remove_endpoint(&mut self, link: u32) -> Result<(), TableError>;
    /// Says which link a slot belongs to; 0: none.
    fn set_slot(&mut self, slot: u16, link: u32) -> Result<(), TableError>;
    /// Adds or removes a Service's address.
    fn set_service(&mut self, service: ServiceAddress, present: bool) -> Result<(), TableError>;
    /// Adds or removes an address of the node.
    fn set_node_address(&mut self, address: IpAddr, present: bool) -> Result<(), TableError>;
    /// Raises the epoch. A packet that is being decided may be decided under the one before.
    fn set_epoch(&mut self, epoch: u32) -> Result<(), TableError>;
    /// Returns when no packet is being decided under an older epoch.
    fn wait_for_packets(&mut self);
}

fn one_by_one<I>(
    items: &[I],
    mut write: impl FnMut(&I) -> Result<(), TableError>,
) -> (usize, Result<(), TableError>) {
    for (done, item) in items.iter().enumerate() {
        if let Err(error) = write(item) {
            return (done, Err(error));
        }
    }
    (items.len(), Ok(()))
}

/// Why a table could not be written.
#[derive(Debug, Error)]
pub enum TableError {
    /// No room.
    #[error("the table {0} is full")]
    Full(&'static str),
    /// Something else.
    #[error("writing the table {table}: {source}")]
    Failed {
        /// Its name.
        table: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
}

impl Gates {
    /// Nothing passes.
    pub const CLOSED: Self = Self { ingress: SET_CLOSED, egress: SET_CLOSED };

    /// The sets among them.
    pub fn sets(self) -> impl Iterator<Item = SetId> {
        [self.ingress, self.egress].into_iter().filter(|id| *id != SET_NONE && *id != SET_CLOSED).map(SetId)
    }
}

impl State {
    /// The bank that programs read.
    #[must_use]
    pub fn active(&self) -> usize {
        netpol_enforcer_common::bank_of(self.epoch) as usize
    }

    /// The bank that the next change is written to.
    #[must_use]
    pub fn standby(&self) -> usize {
        1 - self.active()
    }

    /// The sets that programs may ask now.
    #[must_use]
    pub fn active_sets(&self) -> BTreeSet<SetId> {
        self.endpoints.values().flat_map(|endpoint| endpoint.gates[self.active()].sets()).collect()
    }
}
