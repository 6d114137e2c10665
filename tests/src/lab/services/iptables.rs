//! The shape of kube-proxy's iptables mode: KUBE-SERVICES, a KUBE-SVC chain per Service, a KUBE-SEP chain per endpoint.

use std::fmt::Write as _;

use anyhow::Result;

use super::{MASQUERADE_MARK, Translation};
use crate::lab::address::Family;
use crate::lab::netns::NetNs;

pub(super) fn install(namespace: &NetNs, services: &[Translation]) -> Result<()> {
    for family in Family::BOTH {
        let program = match family {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        };
        namespace.feed(program, &[], &tables(family, services))?;
    }
    Ok(())
}

fn tables(family: Family, services: &[Translation]) -> String {
    let (mut chains, mut rules, mut node_ports, mut rejected) =
        (String::new(), String::new(), String::new(), String::new());
    for (index, service) in services.iter().enumerate() {
        let (transport, port, address) = (service.transport, service.port, service.cluster.of(family));
        let matches = format!("-d {address} -p {transport} --dport {port}");
        if service.endpoints.is_empty() {
            line(&mut rejected, &format!("-A KUBE-SERVICES {matches} -j REJECT"));
            continue;
        }
        let chain = format!("KUBE-SVC-{index}");
        line(&mut chains, &format!(":{chain} - [0:0]"));
        line(&mut rules, &format!("-A KUBE-SERVICES {matches} -j {chain}"));
        if let Some(node_port) = service.node_port {
            let external = format!("KUBE-EXT-{index}");
            line(&mut chains, &format!(":{external} - [0:0]"));
            line(&mut rules, &format!("-A {external} -j KUBE-MARK-MASQ"));
            line(&mut rules, &format!("-A {external} -j {chain}"));
            line(
                &mut node_ports,
                &format!("-A KUBE-NODEPORTS -p {transport} --dport {node_port} -j {external}"),
            );
        }
        for (number, (endpoint, port)) in service.endpoints.iter().enumerate() {
            let endpoint = endpoint.of(family);
            let target = match family {
                Family::V4 => format!("{endpoint}:{port}"),
                Family::V6 => format!("[{endpoint}]:{port}"),
            };
            let (leg, left) = (format!("KUBE-SEP-{index}-{number}"), service.endpoints.len() - number);
            line(&mut chains, &format!(":{leg} - [0:0]"));
            let chance = if left == 1 {
                String::new()
            } else {
                format!(" -m statistic --mode random --probability {:.10}", 1.0 / left as f64)
            };
            line(&mut rules, &format!("-A {chain}{chance} -j {leg}"));
            line(&mut rules, &format!("-A {leg} -s {endpoint} -j KUBE-MARK-MASQ"));
            line(&mut rules, &format!("-A {leg} -p {transport} -j DNAT --to-destination {target}"));
        }
    }
    format!(
        "*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
{chains}-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark {MASQUERADE_MARK:#x}
-A KUBE-POSTROUTING -m mark ! --mark {MASQUERADE_MARK:#x}/{MASQUERADE_MARK:#x} -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark {MASQUERADE_MARK:#x}
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
{rules}{node_ports}-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
COMMIT
*filter
:KUBE-SERVICES - [0:0]
-A FORWARD -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
{rejected}COMMIT
"
    )
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}
