//! The yardsticks, loaded and filled.

use std::net::IpAddr;

use anyhow::{Context, Result};
use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie};
use aya::programs::SchedClassifier;
use aya::{Ebpf, EbpfLoader};
use netpol_enforcer_common::Address;
use netpol_enforcer_common::conntrack::{Flow, FlowKey};
use netpol_enforcer_common::identity::{BANK_BITS, CidrV4Key, IdentityKey};

use crate::object::{self, map};
use crate::world::{PEER, POD, PORT, Size, pod};

pub(crate) struct Yards {
    ebpf: Ebpf,
}

impl Yards {
    /// A hash with all pods, a trie with as many entries as there are policies, and one flow.
    pub(crate) fn new(size: Size) -> Result<Self> {
        let mut ebpf = EbpfLoader::new().load(&object::yardsticks()?).context("loading the yardsticks")?;
        let mut hash = HashMap::try_from(map(&mut ebpf, "YARD_HASH")?)?;
        for number in 0..size.pods {
            hash.insert(IdentityKey { bank: 0, address: Address::from_v4(pod(number)) }, number, 0)?;
        }
        let mut trie = LpmTrie::try_from(map(&mut ebpf, "YARD_TRIE")?)?;
        for number in 0..size.policies {
            let data = CidrV4Key { bank: 0, address: pod(number) };
            trie.insert(&Key::new(BANK_BITS + 32, data), number, 0)?;
        }
        let mut flows: HashMap<_, FlowKey, Flow> = HashMap::try_from(map(&mut ebpf, "YARD_FLOWS")?)?;
        let key = FlowKey {
            generation: 1,
            local: IpAddr::from(POD).into(),
            remote: IpAddr::from(PEER).into(),
            local_port: PORT,
            remote_port: 40_000,
            protocol: 6,
            reserved: [0; 3],
        };
        flows.insert(key, Flow::default(), 0)?;
        Ok(Self { ebpf })
    }

    pub(crate) fn program(&mut self, name: &str) -> Result<&mut SchedClassifier> {
        let program = object::program(&mut self.ebpf, name)?;
        if program.fd().is_err() {
            program.load().with_context(|| format!("the kernel refuses {name}"))?;
        }
        Ok(program)
    }
}
