//! What the programs tell the agent, packet by packet, through the ring buffer [`crate::maps::EVENTS`].

use crate::Address;

/// One verdict. Drops are always told (unless [`crate::config::NO_DROP_EVENTS`]), allowed new flows if
/// [`crate::config::EVENTS_ALLOWED`] is set; packets of established flows never.
///
/// A record in the ring buffer is exactly this long. If the buffer is full the event is lost and counted
/// ([`crate::reason::Reason::EventLost`]); so is one beyond the endpoint's limit ([`crate::reason::Reason::EventLimited`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// `CLOCK_MONOTONIC` in nanoseconds.
    pub time: u64,
    /// The endpoint whose policy decides; 0: unknown.
    pub generation: u32,
    /// The link at which it was decided.
    pub ifindex: u32,
    /// The set that decided; [`crate::endpoint::SET_NONE`] if none did.
    pub set: u32,
    /// The identity of the peer, if a set was asked.
    pub identity: u32,
    /// [`crate::policy::PolicyValue::rule`] of the entry that allowed.
    pub rule: u32,
    /// The epoch under which it was decided.
    pub epoch: u32,
    /// The packet's length in bytes.
    pub length: u32,
    /// Source and destination as seen at the link; [`Address::NONE`] if the packet has none.
    pub source: Address,
    /// See `source`.
    pub destination: Address,
    /// In host byte order; 0 if the protocol has none. For ICMP the type is here and the code in `destination_port`.
    pub source_port: u16,
    /// See `source_port`.
    pub destination_port: u16,
    /// The packet's `EtherType` in host byte order.
    pub ether_type: u16,
    /// The endpoint's slot; 0: unknown.
    pub slot: u16,
    /// The IP protocol number.
    pub protocol: u8,
    /// [`crate::Direction`] as the endpoint sees it.
    pub direction: u8,
    /// [`crate::reason::Reason`]; it also says whether the packet was dropped.
    pub reason: u8,
    /// [`DEFERRED`], [`AUDITED`].
    pub flags: u8,
}

/// Decided after translation, at the link where it leaves, on behalf of the endpoint it came from.
pub const DEFERRED: u8 = 1;
/// The reason is one for a drop, but the packet passed: its endpoint is only audited.
pub const AUDITED: u8 = 2;

impl Event {
    /// Reads a record of the ring buffer. `None` if it is too short, which only another layout version can cause.
    #[cfg(feature = "user")]
    #[must_use]
    #[allow(unsafe_code)]
    pub fn read(record: &[u8]) -> Option<Self> {
        if record.len() < size_of::<Self>() {
            return None;
        }
        // SAFETY: the record is long enough, the read is unaligned, and every bit pattern is a valid event.
        Some(unsafe { core::ptr::read_unaligned(record.as_ptr().cast()) })
    }
}
