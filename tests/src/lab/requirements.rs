//! What a lab needs of the machine, and what to do when it isn't there.

use std::io::Write as _;
use std::path::Path;
use std::{env, fmt, io};

use anyhow::Result;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::netns::NetNs;

/// Something the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    what: String,
    remedy: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

/// What is missing for network namespaces and for the agent; empty when everything is there.
#[must_use]
pub fn missing() -> Vec<Missing> {
    let mut missing = Vec::new();
    if !rustix::process::geteuid().is_root() {
        missing.push(Missing {
            what: "root".into(),
            remedy: "network namespaces and eBPF programs need it; run as root (sudo make …)",
        });
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        missing.push(Missing {
            what: "BTF of the kernel (/sys/kernel/btf/vmlinux)".into(),
            remedy: "use a kernel built with CONFIG_DEBUG_INFO_BTF, as Debian's and Ubuntu's are",
        });
    }
    for (tool, remedy) in [
        ("ip", "install iproute2"),
        ("bridge", "install iproute2"),
        ("nft", "install nftables"),
        ("iptables-restore", "install iptables"),
        ("ip6tables-restore", "install iptables"),
    ] {
        if !on_path(tool) {
            missing.push(Missing { what: tool.into(), remedy });
        }
    }
    // A container's root may not be allowed to do what a lab does: try it.
    if missing.is_empty()
        && let Err(error) = NetNs::with_mounts("trial")
    {
        missing.push(Missing {
            what: format!("permission ({error:#})"),
            remedy: "in a container, run it privileged: network and mount namespaces, bpf and sysctl are needed",
        });
    }
    missing
}

/// Whether a test must be skipped here; says so, and why, where it is seen. With `NETPOL_REQUIRE_ROOT=1` it fails instead.
///
/// # Panics
/// See above.
#[must_use]
pub fn skip(test: &str) -> bool {
    let missing = missing();
    if missing.is_empty() {
        return false;
    }
    let missing = missing.iter().map(|each| format!("\n    {each}")).collect::<String>();
    assert!(
        env::var_os("NETPOL_REQUIRE_ROOT").is_none_or(|value| value != "1"),
        "NETPOL_REQUIRE_ROOT=1, but {test} can't run here; missing:{missing}"
    );
    // Not by a macro: the test harness would swallow it.
    let _ = writeln!(io::stderr(), "skipped: {test}; missing:{missing}");
    true
}

/// # Errors
/// When something is missing; the message lists all of it.
pub(super) fn namespaces() -> Result<()> {
    raise_file_limit();
    let missing = missing();
    anyhow::ensure!(
        missing.is_empty(),
        "a lab of network namespaces can't be built here:\n{}",
        missing.iter().map(|each| format!("  - {each}\n")).collect::<String>()
    );
    Ok(())
}

/// Many probes at once need many sockets.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it can't be raised, the probes say so if there are too few.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn on_path(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(tool).exists())
}
