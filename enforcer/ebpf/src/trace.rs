//! Judging without leaving a trace: see `netpol_enforcer_common::trace`.

use aya_ebpf::Global;

/// Set when the programs are loaded. The verifier knows its value and leaves out what the other value would need.
#[unsafe(no_mangle)]
static TRACE: Global<u32> = Global::new(0);

/// Whether this is only a question.
#[inline(always)]
pub fn tracing() -> bool {
    TRACE.load() != 0
}

/// Set to 0 by the test that compares the short way of approved flows with the long one.
#[unsafe(no_mangle)]
static SHORT_WAY: Global<u32> = Global::new(1);

/// Whether approved flows may take the short way.
#[inline(always)]
pub fn short_way() -> bool {
    SHORT_WAY.load() != 0
}
