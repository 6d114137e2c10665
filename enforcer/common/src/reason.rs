//! Why a packet passed or not, and the counters.

/// The reasons from here on are drops.
pub const FIRST_DROP: u8 = 32;
/// More than any reason's number.
pub const REASONS: u32 = 64;
/// The entries of [`crate::maps::COUNTERS`]: every reason and direction, and the same again for what was only audited.
pub const COUNTERS_LEN: u32 = REASONS * 4;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $code:literal;)+) => {
        /// Why a packet passed (numbers below [`FIRST_DROP`]) or was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The reason with this number in an event.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// A short name for metrics and machine-readable output.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// A sentence for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

reasons! {
    /// The direction is not isolated by any policy.
    NotIsolated = 1, "not-isolated";
    /// A rule allows it.
    Policy = 2, "policy";
    /// It belongs to a flow that was allowed when it was opened, or replies to one.
    Established = 3, "established";
    /// An ICMP error about an allowed flow.
    Related = 4, "related";
    /// From the pod to itself.
    Itself = 5, "self";
    /// To or from the pod's own node.
    Node = 6, "node";
    /// ARP, neighbour discovery or multicast listener discovery.
    Neighbour = 7, "neighbour";
    /// To a Service: decided after translation.
    Deferred = 8, "deferred";
    /// The endpoint is unknown, and the agent was told to let such endpoints pass.
    UnknownAllowed = 9, "unknown-allowed";

    /// The direction is isolated, and no rule allows it.
    NotAllowed = 32, "not-allowed";
    /// The sender used an address that is not its own.
    Spoofed = 33, "spoofed";
    /// The link belongs to no pod that the agent knows yet.
    UnknownEndpoint = 34, "unknown-endpoint";
    /// The direction is closed because the agent could not program its policy.
    Closed = 35, "closed";
    /// Neither IPv4 nor IPv6, on an isolated endpoint.
    EtherType = 36, "ether-type";
    /// The headers can't be parsed.
    Malformed = 37, "malformed";
    /// More IPv6 extension headers than are followed.
    ExtensionHeaders = 38, "extension-headers";
    /// A first fragment that does not hold the ports.
    FragmentTooShort = 39, "fragment-too-short";
    /// A fragment whose first fragment has not been seen.
    FragmentUnknown = 40, "fragment-unknown";
    /// A deferred packet whose endpoint is gone.
    SlotUnknown = 41, "slot-unknown";
    /// The flow can't be tracked because the table is full.
    ConntrackFull = 42, "conntrack-full";
    /// The fragment can't be tracked because the table is full.
    FragmentsFull = 43, "fragments-full";
    /// The agent has not configured the programs yet.
    Unready = 44, "unready";

    /// A pod's frame with a VLAN tag: what is in it could not be held to the pod's addresses.
    VlanTag = 45, "vlan-tag";
    /// A pod's packet in the encapsulation that the node's overlay uses: the node would unpack it, with any addresses.
    Overlay = 46, "overlay";

    /// Not a verdict: an event was not told because the endpoint had too many at that moment.
    EventLimited = 62, "event-limited";
    /// Not a verdict: an event was lost because the ring buffer was full.
    EventLost = 63, "event-lost";
}

impl Reason {
    /// Whether the packet was dropped.
    #[must_use]
    #[inline(always)]
    pub const fn is_drop(self) -> bool {
        self as u8 >= FIRST_DROP && (self as u8) < Self::EventLimited as u8
    }

    /// Where packets are counted in [`crate::maps::COUNTERS`] that this reason would have dropped, were they not only audited.
    #[must_use]
    #[inline(always)]
    pub const fn audited_counter(self, direction: crate::Direction) -> u32 {
        self.counter(direction) + REASONS * 2
    }

    /// Where this reason is counted in [`crate::maps::COUNTERS`].
    #[must_use]
    #[inline(always)]
    pub const fn counter(self, direction: crate::Direction) -> u32 {
        self as u32 * 2 + direction as u32
    }
}

/// A per-CPU counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Counter {
    /// Packets. A packet that crosses several hooks counts at each that decides.
    pub packets: u64,
    /// Their bytes, link-layer header included.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

    #[test]
    fn numbers() {
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason as u8), Some(reason));
            assert!(reason.audited_counter(Direction::Egress) < COUNTERS_LEN);
            assert!(reason.text().ends_with('.'));
        }
        assert!(Reason::NotAllowed.is_drop());
        assert!(!Reason::Policy.is_drop());
        assert!(!Reason::EventLost.is_drop());
        assert!(!Reason::EventLimited.is_drop());
    }
}
