//! The maps. Their meaning is documented in `netpol_enforcer_common::maps`.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf},
};
use netpol_enforcer_common::{
    Address,
    config::Config,
    conntrack::{Flow, FlowKey, Link, LinkKey},
    denied::{DeniedKey, TOLD_PLACES, Told},
    endpoint::{Brief, Endpoint},
    fragment::{Fragment, FragmentKey},
    identity::{CidrV4Key, CidrV6Key, IdentityKey},
    maps::size,
    policy::{PolicyKey, PolicyValue},
    reason::{COUNTERS_LEN, Counter},
    service::ServiceKey,
};

use crate::{
    evaluate::Question,
    packet::Packet,
    words::{Words, clear},
};

#[map]
pub static CONFIG: Array<Config> = Array::with_max_entries(1, 0);

#[map]
pub static EPOCH: Array<u32> = Array::with_max_entries(1, 0);

#[map]
pub static ENDPOINTS: HashMap<u32, Endpoint> = HashMap::with_max_entries(size::ENDPOINTS, BPF_F_NO_PREALLOC);

#[map]
pub static BRIEFS: Array<Brief> = Array::with_max_entries(size::BRIEFS, 0);

#[map]
pub static SLOTS: Array<u32> = Array::with_max_entries(size::SLOTS, 0);

#[map]
pub static IDENTITIES: HashMap<IdentityKey, u32> =
    HashMap::with_max_entries(size::IDENTITIES, BPF_F_NO_PREALLOC);

#[map]
pub static CIDRS_V4: LpmTrie<CidrV4Key, u32> = LpmTrie::with_max_entries(size::CIDRS_V4, 0);

#[map]
pub static CIDRS_V6: LpmTrie<CidrV6Key, u32> = LpmTrie::with_max_entries(size::CIDRS_V6, 0);

#[map]
pub static POLICIES: LpmTrie<PolicyKey, PolicyValue> = LpmTrie::with_max_entries(size::POLICIES, 0);

#[map]
pub static SERVICES: HashMap<ServiceKey, u32> = HashMap::with_max_entries(size::SERVICES, BPF_F_NO_PREALLOC);

#[map]
pub static NODE_ADDRESSES: HashMap<Address, u32> =
    HashMap::with_max_entries(size::NODE_ADDRESSES, BPF_F_NO_PREALLOC);

#[map]
pub static CONNTRACK: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(size::CONNTRACK, 0);

#[map]
pub static LINKS: LruHashMap<LinkKey, Link> = LruHashMap::with_max_entries(size::LINKS, 0);

#[map]
pub static FRAGMENTS: LruHashMap<FragmentKey, Fragment> = LruHashMap::with_max_entries(size::FRAGMENTS, 0);

#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(size::EVENTS, 0);

#[map]
pub static COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(COUNTERS_LEN, 0);

#[map]
pub static DENIED: PerCpuHashMap<DeniedKey, Counter> =
    PerCpuHashMap::with_max_entries(size::DENIED, BPF_F_NO_PREALLOC);

/// How much was told of late, by the lowest bits of the slot.
#[map]
pub static TOLD: PerCpuArray<Told> = PerCpuArray::with_max_entries(TOLD_PLACES, 0);

/// Working memory.
///
/// Not on the stack, which is small; and the verifier does not follow what is in a map, so that after parsing all packets are alike
/// to it. Programs of one CPU do not interrupt each other: they run with bottom halves disabled.
#[repr(C)]
pub struct Scratch {
    /// The packet at hand.
    pub packet: Packet,
    /// The packet within an ICMP error.
    pub inner: Packet,
    /// The verdict in the making.
    pub question: Question,
}

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The working memory of this CPU.
///
/// # Safety
///
/// To be called once in a program.
#[inline(always)]
pub unsafe fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: this CPU's own, and by the caller's promise not in use.
    let scratch = unsafe { &mut *SCRATCH.get_ptr_mut(0)? };
    clear(&mut scratch.packet);
    clear(&mut scratch.question.flow);
    scratch.question.verdict.reset();
    Some(scratch)
}

// SAFETY: seven words.
unsafe impl Words for Flow {}

/// Look-up without `unsafe` at every place.
pub trait Find<K, V> {
    /// The value under a key.
    fn find(&self, key: &K) -> Option<&'static V>;
}

// SAFETY, for both: a value stays readable for the run of the program, under RCU. That another CPU may change it meanwhile does no harm
// to integers of which each is read once.
impl<K, V: 'static> Find<K, V> for HashMap<K, V> {
    #[inline(always)]
    fn find(&self, key: &K) -> Option<&'static V> {
        self.get_ptr(key).map(|value| unsafe { &*value })
    }
}

impl<K, V: 'static> Find<K, V> for LruHashMap<K, V> {
    #[inline(always)]
    fn find(&self, key: &K) -> Option<&'static V> {
        self.get_ptr(key).map(|value| unsafe { &*value })
    }
}
