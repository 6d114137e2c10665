//! The world outside, in the blocks that the policies tell apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpol_policy::model::{Cluster, Direction, NetworkPolicy, Peer};

/// A block of addresses outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) cidr: IpNet,
    /// The narrowest other block around it, by its index.
    pub(crate) within: Option<usize>,
    /// An address of it that is in no narrower block.
    pub(crate) sample: IpAddr,
}

/// All of IPv4, all of IPv6 where it is used, and every block and exception of the policies; wide ones first. Blocks
/// that others fill, and single addresses of pods, are left out.
pub(crate) fn blocks(cluster: &Cluster) -> Vec<Block> {
    blocks_of(cluster.policies.iter().map(|policy| &**policy), cluster)
}

/// The same with these policies in the place of the cluster's.
pub(crate) fn blocks_of<'p>(
    policies: impl Iterator<Item = &'p NetworkPolicy>,
    cluster: &Cluster,
) -> Vec<Block> {
    let mut named = BTreeSet::new();
    for policy in policies {
        for rule in Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten() {
            for peer in rule.peers.items() {
                if let Peer::Block(block) = peer {
                    named.insert(block.cidr());
                    named.extend(block.except());
                }
            }
        }
    }
    let pods = cluster.pods.iter().flat_map(|pod| &pod.addresses);
    let nodes: BTreeSet<IpAddr> =
        cluster.nodes.iter().flat_map(|node| node.addresses.iter().copied()).collect();
    let six =
        named.iter().any(|cidr| cidr.addr().is_ipv6()) || pods.clone().chain(&nodes).any(IpAddr::is_ipv6);
    named.insert(IpNet::V4(Ipv4Net::default()));
    if six {
        named.insert(IpNet::V6(Ipv6Net::default()));
    }
    let of_pods: BTreeSet<IpAddr> = pods.copied().collect();
    named.retain(|cidr| cidr.prefix_len() < cidr.max_prefix_len() || !of_pods.contains(&cidr.addr()));
    let mut named: Vec<_> = named.into_iter().collect();
    named.sort_by_key(|cidr| (cidr.addr().is_ipv6(), cidr.prefix_len(), cidr.addr()));
    let mut blocks: Vec<Block> = Vec::new();
    for &cidr in &named {
        let narrower = named.iter().filter(|other| **other != cidr && cidr.contains(*other));
        let Some(sample) = sample(cidr, narrower, &nodes) else { continue };
        // The last one before it that contains it is the narrowest.
        let within = blocks.iter().rposition(|wider| wider.cidr.contains(&cidr));
        blocks.push(Block { cidr, within, sample });
    }
    blocks
}

/// An address of a block outside narrower ones; no node's, if there is another.
fn sample<'n>(
    cidr: IpNet,
    narrower: impl Iterator<Item = &'n IpNet>,
    nodes: &BTreeSet<IpAddr>,
) -> Option<IpAddr> {
    let range = |net: &IpNet| (number(net.network()), number(net.broadcast()));
    let mut taken: Vec<_> = narrower.map(range).collect();
    taken.sort_unstable();
    let (first, last) = range(&cidr);
    let mut free = Vec::new();
    let mut next = Some(first);
    for (from, to) in taken {
        if let Some(start) = next.filter(|start| *start < from) {
            free.push((start, from - 1));
        }
        next = next.and_then(|start| if to < start { Some(start) } else { to.checked_add(1) });
    }
    free.extend(next.filter(|start| *start <= last).map(|start| (start, last)));
    let address = |number| address(cidr.addr().is_ipv4(), number);
    // Of a longer range not the first: that is the address of a network.
    let candidates = free.iter().flat_map(|&(from, to)| {
        let from = if from < to { from + 1 } else { from };
        (from..=to).take(nodes.len() + 1)
    });
    let mut candidates = candidates.map(address);
    candidates
        .find(|address| !nodes.contains(address))
        .or_else(|| free.first().map(|(from, _)| address(*from)))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn address(is_ipv4: bool, number: u128) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if is_ipv4 => IpAddr::V4(Ipv4Addr::from(number)),
        _ => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

#[cfg(test)]
mod tests {
    use netpol_policy::source::load;

    use super::*;

    fn blocks_of(peers: &str, more: &str) -> Vec<(String, Option<usize>, String)> {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {{podSelector: {{}}, ingress: [{{from: [{peers}]}}]}}\n---\n{more}"
        );
        let cluster = load([((), text)], "default").cluster;
        assert_eq!(cluster.policies.len(), 1);
        let shown = |block: &Block| (block.cidr.to_string(), block.within, block.sample.to_string());
        blocks(&cluster).iter().map(shown).collect()
    }

    fn expected(blocks: &[(&str, Option<usize>, &str)]) -> Vec<(String, Option<usize>, String)> {
        blocks
            .iter()
            .map(|(cidr, within, sample)| ((*cidr).to_owned(), *within, (*sample).to_owned()))
            .collect()
    }

    #[test]
    fn nested() {
        let found = blocks_of(
            "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {ipBlock: {cidr: 10.1.2.3/32}}, {ipBlock: {cidr: 0.0.0.0/1}}",
            "",
        );
        assert_eq!(
            found,
            expected(&[
                ("0.0.0.0/0", None, "128.0.0.1"),
                ("0.0.0.0/1", Some(0), "0.0.0.1"),
                ("10.0.0.0/8", Some(1), "10.0.0.1"),
                ("10.1.0.0/16", Some(2), "10.1.0.1"),
                ("10.1.2.3/32", Some(3), "10.1.2.3"),
            ])
        );
    }

    #[test]
    fn filled_blocks_and_pods_are_left_out() {
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}, status: {podIP: 10.0.0.9}}";
        let found = blocks_of(
            "{ipBlock: {cidr: 10.0.0.0/24}}, {ipBlock: {cidr: 10.0.0.0/25}}, {ipBlock: {cidr: 10.0.0.128/25}}, {ipBlock: {cidr: 10.0.0.9/32}}, {ipBlock: {cidr: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128'}}",
            pod,
        );
        assert_eq!(
            found,
            expected(&[
                ("0.0.0.0/0", None, "0.0.0.1"),
                ("10.0.0.0/25", Some(0), "10.0.0.1"),
                ("10.0.0.128/25", Some(0), "10.0.0.129"),
                ("::/0", None, "::1"),
                (
                    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
                    Some(3),
                    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
                ),
            ])
        );
    }

    #[test]
    fn samples_are_no_nodes() {
        let node = "{apiVersion: v1, kind: Node, metadata: {name: n}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}";
        let found = blocks_of("{ipBlock: {cidr: 10.0.0.0/30}}, {ipBlock: {cidr: 10.0.0.1/32}}", node);
        assert_eq!(
            found,
            expected(&[
                ("0.0.0.0/0", None, "0.0.0.1"),
                ("10.0.0.0/30", Some(0), "10.0.0.0"),
                ("10.0.0.1/32", Some(1), "10.0.0.1"),
            ])
        );
    }
}
