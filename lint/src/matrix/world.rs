//! The world outside, in the blocks that the policies tell apart.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netpol_policy::model::{Cluster, Direction, NetworkPolicy, Peer};

use crate::hash::HashSet;

/// A block of addresses outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) cidr: IpNet,
    /// The narrowest other block around it, by its index.
    pub(crate) within: Option<usize>,
    /// An address of it that is in no narrower block and no pod's; a node's only where there is no other.
    pub(crate) sample: IpAddr,
}

/// The addresses that somebody in the cluster has.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pods: HashSet<IpAddr>,
    nodes: HashSet<IpAddr>,
}

impl Taken {
    /// Those of a cluster. A pod that has ended has its address no longer.
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let pods = cluster.pods.iter().filter(|pod| !pod.finished).flat_map(|pod| &pod.addresses);
        let nodes = cluster.nodes.iter().flat_map(|node| &node.addresses);
        Self { pods: pods.copied().collect(), nodes: nodes.copied().collect() }
    }

    fn any_ipv6(&self) -> bool {
        self.pods.iter().chain(&self.nodes).any(IpAddr::is_ipv6)
    }
}

/// All of IPv4, all of IPv6 where it is used, and every block and exception of the policies; wide ones first. Blocks
/// that narrower ones and the addresses of pods fill are left out.
pub(crate) fn blocks(cluster: &Cluster) -> Vec<Block> {
    let taken = Taken::of(cluster);
    let mut named = named(cluster.policies.iter().map(|policy| &**policy));
    if taken.any_ipv6() {
        named.insert(IpNet::V6(Ipv6Net::default()));
    }
    split(named, &taken)
}

/// The same with these policies in the place of the cluster's; all of IPv6 only where they name some of it.
pub(crate) fn blocks_of<'p>(policies: impl Iterator<Item = &'p NetworkPolicy>, taken: &Taken) -> Vec<Block> {
    split(named(policies), taken)
}

/// What the policies name, and all of each family that they name.
fn named<'p>(policies: impl Iterator<Item = &'p NetworkPolicy>) -> BTreeSet<IpNet> {
    let mut named = BTreeSet::from([IpNet::V4(Ipv4Net::default())]);
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
    if named.iter().any(|cidr| cidr.addr().is_ipv6()) {
        named.insert(IpNet::V6(Ipv6Net::default()));
    }
    named
}

/// Each block with what narrower ones and pods leave of it.
fn split(named: BTreeSet<IpNet>, taken: &Taken) -> Vec<Block> {
    // Each one right after those around it and before those within it.
    let mut nested: Vec<_> = named.into_iter().collect();
    nested.sort_unstable_by_key(|cidr| (cidr.addr().is_ipv6(), cidr.network(), cidr.prefix_len()));
    let mut narrower = vec![Vec::new(); nested.len()];
    let mut around = vec![None; nested.len()];
    let mut open: Vec<usize> = Vec::new();
    for (index, cidr) in nested.iter().enumerate() {
        while open.last().is_some_and(|wider| !nested[*wider].contains(cidr)) {
            open.pop();
        }
        if let Some(&wider) = open.last() {
            narrower[wider].push(*cidr);
            around[index] = Some(wider);
        }
        open.push(index);
    }
    let samples: Vec<_> =
        nested.iter().zip(&narrower).map(|(cidr, narrower)| sample(*cidr, narrower, taken)).collect();
    let mut shown: Vec<_> = (0..nested.len()).filter(|index| samples[*index].is_some()).collect();
    shown.sort_by_key(|index| {
        let cidr = nested[*index];
        (cidr.addr().is_ipv6(), cidr.prefix_len(), cidr.addr())
    });
    let mut places = vec![None; nested.len()];
    for (place, index) in shown.iter().enumerate() {
        places[*index] = Some(place);
    }
    let within = |index: usize| {
        let mut wider = around[index];
        // One that is left out hands what is in it to the next.
        while let Some(index) = wider.filter(|index| places[*index].is_none()) {
            wider = around[index];
        }
        wider.and_then(|index| places[index])
    };
    let block =
        |index: usize| Some(Block { cidr: nested[index], within: within(index), sample: samples[index]? });
    shown.into_iter().filter_map(block).collect()
}

/// An address of a block outside the narrower ones right in it, which are sorted; a node's only where there is no other.
/// `None` when every address that is left is a pod's.
fn sample(cidr: IpNet, narrower: &[IpNet], taken: &Taken) -> Option<IpAddr> {
    let free = free(cidr, narrower);
    let candidates = || {
        let of_range = |&(from, to): &(u128, u128)| {
            // Of a longer range not the first if it can be helped: that is the address of a network.
            (from..=to).skip(1).chain([from])
        };
        let addresses = free.iter().flat_map(of_range).map(|number| address(cidr.addr().is_ipv4(), number));
        addresses.filter(|address| !taken.pods.contains(address))
    };
    candidates().find(|address| !taken.nodes.contains(address)).or_else(|| candidates().next())
}

/// The ranges of addresses of a block that are in none of these.
fn free(cidr: IpNet, narrower: &[IpNet]) -> Vec<(u128, u128)> {
    let range = |net: &IpNet| (number(net.network()), number(net.broadcast()));
    let (first, last) = range(&cidr);
    let mut free = Vec::new();
    let mut next = Some(first);
    for (from, to) in narrower.iter().map(range) {
        if let Some(start) = next.filter(|start| *start < from) {
            free.push((start, from - 1));
        }
        next = to.checked_add(1);
    }
    free.extend(next.filter(|start| *start <= last).map(|start| (start, last)));
    free
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

    /// A block stands for its addresses that belong to no pod (docs/lint.md); a pod that has ended has no address.
    #[test]
    fn samples_are_no_pods() {
        let pod = |name: &str, address: &str, phase: &str| {
            format!(
                "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{}}, status: {{podIP: '{address}', phase: {phase}}}}}\n"
            )
        };
        let pods = [
            pod("a", "10.0.0.1", "Running"),
            pod("b", "10.0.0.2", "Running"),
            pod("c", "10.0.0.4", "Running"),
            pod("d", "10.0.0.5", "Pending"),
            pod("e", "10.0.0.8", "Succeeded"),
            pod("f", "0.0.0.1", "Running"),
            pod("g", "2001:db8::1", "Running"),
        ];
        let found = blocks_of(
            "{ipBlock: {cidr: 10.0.0.0/30}}, {ipBlock: {cidr: 10.0.0.4/31}}, {ipBlock: {cidr: 10.0.0.8/32}}, {ipBlock: {cidr: '2001:db8::/127'}}",
            &pods.concat(),
        );
        assert_eq!(
            found,
            expected(&[
                ("0.0.0.0/0", None, "0.0.0.2"),
                ("10.0.0.0/30", Some(0), "10.0.0.3"),
                ("10.0.0.8/32", Some(0), "10.0.0.8"),
                ("::/0", None, "::1"),
                ("2001:db8::/127", Some(3), "2001:db8::"),
            ])
        );
    }

    /// Where pods and nodes have all addresses of a block, the nodes are what is outside.
    #[test]
    fn nodes_before_pods() {
        let more = "{apiVersion: v1, kind: Node, metadata: {name: node-1}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}, status: {podIP: 10.0.0.0}}";
        let found = blocks_of("{ipBlock: {cidr: 10.0.0.0/31}}", more);
        assert_eq!(found, expected(&[("0.0.0.0/0", None, "0.0.0.1"), ("10.0.0.0/31", Some(0), "10.0.0.1")]));
    }

    /// What is in a block that is left out is in the one around it.
    #[test]
    fn filled_blocks_hand_on() {
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}, status: {podIP: 10.0.0.0}}";
        let found = blocks_of(
            "{ipBlock: {cidr: 10.0.0.0/24}}, {ipBlock: {cidr: 10.0.0.0/31}}, {ipBlock: {cidr: 10.0.0.1/32}}",
            pod,
        );
        assert_eq!(
            found,
            expected(&[
                ("0.0.0.0/0", None, "0.0.0.1"),
                ("10.0.0.0/24", Some(0), "10.0.0.3"),
                ("10.0.0.1/32", Some(1), "10.0.0.1"),
            ])
        );
    }

    #[test]
    fn samples_are_no_nodes() {
        let node = "{apiVersion: v1, kind: Node, metadata: {name: node-1}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}";
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
