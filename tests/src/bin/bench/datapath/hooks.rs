//! Programs that do nothing, on the hooks where the agent's are: what no program there can stay below.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use netpol_tests::cluster::running::RunningCluster;
use rustix::fd::AsRawFd as _;

// Of the kernel's `linux/bpf.h`.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// `r0 = TCX_NEXT; exit`.
const NOTHING: [u64; 2] = [0xffff_ffff_0000_00b7, 0x0000_0000_0000_0095];

/// The hooks. They are left when this is dropped.
pub(super) struct Hooks {
    _links: Vec<OwnedFd>,
}

impl Hooks {
    /// On both hooks of every pod's link.
    pub(super) fn attach(running: &RunningCluster) -> Result<Self> {
        let lab = &running.lab;
        let program = load().context("loading a program that does nothing")?;
        let mut links = Vec::new();
        for pod in lab.pods.values() {
            let name = lab.interface_of(pod);
            let attached = lab.nodes[pod.node].namespace.run(|| {
                let index = rustix::net::netdevice::name_to_index(UdpSocket::bind("0.0.0.0:0")?, &name)?;
                [BPF_TCX_INGRESS, BPF_TCX_EGRESS]
                    .map(|hook| attach(&program, index, hook))
                    .into_iter()
                    .collect()
            });
            let attached: io::Result<Vec<OwnedFd>> = attached;
            links.extend(attached.with_context(|| format!("attaching to {name}"))?);
        }
        Ok(Self { _links: links })
    }
}

fn load() -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Load {
        kind: u32,
        instructions: u32,
        code: u64,
        license: u64,
        rest: [u64; 14],
    }
    let license = c"Apache-2.0";
    bpf(
        BPF_PROG_LOAD,
        &Load {
            kind: BPF_PROG_TYPE_SCHED_CLS,
            instructions: NOTHING.len() as u32,
            code: NOTHING.as_ptr() as u64,
            license: license.as_ptr() as u64,
            rest: [0; 14],
        },
    )
}

fn attach(program: &OwnedFd, link: u32, hook: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Create {
        program: i32,
        link: u32,
        hook: u32,
        rest: [u32; 13],
    }
    bpf(BPF_LINK_CREATE, &Create { program: program.as_raw_fd(), link, hook, rest: [0; 13] })
}

#[allow(unsafe_code)]
fn bpf<A>(command: libc::c_int, attributes: &A) -> io::Result<OwnedFd> {
    // SAFETY: the structures are the command's, and what they point to outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both commands return a descriptor that is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}
