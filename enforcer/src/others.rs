//! Other programs that enforce NetworkPolicies on this node.

use crate::netlink::Link;

/// Another enforcer, and the interface that gives it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// Its name.
    pub enforcer: &'static str,
    /// The interface's name.
    pub interface: String,
}

/// Looks for interfaces that plugins make which enforce NetworkPolicies themselves.
#[must_use]
pub fn find(links: &[Link]) -> Option<Other> {
    links.iter().find_map(|link| {
        let enforcer = enforcer(&link.name)?;
        Some(Other { enforcer, interface: link.name.clone() })
    })
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
