//! Which class of peers an address belongs to.
//!
//! An *identity* is a number for a class of addresses that the policies of this node can't tell apart. The programs look an
//! address up in the hash of exact addresses, and only if it isn't there in the trie of CIDRs. An address in neither has
//! [`ANY`].

use crate::Address;

/// As an address's identity: no rule names this address by selector or block. As the identity in a policy key: every peer.
///
/// A verdict looks for the address's identity first and for this one after it, so a rule for every peer is written once.
pub const ANY: u32 = 0;

/// The key of [`crate::maps::IDENTITIES`]; its value is an identity (`u32`).
///
/// Enter all addresses of pods and nodes that need an identity of their own. An entry hides every CIDR that covers the address: the
/// identity must say which blocks the address is in. An entry with the value [`ANY`] therefore means "in no block", too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct IdentityKey {
    /// [`crate::bank_of`] the epoch for which this entry is.
    pub bank: u32,
    /// The address.
    pub address: Address,
}

/// The data of a key of [`crate::maps::CIDRS_V4`]: `aya::maps::lpm_trie::Key::new(BANK_BITS + n, data)` for a block of prefix
/// length `n`. The value is an identity (`u32`). The longest prefix wins: its identity must also speak for the shorter ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct CidrV4Key {
    /// [`crate::bank_of`] the epoch for which this entry is, in native order.
    pub bank: u32,
    /// The network's address in network order.
    pub address: [u8; 4],
}

/// The data of a key of [`crate::maps::CIDRS_V6`]; as [`CidrV4Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct CidrV6Key {
    /// [`crate::bank_of`] the epoch for which this entry is, in native order.
    pub bank: u32,
    /// The network's address in network order.
    pub address: [u8; 16],
}

/// The bits of a CIDR key that come before the address.
pub const BANK_BITS: u32 = 32;
