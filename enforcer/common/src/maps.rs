//! The names of the maps, their keys, values and default sizes.
//!
//! Sizes can be changed before loading with `EbpfLoader::map_max_entries`. The maps are not declared as pinned; use
//! `EbpfLoader::map_pin_path` for those in [`PINNED`].

use crate::{
    config::Config,
    conntrack::{Flow, FlowKey, Link, LinkKey, RESERVED},
    denied::{DeniedKey, Told},
    endpoint::{Brief, Endpoint},
    fragment::{Fragment, FragmentKey},
    identity::{CidrV4Key, CidrV6Key, IdentityKey},
    policy::{PolicyKey, PolicyValue},
    reason::Counter,
    service::ServiceKey,
};

/// Array of one [`Config`]. Written by the agent before it attaches anything.
pub const CONFIG: &str = "CONFIG";
/// Array of one `u32`: the epoch. Written by the agent; see the crate's documentation.
pub const EPOCH: &str = "EPOCH";
/// Hash: interface index (`u32`) → [`Endpoint`]. Written by the agent. A pod's link without an entry is an unknown endpoint.
pub const ENDPOINTS: &str = "ENDPOINTS";
/// Array: [`Brief::place`] → [`Brief`]. Written by the agent: after the endpoint, and removed before it.
pub const BRIEFS: &str = "BRIEFS";
/// Array: slot → interface index (`u32`), 0: free. Written by the agent, before the endpoint's first entry.
pub const SLOTS: &str = "SLOTS";
/// Hash: [`IdentityKey`] → identity (`u32`). Written by the agent.
pub const IDENTITIES: &str = "IDENTITIES";
/// LPM trie: [`CidrV4Key`] → identity (`u32`). Written by the agent.
pub const CIDRS_V4: &str = "CIDRS_V4";
/// LPM trie: [`CidrV6Key`] → identity (`u32`). Written by the agent.
pub const CIDRS_V6: &str = "CIDRS_V6";
/// LPM trie: [`PolicyKey`] → [`PolicyValue`]. Written by the agent.
pub const POLICIES: &str = "POLICIES";
/// Hash: [`ServiceKey`] → `u32`. Written by the agent.
pub const SERVICES: &str = "SERVICES";
/// Hash: [`crate::Address`] → `u32` (write 1). All addresses of this node, on any link of the host's network namespace, loopback
/// and link-local ones included. Written by the agent.
pub const NODE_ADDRESSES: &str = "NODE_ADDRESSES";
/// LRU hash: [`FlowKey`] → [`Flow`]. Written by the programs.
pub const CONNTRACK: &str = "CONNTRACK";
/// LRU hash: [`LinkKey`] → [`Link`]. Written by the programs.
pub const LINKS: &str = "LINKS";
/// LRU hash: [`FragmentKey`] → [`Fragment`]. Written by the programs.
pub const FRAGMENTS: &str = "FRAGMENTS";
/// Ring buffer of [`crate::event::Event`].
pub const EVENTS: &str = "EVENTS";
/// Per-CPU array: [`crate::reason::Reason::counter`] → [`Counter`].
pub const COUNTERS: &str = "COUNTERS";
/// Per-CPU hash: [`DeniedKey`] → [`Counter`]. Written by the programs; the agent removes.
pub const DENIED: &str = "DENIED";

/// The maps to pin: all of them. The event stream is among them so that another process can read it; records are consumed, so
/// there can be one reader at a time.
pub const PINNED: [&str; 17] = [
    CONFIG,
    EPOCH,
    ENDPOINTS,
    BRIEFS,
    SLOTS,
    IDENTITIES,
    CIDRS_V4,
    CIDRS_V6,
    POLICIES,
    SERVICES,
    NODE_ADDRESSES,
    CONNTRACK,
    LINKS,
    FRAGMENTS,
    EVENTS,
    COUNTERS,
    DENIED,
];

/// The default sizes, in entries (bytes for [`EVENTS`]).
pub mod size {
    /// [`super::ENDPOINTS`].
    pub const ENDPOINTS: u32 = 4096;
    /// [`super::BRIEFS`], a power of two. Fixed. Indices of links grow as pods come and go: places are as many as a node sees pods in
    /// weeks.
    pub const BRIEFS: u32 = 1 << 15;
    /// [`super::SLOTS`]: as many as the widest mark can name. Fixed.
    pub const SLOTS: u32 = 1 << 14;
    /// [`super::IDENTITIES`]: both banks together.
    pub const IDENTITIES: u32 = 1 << 18;
    /// [`super::CIDRS_V4`]: both banks together.
    pub const CIDRS_V4: u32 = 1 << 17;
    /// [`super::CIDRS_V6`]: both banks together.
    pub const CIDRS_V6: u32 = 1 << 17;
    /// [`super::POLICIES`]: the sets of two consecutive states together.
    pub const POLICIES: u32 = 1 << 19;
    /// [`super::SERVICES`].
    pub const SERVICES: u32 = 1 << 16;
    /// [`super::NODE_ADDRESSES`].
    pub const NODE_ADDRESSES: u32 = 1024;
    /// [`super::CONNTRACK`].
    pub const CONNTRACK: u32 = 1 << 18;
    /// [`super::LINKS`].
    pub const LINKS: u32 = 1 << 16;
    /// [`super::FRAGMENTS`].
    pub const FRAGMENTS: u32 = 1 << 13;
    /// [`super::DENIED`].
    pub const DENIED: u32 = 1 << 14;
    /// [`super::EVENTS`], a power of two.
    pub const EVENTS: u32 = 1 << 20;
}

// No key or value may have padding: its bytes would be compared with whatever is in it.
const _: () = {
    assert!(size_of::<Config>() == 10 * 4 + 4 * 2);
    assert!(size_of::<Endpoint>() == 4 + 2 + 6 + 16 + 8 + 48 + 4);
    assert!(size_of::<Brief>() == 4 + 4 + 6 + 2);
    assert!(size::BRIEFS.is_power_of_two());
    assert!(size_of::<IdentityKey>() == 20);
    assert!(size_of::<CidrV4Key>() == 8);
    assert!(size_of::<CidrV6Key>() == 20);
    assert!(size_of::<PolicyKey>() == 11);
    assert!(size_of::<PolicyValue>() == 4);
    assert!(size_of::<ServiceKey>() == 20);
    assert!(size_of::<FlowKey>() == 41 + RESERVED);
    assert!(size_of::<Flow>() == 28);
    assert!(size_of::<LinkKey>() == 8);
    assert!(size_of::<Link>() == 20);
    assert!(size_of::<FragmentKey>() == 44);
    assert!(size_of::<Fragment>() == 12);
    assert!(size_of::<Counter>() == 16);
    assert!(size_of::<DeniedKey>() == 8);
    assert!(size_of::<Told>() == 8);
    assert!(size_of::<crate::event::Event>() == 8 + 7 * 4 + 32 + 8 + 4);
};
