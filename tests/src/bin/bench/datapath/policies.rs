//! The same policies as manifests and as an nftables ruleset.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use netpol_tests::cluster::running::RunningCluster;
use netpol_tests::lab::address::Family;

use super::traffic::PORT;

/// Half of the policies select the server and let peers in, half select the client and let it out to peers; each names one group of
/// peers and one port. The last of either half is about the two pods themselves.
pub(super) struct Policies {
    pub(super) policies: usize,
    /// Pods of other nodes, spread over the policies.
    pub(super) peers: usize,
}

impl Policies {
    fn half(&self) -> usize {
        (self.policies / 2).max(1)
    }

    /// Pods of another node: only their addresses matter here.
    pub(super) fn peers_yaml(&self) -> String {
        let mut text = String::new();
        for number in 0..self.peers {
            let (group, address) = (number % self.half(), peer(number));
            let _ = write!(
                text,
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: peer-{number}, namespace: default, labels: {{group: g{group}}}}}\n\
                 spec: {{nodeName: elsewhere, containers: [{{name: main, image: none}}]}}\n\
                 status: {{phase: Running, podIPs: [{{ip: {address}}}]}}\n---\n"
            );
        }
        text
    }

    /// The policies as manifests.
    pub(super) fn yaml(&self) -> String {
        let mut text = String::new();
        for number in 0..self.half() {
            let last = number + 1 == self.half();
            let port = port(number, last);
            for (role, direction, preposition, other) in
                [("server", "Ingress", "from", "client"), ("client", "Egress", "to", "server")]
            {
                let group = if last { format!("role: {other}") } else { format!("group: g{number}") };
                let section = direction.to_lowercase();
                let _ = write!(
                    text,
                    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                     metadata: {{name: {role}-{number}, namespace: default}}\n\
                     spec: {{podSelector: {{matchLabels: {{role: {role}}}}}, policyTypes: [{direction}], \
                     {section}: [{{{preposition}: [{{podSelector: {{matchLabels: {{{group}}}}}}}], ports: [{{port: {port}}}]}}]}}\n---\n"
                );
            }
        }
        text
    }

    /// The policies as a ruleset: established connections first, then one look-up of address and port in a set for each direction.
    pub(super) fn nftables(&self, running: &RunningCluster) -> String {
        let address = |pod: &str| running.lab.pods[pod].address.of(Family::V4);
        let (client, server) = (address("default/client"), address("default/server"));
        let elements = |other: IpAddr| {
            let mut elements = vec![format!("{other} . {PORT}")];
            for number in 0..self.peers {
                let group = number % self.half();
                if group + 1 != self.half() {
                    elements.push(format!("{} . {}", peer(number), port(group, false)));
                }
            }
            elements.join(", ")
        };
        format!(
            "table ip policies {{
                 set to-server {{ type ipv4_addr . inet_service; elements = {{ {} }} }}
                 set from-client {{ type ipv4_addr . inet_service; elements = {{ {} }} }}
                 chain to-server {{ ip saddr . tcp dport @to-server accept; drop; }}
                 chain from-client {{ ip daddr . tcp dport @from-client return; drop; }}
                 chain forward {{
                     type filter hook forward priority filter; policy accept;
                     ct state established,related accept
                     ip saddr vmap {{ {client} : jump from-client }}
                     ip daddr vmap {{ {server} : jump to-server }}
                 }}
             }}",
            elements(client),
            elements(server)
        )
    }
}

/// The port of a policy.
fn port(number: usize, last: bool) -> u16 {
    if last { PORT } else { 1024 + (number % 4096) as u16 }
}

fn peer(number: usize) -> Ipv4Addr {
    let [_, b, c, d] = (number as u32).to_be_bytes();
    Ipv4Addr::new(10, 64 + b, c, d)
}
