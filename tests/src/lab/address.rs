//! The address plan of a lab: one IPv4 and one IPv6 address for everything, from private and documentation ranges.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both of them.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The two addresses of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

impl Pair {
    /// The address of one family.
    #[must_use]
    pub fn of(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }

    /// Both, IPv4 first.
    #[must_use]
    pub fn both(self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// All pods of all nodes.
pub const POD_RANGE: (&str, &str) = ("10.244.0.0/16", "fd00:10:244::/48");
/// All cluster addresses of Services.
pub const SERVICE_RANGE: (&str, &str) = ("10.96.0.0/16", "fd00:10:96::/112");

/// The address of node `node` (counted from 0) on the network between the nodes, a /16 and a /64.
#[must_use]
pub fn node(node: u8) -> Pair {
    underlay(node + 2)
}

/// The address on the network between the nodes through which everything outside is reached.
#[must_use]
pub fn router() -> Pair {
    underlay(254)
}

/// An address outside the cluster; there are as many as wanted, they all belong to one host.
#[must_use]
pub fn outside(number: u8) -> Pair {
    Pair {
        v4: Ipv4Addr::new(203, 0, 113, number),
        v6: Ipv6Addr::new(0x2001, 0xdb8, 0x71, 0, 0, 0, 0, number.into()),
    }
}

/// The pod ranges of a node (`spec.podCIDRs`), IPv4 first.
#[must_use]
pub fn pod_ranges(node: u8) -> [String; 2] {
    let first = pod(node, 0);
    [format!("{}/24", first.v4), format!("{}/64", first.v6)]
}

/// Address `number` of a node's pod range: 0 is the range itself, 1 the node's own (the gateway), pods start at 2.
#[must_use]
pub fn pod(node: u8, number: u8) -> Pair {
    let node = node + 1;
    Pair {
        v4: Ipv4Addr::new(10, 244, node, number),
        v6: Ipv6Addr::new(0xfd00, 0x10, 0x244, node.into(), 0, 0, 0, number.into()),
    }
}

/// The cluster address of Service `number`.
#[must_use]
pub fn service(number: u8) -> Pair {
    Pair {
        v4: Ipv4Addr::new(10, 96, 0, number),
        v6: Ipv6Addr::new(0xfd00, 0x10, 0x96, 0, 0, 0, 0, number.into()),
    }
}

fn underlay(number: u8) -> Pair {
    Pair {
        v4: Ipv4Addr::new(172, 18, 0, number),
        v6: Ipv6Addr::new(0xfd00, 0x172, 0x18, 0, 0, 0, 0, number.into()),
    }
}
