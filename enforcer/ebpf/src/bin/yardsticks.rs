//! What the benchmark measures the programs against: nothing at all, and single operations on maps.
//!
//! Keys come from the frame's IPv4 source address and source port, so that the same packets can be given to these programs and to
//! the real ones.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    helpers::bpf_ktime_get_coarse_ns,
    macros::{classifier, map},
    maps::{HashMap, LpmTrie, LruHashMap, lpm_trie::Key},
    programs::TcContext,
};
use netpol_enforcer_common::{
    Address,
    conntrack::{Flow, FlowKey, RESERVED, tick},
    identity::{BANK_BITS, CidrV4Key, IdentityKey},
};

const PASS: i32 = -1;
/// Where an Ethernet frame has the source address of an IPv4 header without options, and the source port after it.
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;

#[map]
static YARD_FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(1 << 18, 0);

#[map]
static YARD_HASH: HashMap<IdentityKey, u32> = HashMap::with_max_entries(1 << 18, BPF_F_NO_PREALLOC);

#[map]
static YARD_TRIE: LpmTrie<CidrV4Key, u32> = LpmTrie::with_max_entries(1 << 18, 0);

/// Nothing.
#[classifier]
pub fn yard_empty(_: TcContext) -> i32 {
    PASS
}

/// One look-up of a key that is always the same, and the time.
#[classifier]
pub fn yard_flow(_: TcContext) -> i32 {
    // SAFETY: a helper without arguments.
    let now = tick(unsafe { bpf_ktime_get_coarse_ns() });
    if let Some(flow) = YARD_FLOWS.get_ptr_mut(FLOW) {
        // SAFETY: the memory stays a flow's for the run of the program.
        let flow = unsafe { &mut *flow };
        if flow.last_seen != now {
            flow.last_seen = now;
        }
    }
    PASS
}

/// One look-up that finds nothing, and a new entry.
#[classifier]
pub fn yard_insert(ctx: TcContext) -> i32 {
    let (Ok(source), Ok(port)) = (ctx.load::<u32>(SOURCE), ctx.load::<u16>(SOURCE_PORT)) else { return PASS };
    let key = FlowKey { remote: Address::from_v4_word(source), remote_port: port, ..FLOW };
    if YARD_FLOWS.get_ptr(key).is_none() {
        let flow = Flow { approved: [0; 2], last_seen: 0, hash: 0, flags: 0, own: 0, jiffy: 0 };
        let _ = YARD_FLOWS.insert(key, flow, 0);
    }
    PASS
}

/// One look-up that finds nothing.
#[classifier]
pub fn yard_miss(ctx: TcContext) -> i32 {
    let (Ok(source), Ok(port)) = (ctx.load::<u32>(SOURCE), ctx.load::<u16>(SOURCE_PORT)) else { return PASS };
    let key = FlowKey { generation: 7, remote: Address::from_v4_word(source), remote_port: port, ..FLOW };
    match YARD_FLOWS.get_ptr(key) {
        Some(_) => 0,
        None => PASS,
    }
}

/// One look-up of an address in a hash.
#[classifier]
pub fn yard_hash(ctx: TcContext) -> i32 {
    let Ok(source) = ctx.load::<u32>(SOURCE) else { return PASS };
    match YARD_HASH.get_ptr(IdentityKey { bank: 0, address: Address::from_v4_word(source) }) {
        Some(_) => PASS,
        None => 0,
    }
}

/// One look-up of an address in a trie.
#[classifier]
pub fn yard_trie(ctx: TcContext) -> i32 {
    let Ok(source) = ctx.load::<u32>(SOURCE) else { return PASS };
    let data = CidrV4Key { bank: 0, address: source.to_ne_bytes() };
    match YARD_TRIE.get(&Key::new(BANK_BITS + 32, data)) {
        Some(_) => PASS,
        None => 0,
    }
}

const FLOW: FlowKey = FlowKey {
    generation: 1,
    local: Address::from_v4([10, 244, 1, 2]),
    remote: Address::from_v4([10, 244, 2, 3]),
    local_port: 3306,
    remote_port: 40_000,
    protocol: 6,
    reserved: [0; RESERVED],
};

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";
