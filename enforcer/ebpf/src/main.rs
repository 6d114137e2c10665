//! The TC programs that enforce NetworkPolicy. What they share with the agent is in `netpol-enforcer-common`.
//!
//! A program allows with `TCX_NEXT`, so that other programs on the hook still run, and drops with `TC_ACT_SHOT`.
#![no_std]
#![no_main]

mod context;
mod deferred;
mod evaluate;
mod fast;
mod flow;
mod fragment;
mod from_pod;
mod maps;
mod neighbour;
mod packet;
mod skb;
mod telemetry;
mod to_pod;
mod trace;
mod track;
mod words;

use aya_ebpf::{macros::classifier, programs::TcContext};

/// `TCX_NEXT`, and `TC_ACT_UNSPEC` on a clsact hook: the next program decides.
const PASS: i32 = -1;
/// `TCX_DROP` and `TC_ACT_SHOT`.
const DROP: i32 = 2;

/// Ingress of a pod's veth: packets from the pod.
#[classifier]
pub fn pod_ingress(ctx: TcContext) -> i32 {
    from_pod::run(skb::Skb::new(&ctx))
}

/// Egress of a pod's veth: packets to the pod.
#[classifier]
pub fn pod_egress(ctx: TcContext) -> i32 {
    to_pod::run(skb::Skb::new(&ctx))
}

/// Egress of any other link with an Ethernet header.
#[classifier]
pub fn uplink_egress(ctx: TcContext) -> i32 {
    deferred::run(skb::Skb::new(&ctx), packet::ETHERNET_HEADER)
}

/// Egress of any other link without a link-layer header.
#[classifier]
pub fn uplink_egress_l3(ctx: TcContext) -> i32 {
    deferred::run(skb::Skb::new(&ctx), 0)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";
