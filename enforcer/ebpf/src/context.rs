//! What a program knows besides the packet: settings, epoch, mark, time.

use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_coarse_ns};
use netpol_enforcer_common::{
    Address, bank_of,
    config::{Config, SHADOW},
    conntrack::tick,
    endpoint::{Brief, Endpoint, Sets},
    mark,
};

use crate::{
    maps::{self, Find as _},
    skb::Skb,
};

/// The surroundings of one packet.
pub struct Context {
    /// The packet.
    pub skb: Skb,
    /// The settings.
    pub config: &'static Config,
    /// Read once per packet, so that everything is looked up in the same bank.
    pub epoch: u32,
    /// The link.
    pub ifindex: u32,
    /// The field of the mark that belongs to us, as it was on arrival.
    pub mark: u32,
    /// See [`tick`]; 0 until [`Context::at_this_moment`].
    pub now: u32,
    /// Whether the packet's flow was looked for, and is not tracked.
    pub absent: bool,
}

impl Context {
    /// Without the time: the short way asks for it only where it needs it. `None` only if the settings' map could not be read, which
    /// can't happen.
    #[inline(always)]
    pub fn timeless(skb: Skb) -> Option<Self> {
        let config = maps::CONFIG.get(0)?;
        let epoch = *maps::EPOCH.get(0)?;
        Some(Self {
            skb,
            config,
            epoch,
            ifindex: skb.ifindex(),
            mark: mark::field(skb.mark(), config.mark_mask, config.mark_shift),
            now: 0,
            absent: false,
        })
    }

    /// The same with the time.
    #[inline(always)]
    pub fn at_this_moment(self) -> Self {
        Self { now: now(), ..self }
    }

    /// Whether the agent has configured the programs.
    #[inline(always)]
    pub fn ready(&self) -> bool {
        self.config.mark_mask != 0
    }

    /// The endpoint behind a link, if there is a programmed state at all.
    #[inline(always)]
    pub fn endpoint(&self, ifindex: u32) -> Option<&'static Endpoint> {
        if self.epoch == 0 {
            return None;
        }
        maps::ENDPOINTS.find(&ifindex)
    }

    /// The generation of the endpoint behind the packet's link, and what else is written in its brief. `None` does not say that there
    /// is no endpoint.
    #[inline(always)]
    pub fn brief(&self) -> Option<(u32, &'static Brief)> {
        if self.epoch == 0 {
            return None;
        }
        let brief: &'static Brief = maps::BRIEFS.get(Brief::place(self.ifindex))?;
        // In one piece, so that the generation is this link's.
        // SAFETY: the first two words of a brief, which is aligned for it.
        let both = unsafe { core::ptr::from_ref(brief).cast::<u64>().read_volatile() };
        let [link, generation] = if cfg!(target_endian = "big") {
            [(both >> 32) as u32, both as u32]
        } else {
            [both as u32, (both >> 32) as u32]
        };
        (link == self.ifindex).then_some((generation, brief))
    }

    /// The endpoint with a slot.
    #[inline(always)]
    pub fn endpoint_of_slot(&self, slot: u32) -> Option<&'static Endpoint> {
        let ifindex = *maps::SLOTS.get(slot)?;
        if ifindex == 0 {
            return None;
        }
        self.endpoint(ifindex).filter(|endpoint| u32::from(endpoint.slot) == slot)
    }

    /// The sets that decide for an endpoint in this epoch.
    #[inline(always)]
    pub fn sets(&self, endpoint: &Endpoint) -> Sets {
        if bank_of(self.epoch) == 0 { endpoint.sets[0] } else { endpoint.sets[1] }
    }

    /// The slot in the mark; 0: none.
    #[inline(always)]
    pub fn slot(&self) -> u32 {
        self.mark >> mark::SLOT_SHIFT
    }

    /// Whether the packet came from a pod's veth.
    #[inline(always)]
    pub fn forwarded(&self) -> bool {
        self.mark & mark::FORWARDED != 0
    }

    /// Whether the egress verdict is still to be given.
    #[inline(always)]
    pub fn deferred(&self) -> bool {
        self.mark & mark::DEFER != 0
    }

    /// Writes our field of the packet's mark.
    #[inline(always)]
    pub fn set_mark(&self, field: u32) {
        if self.config.has(SHADOW) {
            return;
        }
        let mark = self.skb.mark();
        self.skb.set_mark(mark::with_field(mark, self.config.mark_mask, self.config.mark_shift, field));
    }

    /// Whether the node itself sent the packet: not a pod, not forwarded from elsewhere, and with an address of the node.
    ///
    /// The address alone would not do, because forwarded packets may be translated to the node's address. Nor would
    /// `skb->sk`, which is set on packets that a bridge passes on from a local namespace.
    #[inline(always)]
    pub fn from_node(&self, source: &Address) -> bool {
        !self.forwarded() && self.skb.ingress_ifindex() == 0 && is_node(source)
    }
}

/// The time.
#[inline(always)]
pub fn now() -> u32 {
    // SAFETY: a helper without arguments.
    tick(unsafe { bpf_ktime_get_coarse_ns() })
}

/// How often the kernel's clock has ticked. To read that takes no call.
#[inline(always)]
pub fn jiffy() -> u32 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() as u32 }
}

/// Whether a packet is marked for a later verdict on its egress.
#[inline(always)]
pub fn deferred(skb: Skb) -> bool {
    let mark = |config: &Config| mark::field(skb.mark(), config.mark_mask, config.mark_shift);
    maps::CONFIG.get(0).is_some_and(|config| mark(config) & mark::DEFER != 0)
}

/// Whether an address is this node's own.
#[inline(always)]
pub fn is_node(address: &Address) -> bool {
    maps::NODE_ADDRESSES.find(address).is_some()
}
