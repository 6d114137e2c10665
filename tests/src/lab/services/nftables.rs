//! The shape of kube-proxy's nftables mode: verdict maps, a chain per Service, a chain per endpoint.

use std::fmt::Write as _;

use anyhow::Result;

use super::{MASQUERADE_MARK, Translation};
use crate::lab::address::Family;
use crate::lab::netns::NetNs;

pub(super) fn install(namespace: &NetNs, services: &[Translation]) -> Result<()> {
    let rules = Family::BOTH.map(|family| table(family, services)).concat();
    namespace.feed("nft", &["-f", "-"], &rules).map(drop)
}

fn table(family: Family, services: &[Translation]) -> String {
    let (ip, address_type, loopback) = match family {
        Family::V4 => ("ip", "ipv4_addr", "127.0.0.0/8"),
        Family::V6 => ("ip6", "ipv6_addr", "::1"),
    };
    let mut chains = String::new();
    let (mut cluster, mut node_ports, mut empty) = (Vec::new(), Vec::new(), Vec::new());
    for (index, service) in services.iter().enumerate() {
        let (transport, port, address) = (service.transport, service.port, service.cluster.of(family));
        if service.endpoints.is_empty() {
            empty.push(format!("{address} . {transport} . {port} : goto reject-it"));
            continue;
        }
        let mut choices = Vec::new();
        for (number, (endpoint, port)) in service.endpoints.iter().enumerate() {
            let endpoint = endpoint.of(family);
            let target = match family {
                Family::V4 => format!("{endpoint}:{port}"),
                Family::V6 => format!("[{endpoint}]:{port}"),
            };
            write_chain(
                &mut chains,
                &format!("endpoint-{index}-{number}"),
                &[
                    format!("{ip} saddr {endpoint} jump mark-for-masquerade"),
                    format!("meta l4proto {transport} dnat to {target}"),
                ],
            );
            choices.push(format!("{number} : goto endpoint-{index}-{number}"));
        }
        let choose = format!("numgen random mod {} vmap {{ {} }}", choices.len(), choices.join(", "));
        write_chain(&mut chains, &format!("service-{index}"), &[choose]);
        cluster.push(format!("{address} . {transport} . {port} : goto service-{index}"));
        if let Some(port) = service.node_port {
            let external = format!("external-{index}");
            write_chain(
                &mut chains,
                &external,
                &["jump mark-for-masquerade".into(), format!("goto service-{index}")],
            );
            node_ports.push(format!("{transport} . {port} : goto {external}"));
        }
    }
    let (cluster, node_ports, empty) = (elements(&cluster), elements(&node_ports), elements(&empty));
    format!(
        "table {ip} kube-proxy
         delete table {ip} kube-proxy
         table {ip} kube-proxy {{
             chain mark-for-masquerade {{ meta mark set meta mark or {MASQUERADE_MARK:#x}; }}
             chain reject-it {{ reject; }}
             {chains}
             map service-ips {{ type {address_type} . inet_proto . inet_service : verdict; {cluster} }}
             map service-nodeports {{ type inet_proto . inet_service : verdict; {node_ports} }}
             map no-endpoint-services {{ type {address_type} . inet_proto . inet_service : verdict; {empty} }}
             chain services {{
                 {ip} daddr . meta l4proto . th dport vmap @service-ips
                 fib daddr type local {ip} daddr != {loopback} meta l4proto . th dport vmap @service-nodeports
             }}
             chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
             chain nat-output {{ type nat hook output priority -100; jump services; }}
             chain nat-postrouting {{
                 type nat hook postrouting priority srcnat;
                 meta mark and {MASQUERADE_MARK:#x} == 0 return
                 meta mark set meta mark xor {MASQUERADE_MARK:#x}
                 masquerade fully-random
             }}
             chain filter-forward {{
                 type filter hook forward priority 0;
                 {ip} daddr . meta l4proto . th dport vmap @no-endpoint-services
             }}
             chain filter-output {{
                 type filter hook output priority 0;
                 {ip} daddr . meta l4proto . th dport vmap @no-endpoint-services
             }}
         }}\n"
    )
}

fn write_chain(chains: &mut String, name: &str, rules: &[String]) {
    writeln!(chains, "chain {name} {{ {}; }}", rules.join("; ")).expect("a String takes everything");
}

fn elements(elements: &[String]) -> String {
    if elements.is_empty() { String::new() } else { format!("elements = {{ {} }}", elements.join(", ")) }
}
