//! Other programs that enforce NetworkPolicies on this node.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::netlink::Link;

/// Another enforcer, and what gives it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its name.
    pub enforcer: &'static str,
    /// `it made the interface cilium_host`, `it is in /etc/cni/net.d/10-calico.conflist`.
    pub trace: String,
}

/// Looks for interfaces that plugins make which enforce NetworkPolicies themselves.
#[must_use]
pub fn find(links: &[Link]) -> Option<Other> {
    links.iter().find_map(|link| {
        let enforcer = enforcer(&link.name)?;
        Some(Other { enforcer, trace: format!("it made the interface {}", link.name) })
    })
}

/// Looks among the names of the node's nftables for those of enforcers that queue packets to a program.
#[must_use]
pub fn find_table(names: &[String]) -> Option<Other> {
    names.iter().find_map(|name| {
        let enforcer = match &**name {
            "kube-network-policies" => "kube-network-policies",
            "kindnet-network-policies" => "kindnet",
            _ => return None,
        };
        Some(Other { enforcer, trace: format!("it made the nftables table {name}") })
    })
}

/// Looks for such a plugin in the configuration that the container runtime uses, which is the first in the directory. One
/// that can't be read, or isn't there, says nothing.
#[must_use]
pub fn find_configured(directory: &Path) -> Option<Other> {
    let configuration = |path: &PathBuf| {
        path.extension().is_some_and(|end| ["conf", "conflist", "json"].iter().any(|known| end == *known))
    };
    let files = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let first = files.filter(configuration).min()?;
    let network: Value = serde_json::from_slice(&fs::read(&first).ok()?).ok()?;
    let listed = network["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut types = std::iter::once(&network).chain(listed).filter_map(|plugin| plugin["type"].as_str());
    let enforcer = types.find_map(plugin)?;
    Some(Other { enforcer, trace: format!("it is in {}", first.display()) })
}

fn plugin(kind: &str) -> Option<&'static str> {
    match kind {
        "calico" => Some("Calico or Canal"),
        "cilium-cni" => Some("Cilium"),
        "antrea" => Some("Antrea"),
        "ovn-k8s-cni-overlay" => Some("OVN-Kubernetes"),
        "kube-ovn" => Some("Kube-OVN"),
        "weave-net" => Some("Weave Net"),
        _ => None,
    }
}

fn enforcer(interface: &str) -> Option<&'static str> {
    // Calico and Canal name a pod's veth after a hash of the pod's name.
    let calico = |hash: &str| hash.len() == 11 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match interface {
        "cilium_host" | "cilium_net" => Some("Cilium"),
        "vxlan.calico" | "vxlan-v6.calico" | "wireguard.cali" => Some("Calico"),
        "antrea-gw0" => Some("Antrea"),
        "ovn-k8s-mp0" => Some("OVN-Kubernetes"),
        "kube-bridge" => Some("kube-router"),
        "weave" => Some("Weave Net"),
        name if name.strip_prefix("cali").is_some_and(calico) => Some("Calico or Canal"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_configuration() {
        let directory = tempfile::tempdir().expect("a directory");
        let found = || find_configured(directory.path()).map(|other| other.enforcer);
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("written");
        assert_eq!(found(), None);
        write("20-calico.conflist", r#"{"plugins": [{"type": "calico"}, {"type": "portmap"}]}"#);
        write("10-cilium.conflist.backup", r#"{"plugins": [{"type": "cilium-cni"}]}"#);
        assert_eq!(found(), Some("Calico or Canal"));
        // The runtime uses the first one only.
        write("10-flannel.conflist", r#"{"plugins": [{"type": "flannel"}, {"type": "portmap"}]}"#);
        assert_eq!(found(), None);
        write("05-cilium.conf", r#"{"type": "cilium-cni"}"#);
        assert_eq!(found(), Some("Cilium"));
        write("00-odd.conf", "{");
        assert_eq!(found(), None);
        assert_eq!(find_configured(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn by_table() {
        let found = |name: &str| find_table(&["kube-proxy".to_owned(), name.to_owned()]);
        assert_eq!(found("filter"), None);
        assert_eq!(found("kindnet-network-policies").map(|other| other.enforcer), Some("kindnet"));
        let other = found("kube-network-policies").expect("found");
        assert_eq!(other.trace, "it made the nftables table kube-network-policies");
    }

    #[test]
    fn by_interface() {
        let cases = [
            ("cali0ef24b1a2f3", Some("Calico or Canal")),
            ("calibration", None),
            ("cilium_host", Some("Cilium")),
            ("veth0ef24b1a", None),
            ("cni0", None),
            ("flannel.1", None),
        ];
        for (name, expected) in cases {
            assert_eq!(enforcer(name), expected, "{name}");
        }
    }
}
