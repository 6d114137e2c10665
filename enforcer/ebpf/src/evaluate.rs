//! Who may open a flow.

use aya_ebpf::maps::lpm_trie::Key;
use netpol_enforcer_common::{
    Address, Direction, bank_of,
    conntrack::{DEFERRED, Flow, FlowKey, LinkKey},
    endpoint::{AUDIT, Endpoint, SET_CLOSED, SET_NONE},
    identity::{ANY, BANK_BITS, CidrV4Key, CidrV6Key, IdentityKey},
    policy::{BITS_FULL, PolicyKey},
    reason::Reason,
    service::ServiceKey,
};

use crate::{
    context::{Context, is_node},
    maps::{self, Find as _},
    packet::Packet,
    words::{Words, clear},
};

/// A verdict and what led to it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Verdict {
    /// A [`Reason`] number.
    pub reason: u32,
    /// The set that was asked.
    pub set: u32,
    /// The peer's identity.
    pub identity: u32,
    /// The rule that allows.
    pub rule: u32,
    /// Whether the packet is to be marked for a later verdict on its egress.
    pub defer: bool,
    /// Whether the flow is to be remembered.
    pub track: bool,
    /// Whether to tell about it.
    pub news: bool,
    /// Whether the endpoint is only audited.
    pub audit: bool,
    /// The reason is one for a drop, but the packet passes, because of `audit`.
    pub audited: bool,
}

// What is cleared is no set, and the identity of everybody.
const _: () = assert!(SET_NONE == 0 && ANY == 0);

// SAFETY: four words, and bytes that may be 0.
unsafe impl Words for Verdict {}

impl Verdict {
    /// Forgets what led to it: nothing passes.
    #[inline(always)]
    pub fn reset(&mut self) {
        clear(self);
        self.set(Reason::NotAllowed);
    }

    /// Whether the packet passes.
    #[inline(always)]
    pub const fn allows(&self) -> bool {
        self.reason < netpol_enforcer_common::reason::FIRST_DROP as u32 || self.audited
    }

    /// Says no for a reason that policy has. Returns whether the packet passes all the same.
    #[inline(always)]
    pub fn deny(&mut self, reason: Reason) -> bool {
        self.reason = reason as u32;
        self.audited = self.audit;
        self.audited
    }

    /// Says no to a packet that can't be taken apart. An endpoint in audit mode lets pass what would pass if nothing isolated it.
    #[inline(always)]
    pub fn break_off(&mut self, broken: u8) {
        self.reason = u32::from(broken);
        self.audited = self.audit
            && [
                Reason::ExtensionHeaders,
                Reason::FragmentTooShort,
                Reason::FragmentUnknown,
                Reason::FragmentsFull,
            ]
            .iter()
            .any(|policy| *policy as u8 == broken);
    }

    /// Sets the reason.
    #[inline(always)]
    pub fn set(&mut self, reason: Reason) {
        self.reason = reason as u32;
        self.audited = false;
    }

    /// Sets the reason, and returns whether the packet passes.
    #[inline(always)]
    pub fn answer(&mut self, reason: Reason) -> bool {
        self.set(reason);
        !reason.is_drop()
    }
}

/// A question about a flow.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Question {
    /// The tuple.
    pub key: FlowKey,
    /// What is tracked of it; the default if nothing is.
    pub flow: Flow,
    /// What came out.
    pub verdict: Verdict,
}

/// Whether a flow may be opened from the pod (egress) or to it (ingress). `present`: the packet at hand is the one that opens it,
/// so that its mark and its link count.
#[inline(never)]
pub fn open(
    context: &Context,
    endpoint: &Endpoint,
    question: &mut Question,
    opened: Direction,
    present: bool,
) -> bool {
    let key = &question.key;
    let verdict = &mut question.verdict;
    verdict.reset();
    verdict.audit = endpoint.has(AUDIT);
    let sets = context.sets(endpoint);
    let (set, port) = match opened {
        Direction::Egress => (sets.egress, key.remote_port),
        Direction::Ingress => (sets.ingress, key.local_port),
    };
    verdict.set = set;
    let outward = matches!(opened, Direction::Egress);

    if outward && endpoint.owns(&key.remote) {
        return verdict.answer(Reason::Itself);
    }
    if !outward && present {
        if context.forwarded() && context.slot() == u32::from(endpoint.slot) {
            return verdict.answer(Reason::Itself);
        }
        if endpoint.owns(&key.remote) {
            return verdict.answer(Reason::Spoofed);
        }
        if context.from_node(&key.remote) {
            return verdict.answer(Reason::Node);
        }
    }
    verdict.track = true;
    if set == SET_NONE {
        return verdict.answer(Reason::NotIsolated);
    }
    if outward {
        let node = is_node(&key.remote);
        if node || Packet::has_ports(key.protocol) && is_service(&key.remote, key.protocol, port) {
            // A node port is a Service, too; whether this is one is known where the packet leaves.
            let reason = if node { Reason::Node } else { Reason::Deferred };
            if present {
                verdict.defer = true;
                return verdict.answer(reason);
            }
            // A reply from a Service: its address says nothing, but the backend may be known.
            if question.flow.flags & DEFERRED != 0 {
                let link = LinkKey { generation: key.generation, hash: question.flow.hash };
                if let Some(link) = maps::LINKS.find(&link) {
                    if endpoint.owns(&link.address) {
                        return verdict.answer(Reason::Itself);
                    }
                    return ask(context, verdict, &link.address, key.protocol, link.port);
                }
            }
            // The packets of the pod's side are judged one by one where they leave.
            return verdict.answer(reason);
        }
    }
    ask(context, verdict, &key.remote, key.protocol, port)
}

/// Whether a deferred packet may go where it was translated to.
#[inline(never)]
pub fn open_translated(context: &Context, endpoint: &Endpoint, question: &mut Question) -> bool {
    let verdict = &mut question.verdict;
    verdict.reset();
    verdict.audit = endpoint.has(AUDIT);
    verdict.set = context.sets(endpoint).egress;
    verdict.track = true;
    ask(context, verdict, &question.key.remote, question.key.protocol, question.key.remote_port)
}

#[inline(always)]
fn is_service(address: &Address, protocol: u8, port: u16) -> bool {
    maps::SERVICES.find(&ServiceKey::new(*address, protocol, port)).is_some()
}

/// Asks the verdict's set.
#[inline(never)]
fn ask(context: &Context, verdict: &mut Verdict, peer: &Address, protocol: u8, port: u16) -> bool {
    if verdict.set == SET_CLOSED {
        return verdict.deny(Reason::Closed);
    }
    let port = if Packet::has_ports(protocol) { port } else { 0 };
    let identity = identity(bank_of(context.epoch), peer);
    verdict.identity = identity;
    identity != ANY && allowed(verdict, identity, protocol, port)
        || allowed(verdict, ANY, protocol, port)
        || verdict.deny(Reason::NotAllowed)
}

#[inline(always)]
fn allowed(verdict: &mut Verdict, identity: u32, protocol: u8, port: u16) -> bool {
    let key = Key::new(BITS_FULL, PolicyKey::new(verdict.set, identity, protocol, port));
    match maps::POLICIES.get(&key) {
        Some(value) => {
            verdict.rule = value.rule;
            verdict.set(Reason::Policy);
            true
        }
        None => false,
    }
}

#[inline(always)]
fn identity(bank: u32, address: &Address) -> u32 {
    if let Some(identity) = maps::IDENTITIES.find(&IdentityKey { bank, address: *address }) {
        return *identity;
    }
    let found = if address.is_v4() {
        let data = CidrV4Key { bank, address: address.0[3].to_ne_bytes() };
        maps::CIDRS_V4.get(&Key::new(BANK_BITS + 32, data))
    } else {
        let data = CidrV6Key { bank, address: address.octets() };
        maps::CIDRS_V6.get(&Key::new(BANK_BITS + 128, data))
    };
    found.copied().unwrap_or(ANY)
}
