//! What a lab needs of the machine, and what to do when it isn't there.

use std::fmt;
use std::path::Path;

use anyhow::Result;

/// Something the machine lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    what: &'static str,
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
            what: "root",
            remedy: "network namespaces and eBPF programs need it; run as root (sudo make …)",
        });
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        missing.push(Missing {
            what: "BTF of the kernel (/sys/kernel/btf/vmlinux)",
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
            missing.push(Missing { what: tool, remedy });
        }
    }
    missing
}

/// # Errors
/// When something is missing; the message lists all of it.
pub(super) fn namespaces() -> Result<()> {
    let missing = missing();
    anyhow::ensure!(
        missing.is_empty(),
        "a lab of network namespaces can't be built here:\n{}",
        missing.iter().map(|each| format!("  - {each}\n")).collect::<String>()
    );
    Ok(())
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(tool).exists())
}
