//! The kernel programs on crafted packets, with `BPF_PROG_TEST_RUN`. Needs root; without it the tests say so and pass, unless
//! `NETPOL_REQUIRE_ROOT=1`.

/// A lab, or the end of the test if there can't be one.
macro_rules! lab {
    () => {
        match crate::lab::Lab::new() {
            Some(lab) => lab,
            None => return,
        }
    };
}

mod audit;
mod cost;
mod deferred;
mod errors;
mod flows;
mod fragments;
mod lab;
mod malformed;
mod node;
mod packets;
mod rules;
mod short_way;
mod spoofing;
mod trace;
mod unusual;
