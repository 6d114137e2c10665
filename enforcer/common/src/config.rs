//! The agent's settings for the programs, the only element of [`crate::maps::CONFIG`].

use crate::mark::MarkMask;

/// Packets of unknown endpoints pass. Without it they are dropped, except to and from the node, ARP and neighbour discovery.
pub const UNKNOWN_ALLOW: u32 = 1 << 0;
/// Emit events for allowed new flows too, not only for drops.
pub const EVENTS_ALLOWED: u32 = 1 << 1;
/// Emit no events for drops (the counters still count).
pub const NO_DROP_EVENTS: u32 = 1 << 3;
/// Packets of unknown endpoints that would be dropped pass, are counted as audited and told.
pub const AUDIT_UNKNOWN: u32 = 1 << 4;
/// This node unpacks IP in IP or GRE: pods must not send it.
pub const OVERLAY_IP: u32 = 1 << 5;

/// Other programs are in force: track flows, but drop nothing and mark nothing.
pub const SHADOW: u32 = 1 << 6;

/// The default [`Config::event_limit`].
pub const EVENT_LIMIT: u32 = 256;
/// How many ports [`Config::overlay_ports`] can hold.
pub const MAX_OVERLAY_PORTS: usize = 4;

/// The settings. A mask of 0 (a map never written) makes every program drop what policy would have to judge.
///
/// Timeouts are in seconds and granular to about one second; see [`crate::conntrack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Config {
    /// See [`crate::mark`].
    pub mark_mask: u32,
    /// The mask's trailing zeros.
    pub mark_shift: u32,
    /// [`UNKNOWN_ALLOW`], [`EVENTS_ALLOWED`], …
    pub flags: u32,
    /// TCP, only the initiator was seen.
    pub tcp_syn: u32,
    /// TCP, both sides were seen.
    pub tcp_established: u32,
    /// TCP after FIN or RST.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
    /// ICMP and `ICMPv6` echo.
    pub icmp: u32,
    /// SCTP and every other protocol.
    pub other: u32,
    /// How many events are told on each CPU about each endpoint in a tick of the clock (see [`crate::conntrack::tick`]); what is beyond is
    /// counted under [`crate::reason::Reason::EventLimited`]. 0: no limit.
    pub event_limit: u32,
    /// UDP ports on which this node unpacks VXLAN or Geneve, in host byte order; 0: unused. What a pod sent there would come out with
    /// whatever addresses it likes.
    pub overlay_ports: [u16; MAX_OVERLAY_PORTS],
}

impl Config {
    /// The default settings with another mask.
    #[must_use]
    pub const fn with_mask(mask: MarkMask) -> Self {
        Self {
            mark_mask: mask.bits(),
            mark_shift: mask.shift(),
            flags: 0,
            tcp_syn: 20,
            tcp_established: 3600,
            tcp_fin: 30,
            udp: 60,
            icmp: 5,
            other: 600,
            event_limit: EVENT_LIMIT,
            overlay_ports: [0; MAX_OVERLAY_PORTS],
        }
    }

    /// Whether a flag is set.
    #[must_use]
    #[inline(always)]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::with_mask(MarkMask::DEFAULT)
    }
}
