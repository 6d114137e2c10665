//! Blocks of addresses that no policy tells apart.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use ipnet::IpNet;
use netpol_policy::model::{Cluster, Direction, Peer};

use super::world::Block;
use crate::hash::{HashMap, HashSet};

/// A number for each block; blocks of one number are in the peers of the same rules, so that every pod says the same of
/// them. Takes time in proportion to the peers and blocks, not to their product.
pub(super) fn alike(blocks: &[Block], cluster: &Cluster) -> Vec<usize> {
    let rules = Rules::of(cluster);
    // A pod always talks to its own node: an address of a node is like no other.
    let nodes: HashSet<IpAddr> =
        cluster.nodes.iter().flat_map(|node| node.addresses.iter().copied()).collect();
    let mut known = HashMap::default();
    let mut number = |block: &Block| {
        let of_node = nodes.contains(&block.sample).then_some(block.sample);
        let next = known.len();
        *known.entry((block.cidr.addr().is_ipv6(), of_node, rules.meaning(block.cidr))).or_insert(next)
    };
    blocks.iter().map(&mut number).collect()
}

/// For each CIDR that the policies name, which rules mean the addresses that are in it and in no narrower one.
struct Rules {
    /// A set of rules is the sum of their random numbers, modulo 2: two sets have the same one in 2¹²⁸ times.
    by_cidr: HashMap<IpNet, u128>,
}

/// At a CIDR, a peer begins or an exception of it does.
struct Edge {
    cidr: IpNet,
    peer: usize,
    is_exception: bool,
}

impl Rules {
    fn of(cluster: &Cluster) -> Self {
        let (mut edges, mut rule_of_peer, mut rules) = (Vec::new(), Vec::new(), 0);
        for policy in &cluster.policies {
            for rule in Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten() {
                for peer in rule.peers.items() {
                    let Peer::Block(block) = peer else { continue };
                    let peer = rule_of_peer.len();
                    edges.push(Edge { cidr: block.cidr(), peer, is_exception: false });
                    let exceptions = block.except().iter().copied();
                    edges.extend(exceptions.map(|cidr| Edge { cidr, peer, is_exception: true }));
                    rule_of_peer.push(rules);
                }
                rules += 1;
            }
        }
        // Each CIDR right after those around it and before those within it.
        edges.sort_by_key(|edge| (edge.cidr.addr().is_ipv6(), edge.cidr.network(), edge.cidr.prefix_len()));
        let keys = [RandomState::new(), RandomState::new()];
        let mut here = Here { rule_of_peer, exceptions: Vec::new(), peers: vec![0; rules], keys, meaning: 0 };
        here.exceptions = vec![0; here.rule_of_peer.len()];
        let mut by_cidr = HashMap::default();
        let mut open: Vec<&[Edge]> = Vec::new();
        for same in edges.chunk_by(|a, b| a.cidr == b.cidr) {
            while let Some(wider) = open.pop_if(|wider| !wider[0].cidr.contains(&same[0].cidr)) {
                wider.iter().rev().for_each(|edge| here.leave(edge));
            }
            same.iter().for_each(|edge| here.enter(edge));
            by_cidr.insert(same[0].cidr, here.meaning);
            open.push(same);
        }
        Self { by_cidr }
    }

    /// One number for the rules that mean what is in a CIDR and in no narrower one. What no policy names is in no peer.
    fn meaning(&self, cidr: IpNet) -> u128 {
        self.by_cidr.get(&cidr).copied().unwrap_or_default()
    }
}

/// What is known at some CIDR.
struct Here {
    rule_of_peer: Vec<usize>,
    /// How many exceptions of each peer this is in.
    exceptions: Vec<u32>,
    /// How many peers of each rule this is in.
    peers: Vec<u32>,
    keys: [RandomState; 2],
    meaning: u128,
}

impl Here {
    fn enter(&mut self, edge: &Edge) {
        if !edge.is_exception {
            self.add(edge.peer);
            return;
        }
        if self.exceptions[edge.peer] == 0 {
            self.remove(edge.peer);
        }
        self.exceptions[edge.peer] += 1;
    }

    fn leave(&mut self, edge: &Edge) {
        if !edge.is_exception {
            self.remove(edge.peer);
            return;
        }
        self.exceptions[edge.peer] -= 1;
        if self.exceptions[edge.peer] == 0 {
            self.add(edge.peer);
        }
    }

    fn add(&mut self, peer: usize) {
        let rule = self.rule_of_peer[peer];
        self.peers[rule] += 1;
        if self.peers[rule] == 1 {
            self.toggle(rule);
        }
    }

    fn remove(&mut self, peer: usize) {
        let rule = self.rule_of_peer[peer];
        self.peers[rule] -= 1;
        if self.peers[rule] == 0 {
            self.toggle(rule);
        }
    }

    fn toggle(&mut self, rule: usize) {
        let [high, low] = self.keys.each_ref().map(|key| u128::from(key.hash_one(rule)));
        self.meaning ^= high << 64 | low;
    }
}

#[cfg(test)]
mod tests {
    use netpol_policy::source::load;

    use super::*;
    use crate::matrix::world::blocks;

    fn groups(rules: &[&str], more: &str) -> Vec<(String, usize)> {
        let rules: Vec<_> = rules.iter().map(|peers| format!("{{from: [{peers}]}}")).collect();
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {{podSelector: {{}}, ingress: [{}]}}\n---\n{more}",
            rules.join(", ")
        );
        let cluster = load([((), text)], "default").cluster;
        assert_eq!(cluster.policies.len(), 1);
        let blocks = blocks(&cluster);
        let alike = alike(&blocks, &cluster);
        blocks.iter().zip(alike).map(|(block, number)| (block.cidr.to_string(), number)).collect()
    }

    fn expected(groups: &[(&str, usize)]) -> Vec<(String, usize)> {
        groups.iter().map(|(cidr, number)| ((*cidr).to_owned(), *number)).collect()
    }

    #[test]
    fn blocks_of_one_rule_are_alike() {
        let found = groups(
            &[
                "{ipBlock: {cidr: 10.0.0.1/32}}, {ipBlock: {cidr: 10.0.0.2/32}}, {ipBlock: {cidr: 10.0.0.0/30}}",
                "{ipBlock: {cidr: 10.0.1.1/32}}",
                "{ipBlock: {cidr: 10.0.2.0/24}}, {ipBlock: {cidr: 10.0.2.0/25}}",
            ],
            "",
        );
        assert_eq!(
            found,
            expected(&[
                ("0.0.0.0/0", 0),
                ("10.0.2.0/24", 1),
                ("10.0.2.0/25", 1),
                ("10.0.0.0/30", 2),
                ("10.0.0.1/32", 2),
                ("10.0.0.2/32", 2),
                ("10.0.1.1/32", 3),
            ])
        );
    }

    #[test]
    fn exceptions_count_within_their_block_only() {
        let found = groups(
            &[
                "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.1.1.0/24]}}",
                "{ipBlock: {cidr: 10.1.1.1/32}}",
                "{ipBlock: {cidr: 11.0.0.0/8}}",
            ],
            "",
        );
        assert_eq!(
            found,
            expected(&[
                ("0.0.0.0/0", 0),
                ("10.0.0.0/8", 1),
                ("11.0.0.0/8", 2),
                ("10.1.0.0/16", 0),
                ("10.1.1.0/24", 0),
                ("10.1.1.1/32", 3),
            ])
        );
    }

    #[test]
    fn families_and_nodes_are_told_apart() {
        let node = "{apiVersion: v1, kind: Node, metadata: {name: node-1}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}";
        let found = groups(
            &[
                "{ipBlock: {cidr: 10.0.0.1/32}}, {ipBlock: {cidr: 10.0.0.2/32}}, {ipBlock: {cidr: '2001:db8::/32'}}",
            ],
            node,
        );
        assert_eq!(
            found,
            expected(&[
                ("0.0.0.0/0", 0),
                ("10.0.0.1/32", 1),
                ("10.0.0.2/32", 2),
                ("::/0", 3),
                ("2001:db8::/32", 4),
            ])
        );
    }
}
