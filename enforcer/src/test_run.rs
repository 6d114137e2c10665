//! Runs a program on a packet without a link: `BPF_PROG_TEST_RUN`.
//!
//! For tests and benchmarks. Programs and maps are the real ones; only the packet's journey is made up. The kernel takes the link from
//! the caller's network namespace; interface 1, loopback, always exists.

use std::time::Duration;

use aya::{
    TestRunOptions,
    programs::{ProgramError, SchedClassifier, TestRun as _},
};

/// What the kernel tells the program about the packet apart from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// `skb->mark` on arrival.
    pub mark: u32,
    /// The link on which the packet entered the host; 0: it was sent by the host.
    pub ingress_ifindex: u32,
    /// The link of the hook. It must exist in the caller's network namespace.
    pub ifindex: u32,
    /// How many bytes lie in the linear part, if not all; at least those of the Ethernet header do. Needs a kernel that can make such packets.
    pub linear: Option<u32>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { mark: 0, ingress_ifindex: 0, ifindex: 1, linear: None }
    }
}

/// What became of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the program returned: `TCX_NEXT` (-1) or `TCX_DROP` (2).
    pub action: i32,
    /// `skb->mark` afterwards.
    pub mark: u32,
    /// `__sk_buff.cb` afterwards: see [`netpol_enforcer_common::trace`].
    pub answer: [u32; 5],
    /// The mean duration of one run.
    pub duration: Duration,
}

impl Outcome {
    /// Whether the packet was let through.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.action == -1
    }
}

/// The length of `struct __sk_buff`.
const CONTEXT: usize = 192;
/// Where its fields are.
const MARK: usize = 8;
const INGRESS_IFINDEX: usize = 36;
const IFINDEX: usize = 40;
const DATA_END: usize = 80;
const CB: usize = 48;

/// Runs a loaded program `repeat` times on a packet that begins with its Ethernet header.
///
/// # Errors
///
/// If the program is not loaded, the packet is shorter than an Ethernet header, or the link does not exist.
pub fn run(
    program: &SchedClassifier,
    packet: &[u8],
    surroundings: Surroundings,
    repeat: u32,
) -> Result<Outcome, ProgramError> {
    let mut context = [0; CONTEXT];
    put(&mut context, MARK, surroundings.mark);
    put(&mut context, INGRESS_IFINDEX, surroundings.ingress_ifindex);
    put(&mut context, IFINDEX, surroundings.ifindex);
    if let Some(linear) = surroundings.linear {
        put(&mut context, DATA_END, linear);
    }
    let mut context_out = [0; CONTEXT];
    let result = program.test_run(TestRunOptions {
        data_in: Some(packet),
        ctx_in: Some(&context),
        ctx_out: Some(&mut context_out),
        repeat,
        ..TestRunOptions::new()
    })?;
    Ok(Outcome {
        action: result.return_value.cast_signed(),
        mark: take(&context_out, MARK),
        answer: [0, 1, 2, 3, 4].map(|word| take(&context_out, CB + word * 4)),
        duration: result.duration,
    })
}

fn put(context: &mut [u8; CONTEXT], at: usize, value: u32) {
    context[at..at + 4].copy_from_slice(&value.to_ne_bytes());
}

fn take(context: &[u8; CONTEXT], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&context[at..at + 4]);
    u32::from_ne_bytes(bytes)
}
