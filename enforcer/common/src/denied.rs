//! How much was denied to each endpoint, in [`crate::maps::DENIED`].
//!
//! The programs add entries and count; the agent reads them, knows which policies isolate the endpoint, and removes what belongs
//! to generations that are gone. If the map is full only these counts are missing: [`crate::maps::COUNTERS`] are complete.

/// The key; the value is a [`crate::reason::Counter`] per CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct DeniedKey {
    /// [`crate::endpoint::Endpoint::generation`].
    pub generation: u32,
    /// The [`crate::Direction`] that was judged.
    pub direction: u8,
    /// 1 if the packets passed all the same, because the endpoint is only audited.
    pub audited: u8,
    /// [`crate::reason::Reason`].
    pub reason: u8,
    /// Always 0.
    pub reserved: u8,
}

/// How many events were told about some endpoints on one CPU. Only the programs use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Told {
    /// The [`crate::conntrack::tick`] that is counted.
    pub tick: u32,
    /// Events in it.
    pub events: u32,
}

/// Slots share that many places in the count of events: those that have their lowest bits in common.
pub const TOLD_PLACES: u32 = 256;
