//! Asking the programs what they would do.
//!
//! Programs that are loaded with the variable [`VARIABLE`] set to 1 judge a packet like the others, from the same maps, but as the first
//! of its flow, and leave no trace: they write no map and tell no event. What led to the verdict is in `__sk_buff.cb` afterwards. They are never
//! attached anywhere.

/// The variable of the object, a `u32`.
pub const VARIABLE: &str = "TRACE";

/// Which word of `cb` holds a [`crate::reason::Reason`]; the others are only valid if it isn't 0.
pub const REASON: usize = 0;
/// The set that was asked.
pub const SET: usize = 1;
/// The peer's identity.
pub const IDENTITY: usize = 2;
/// [`crate::event::DEFERRED`], [`crate::event::AUDITED`], and the [`crate::Direction`] shifted by 8.
pub const FLAGS: usize = 3;
/// The endpoint's generation.
pub const GENERATION: usize = 4;

/// The name of the `u32` in the programs that is 1; with 0, approved flows take the long way, too. For the test that compares the two.
pub const SHORT_WAY: &str = "SHORT_WAY";
