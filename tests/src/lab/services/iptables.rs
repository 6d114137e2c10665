//! The shape of kube-proxy's iptables mode: KUBE-SERVICES, a KUBE-SVC chain per Service, a KUBE-SEP chain per endpoint.

use std::fmt::Write as _;

use anyhow::Result;

use super::{MASQUERADE_MARK, Translation};
use crate::lab::address::{Family, POD_RANGE};
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
    let pods = match family {
        Family::V4 => POD_RANGE.0,
        Family::V6 => POD_RANGE.1,
    };
    let (mut chains, mut rules, mut node_ports) = (String::new(), String::new(), String::new());
    let (mut rejected, mut no_local) = (String::new(), String::new());
    for (index, service) in services.iter().enumerate() {
        let (transport, port, address) = (service.transport, service.port, service.cluster.of(family));
        let matches = format!("-d {address} -p {transport} --dport {port}");
        if service.endpoints.is_empty() {
            line(&mut rejected, &format!("-A KUBE-SERVICES {matches} -j REJECT"));
            continue;
        }
        let [internal, external] = [false, true].map(|external| service.eligible(external));
        let everywhere: Vec<usize> = (0..service.endpoints.len()).collect();
        for (kind, eligible) in [("SVC", &everywhere), ("SVI", &internal), ("SVL", &external)] {
            choose(
                &format!("KUBE-{kind}-{index}"),
                (index, family),
                eligible,
                service,
                &mut chains,
                &mut rules,
            );
        }
        if internal.is_empty() {
            line(&mut rejected, &format!("-A KUBE-SERVICES {matches} -j DROP"));
        } else {
            line(&mut rules, &format!("-A KUBE-SERVICES {matches} -j KUBE-SVI-{index}"));
        }
        if let Some(node_port) = service.node_port {
            let chain = format!("KUBE-EXT-{index}");
            line(&mut chains, &format!(":{chain} - [0:0]"));
            line(
                &mut node_ports,
                &format!("-A KUBE-NODEPORTS -p {transport} --dport {node_port} -j {chain}"),
            );
            if service.choice.external_local {
                // Pods and the node itself get any endpoint.
                line(&mut rules, &format!("-A {chain} -s {pods} -j KUBE-SVC-{index}"));
                line(&mut rules, &format!("-A {chain} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ"));
                line(&mut rules, &format!("-A {chain} -m addrtype --src-type LOCAL -j KUBE-SVC-{index}"));
                line(&mut rules, &format!("-A {chain} -j KUBE-SVL-{index}"));
                if external.is_empty() {
                    let dropped = format!("-p {transport} --dport {node_port} -m addrtype --dst-type LOCAL");
                    line(&mut no_local, &format!("-A KUBE-EXTERNAL-SERVICES {dropped} -j DROP"));
                }
            } else {
                line(&mut rules, &format!("-A {chain} -j KUBE-MARK-MASQ"));
                line(&mut rules, &format!("-A {chain} -j KUBE-SVC-{index}"));
            }
        }
        for (number, endpoint) in service.endpoints.iter().enumerate() {
            let (address, port) = (endpoint.address.of(family), endpoint.port);
            let target = match family {
                Family::V4 => format!("{address}:{port}"),
                Family::V6 => format!("[{address}]:{port}"),
            };
            let leg = format!("KUBE-SEP-{index}-{number}");
            line(&mut chains, &format!(":{leg} - [0:0]"));
            line(&mut rules, &format!("-A {leg} -s {address} -j KUBE-MARK-MASQ"));
            let note = match service.choice.affinity {
                Some(_) => format!(" -m recent --name {} --set", recent(family, index, number)),
                None => String::new(),
            };
            line(&mut rules, &format!("-A {leg}{note} -p {transport} -j DNAT --to-destination {target}"));
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
:KUBE-EXTERNAL-SERVICES - [0:0]
-A FORWARD -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A INPUT -j KUBE-EXTERNAL-SERVICES
{rejected}{no_local}COMMIT
"
    )
}

/// A chain that leads to the endpoint that the client had, else to any.
fn choose(
    chain: &str,
    (index, family): (usize, Family),
    eligible: &[usize],
    service: &Translation,
    chains: &mut String,
    rules: &mut String,
) {
    line(chains, &format!(":{chain} - [0:0]"));
    if let Some(seconds) = service.choice.affinity {
        for number in eligible {
            let name = recent(family, index, *number);
            line(
                rules,
                &format!(
                    "-A {chain} -m recent --name {name} --rcheck --seconds {seconds} --reap -j KUBE-SEP-{index}-{number}"
                ),
            );
        }
    }
    for (turn, number) in eligible.iter().enumerate() {
        let left = eligible.len() - turn;
        let chance = if left == 1 {
            String::new()
        } else {
            format!(" -m statistic --mode random --probability {:.10}", 1.0 / left as f64)
        };
        line(rules, &format!("-A {chain}{chance} -j KUBE-SEP-{index}-{number}"));
    }
}

/// The list of an endpoint's clients.
fn recent(family: Family, index: usize, number: usize) -> String {
    format!("KUBE-SEP-{index}-{number}-{family}")
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}
