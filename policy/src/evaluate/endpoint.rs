//! The two ends of a flow.

use std::fmt;
use std::net::IpAddr;

use crate::model::{Cluster, Pod, Traffic};

/// One end of a flow: a pod, an address, or a pod at one of its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint<'c> {
    pod: Option<&'c Pod>,
    address: Option<IpAddr>,
    /// Somebody else speaks through it.
    relays: bool,
}

/// Somebody opens a connection to somebody. The destination is the one after Service translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow<'c> {
    /// Who opens it.
    pub source: Endpoint<'c>,
    /// Whom it is opened to.
    pub destination: Endpoint<'c>,
    /// What it asks for there.
    pub traffic: Traffic,
}

impl<'c> Endpoint<'c> {
    /// A pod whose address doesn't matter or isn't known; `ipBlock`s match none of it.
    pub fn pod(pod: &'c Pod) -> Self {
        Self { pod: Some(pod), address: None, relays: false }
    }

    /// A pod at one of its addresses.
    pub fn pod_at(pod: &'c Pod, address: IpAddr) -> Self {
        Self { pod: Some(pod), address: Some(address), relays: false }
    }

    /// An address, with the pod that owns it if one does.
    pub fn at(cluster: &'c Cluster, address: IpAddr) -> Self {
        Self { pod: cluster.owner(address), address: Some(address), relays: false }
    }

    /// An address outside the cluster.
    pub fn outside(address: IpAddr) -> Self {
        Self { pod: None, address: Some(address), relays: false }
    }

    /// What a node or a load balancer puts in the place of a client's address; `None` when that isn't known, and then
    /// no `ipBlock` matches it. What a node may do to its own pods, it may not do for others.
    pub fn relay(address: Option<IpAddr>) -> Self {
        Self { pod: None, address, relays: true }
    }

    /// The pod, also when it is on the host network.
    pub fn as_pod(&self) -> Option<&'c Pod> {
        self.pod
    }

    /// The address, where it is known.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The address that it is at; else all of the pod's.
    fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<'c> {
        let of_pod = if self.address.is_some() { None } else { self.pod };
        self.address.into_iter().chain(of_pod.into_iter().flat_map(|pod| pod.addresses.iter().copied()))
    }

    /// Whether somebody else speaks through it.
    pub(super) fn relays(&self) -> bool {
        self.relays
    }

    fn at_first_address(self) -> Self {
        Self { address: self.addresses().next(), ..self }
    }

    /// The pod, when policies can isolate it and selectors can match it.
    pub(super) fn subject(&self) -> Option<&'c Pod> {
        self.pod.filter(|pod| pod.is_subject())
    }
}

impl<'c> Flow<'c> {
    /// A flow; addresses that aren't given but known are filled in, of the family that both ends have.
    pub fn new(source: Endpoint<'c>, destination: Endpoint<'c>, traffic: Traffic) -> Self {
        let (source, destination) = common_family(source, destination);
        Self { source, destination, traffic }
    }
}

/// Fills in missing addresses of pods so that both ends are of one family; the first family that fits wins.
pub(super) fn common_family<'c>(a: Endpoint<'c>, b: Endpoint<'c>) -> (Endpoint<'c>, Endpoint<'c>) {
    common_families(a, b).next().unwrap_or_else(|| (a.at_first_address(), b.at_first_address()))
}

/// Both ends at an address each, once for every family that both have; in the order of the first one's addresses.
pub(super) fn common_families<'c>(
    a: Endpoint<'c>,
    b: Endpoint<'c>,
) -> impl Iterator<Item = (Endpoint<'c>, Endpoint<'c>)> {
    let of_family = |end: Endpoint<'c>, is_ipv4| end.addresses().find(|address| address.is_ipv4() == is_ipv4);
    let first = a.addresses().next().is_none_or(|address| address.is_ipv4());
    [first, !first].into_iter().filter_map(move |is_ipv4| {
        let (x, y) = (of_family(a, is_ipv4)?, of_family(b, is_ipv4)?);
        Some((Endpoint { address: Some(x), ..a }, Endpoint { address: Some(y), ..b }))
    })
}

/// Both ends with the addresses that count: once for every family that both have; where there is none, at the first
/// address of each.
pub fn families<'c>(a: Endpoint<'c>, b: Endpoint<'c>) -> impl Iterator<Item = (Endpoint<'c>, Endpoint<'c>)> {
    let mut common = common_families(a, b);
    let first = common.next().unwrap_or_else(|| (a.at_first_address(), b.at_first_address()));
    std::iter::once(first).chain(common)
}

/// `ns/Kind/name`, or the address.
impl fmt::Display for Endpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pod, self.address) {
            (Some(pod), _) => write!(f, "{}", pod.name),
            (None, Some(address)) => write!(f, "{address}"),
            (None, None) => f.write_str("an unknown address"),
        }
    }
}
