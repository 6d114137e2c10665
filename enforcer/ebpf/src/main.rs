//! The TC programs that enforce NetworkPolicy.
#![no_std]
#![no_main]

use aya_ebpf::{macros::classifier, programs::TcContext};

#[classifier]
pub fn pod_ingress(_ctx: TcContext) -> i32 {
    -1
}

#[classifier]
pub fn pod_egress(_ctx: TcContext) -> i32 {
    -1
}

#[classifier]
pub fn uplink_egress(_ctx: TcContext) -> i32 {
    -1
}

#[classifier]
pub fn uplink_egress_l3(_ctx: TcContext) -> i32 {
    -1
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 11] = *b"Apache-2.0\0";
