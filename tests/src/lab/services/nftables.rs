//! The shape of kube-proxy's nftables mode: verdict maps, a chain per Service, a chain per endpoint.

use std::fmt::Write as _;

use anyhow::Result;

use super::{MASQUERADE_MARK, Translation};
use crate::lab::address::{Family, POD_RANGE};
use crate::lab::netns::NetNs;

pub(super) fn install(namespace: &NetNs, services: &[Translation]) -> Result<()> {
    let rules = Family::BOTH.map(|family| table(family, services)).concat();
    namespace.feed("nft", &["-f", "-"], &rules).map(drop)
}

fn table(family: Family, services: &[Translation]) -> String {
    let (ip, address_type, loopback, pods) = match family {
        Family::V4 => ("ip", "ipv4_addr", "127.0.0.0/8", POD_RANGE.0),
        Family::V6 => ("ip6", "ipv6_addr", "::1", POD_RANGE.1),
    };
    let mut chains = String::new();
    let (mut cluster, mut node_ports, mut empty, mut empty_ports) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, service) in services.iter().enumerate() {
        let (transport, port, address) = (service.transport, service.port, service.cluster.of(family));
        if service.endpoints.is_empty() {
            empty.push(format!("{address} . {transport} . {port} : goto reject-it"));
            continue;
        }
        for (number, endpoint) in service.endpoints.iter().enumerate() {
            let (address, port) = (endpoint.address.of(family), endpoint.port);
            let target = match family {
                Family::V4 => format!("{address}:{port}"),
                Family::V6 => format!("[{address}]:{port}"),
            };
            let mut rules = vec![format!("{ip} saddr {address} jump mark-for-masquerade")];
            if let Some(seconds) = service.choice.affinity {
                let set = format!("affinity-{index}-{number}");
                line(
                    &mut chains,
                    &format!(
                        "set {set} {{ type {address_type}; flags dynamic, timeout; timeout {seconds}s; }}"
                    ),
                );
                rules.push(format!("update @{set} {{ {ip} saddr }}"));
            }
            rules.push(format!("meta l4proto {transport} dnat to {target}"));
            write_chain(&mut chains, &format!("endpoint-{index}-{number}"), &rules);
        }
        let [internal, external] = [false, true].map(|external| service.eligible(external));
        let everywhere: Vec<usize> = (0..service.endpoints.len()).collect();
        for (name, eligible) in
            [("service", &everywhere), ("internal", &internal), ("external-local", &external)]
        {
            if !eligible.is_empty() {
                write_chain(&mut chains, &format!("{name}-{index}"), &choose(ip, index, eligible, service));
            }
        }
        let verdict = if internal.is_empty() { &mut empty } else { &mut cluster };
        let to = if internal.is_empty() { "drop".into() } else { format!("goto internal-{index}") };
        verdict.push(format!("{address} . {transport} . {port} : {to}"));
        if let Some(port) = service.node_port {
            let rules = if service.choice.external_local {
                // Pods and the node itself get any endpoint.
                let mut rules = vec![
                    format!("{ip} saddr {pods} goto service-{index}"),
                    "fib saddr type local jump mark-for-masquerade".into(),
                    format!("fib saddr type local goto service-{index}"),
                ];
                if external.is_empty() {
                    empty_ports.push(format!("{transport} . {port} : drop"));
                } else {
                    rules.push(format!("goto external-local-{index}"));
                }
                rules
            } else {
                vec!["jump mark-for-masquerade".into(), format!("goto service-{index}")]
            };
            write_chain(&mut chains, &format!("external-{index}"), &rules);
            node_ports.push(format!("{transport} . {port} : goto external-{index}"));
        }
    }
    let [cluster, node_ports, empty, empty_ports] =
        [cluster, node_ports, empty, empty_ports].map(|each| elements(&each));
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
             map no-endpoint-nodeports {{ type inet_proto . inet_service : verdict; {empty_ports} }}
             chain filter-input {{
                 type filter hook input priority 0;
                 fib daddr type local {ip} daddr != {loopback} meta l4proto . th dport vmap @no-endpoint-nodeports
             }}
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

/// Whom the client had, else any.
fn choose(ip: &str, index: usize, eligible: &[usize], service: &Translation) -> Vec<String> {
    let mut rules = Vec::new();
    if service.choice.affinity.is_some() {
        let again = |n: &usize| format!("{ip} saddr @affinity-{index}-{n} goto endpoint-{index}-{n}");
        rules.extend(eligible.iter().map(again));
    }
    let choices: Vec<_> =
        eligible.iter().enumerate().map(|(turn, n)| format!("{turn} : goto endpoint-{index}-{n}")).collect();
    rules.push(format!("numgen random mod {} vmap {{ {} }}", choices.len(), choices.join(", ")));
    rules
}

fn write_chain(chains: &mut String, name: &str, rules: &[String]) {
    line(chains, &format!("chain {name} {{ {}; }}", rules.join("; ")));
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}

fn elements(elements: &[String]) -> String {
    if elements.is_empty() { String::new() } else { format!("elements = {{ {} }}", elements.join(", ")) }
}
