//! What must be so before anything is loaded, and what to do if it isn't.

use std::fs;

use aya::util::KernelVersion;
use thiserror::Error;

/// What keeps the agent from working here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Missing {
    /// A capability.
    #[error(
        "the capability {0} is missing: run as root, or grant BPF, PERFMON and NET_ADMIN (in a pod: securityContext.capabilities.add, \
         or privileged)"
    )]
    Capability(&'static str),
    /// What the programs call.
    #[error("this kernel is {0}.{1}, and the programs need Linux 5.11 or newer: upgrade the node's kernel")]
    Kernel(u32, u32),
}

/// Checks permissions and the kernel's version.
///
/// # Errors
/// With the first thing that is missing.
pub fn check() -> Result<(), Missing> {
    if let Some(effective) = effective_capabilities() {
        for (name, bit) in [("NET_ADMIN", CAP_NET_ADMIN), ("BPF", CAP_BPF), ("PERFMON", CAP_PERFMON)] {
            // CAP_SYS_ADMIN includes the two newer ones.
            let accepted = if bit == CAP_NET_ADMIN { 1 << bit } else { 1 << bit | 1 << CAP_SYS_ADMIN };
            if effective & accepted == 0 {
                return Err(Missing::Capability(name));
            }
        }
    }
    match KernelVersion::current() {
        Ok(version) if version.code() < KernelVersion::new(5, 11, 0).code() => {
            let code = version.code();
            Err(Missing::Kernel(code >> 16, code >> 8 & 0xff))
        }
        _ => Ok(()),
    }
}

const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// The process's effective capabilities as bits; `None` if `/proc` does not say.
fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
