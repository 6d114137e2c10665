//! A node with one isolated pod in a cluster of some size.

use anyhow::{Context, Result};
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie};
use aya::programs::SchedClassifier;
use aya::{Ebpf, EbpfLoader};
use netpol_enforcer_common::config::{Config, NO_DROP_EVENTS};
use netpol_enforcer_common::endpoint::{Brief, Endpoint, Sets};
use netpol_enforcer_common::identity::{BANK_BITS, CidrV4Key, IdentityKey};
use netpol_enforcer_common::policy::{PolicyKey, PolicyPrefix, PolicyValue, port_prefixes};
use netpol_enforcer_common::{Address, FIRST_EPOCH, bank_of, maps, programs};

use crate::LINK;
use crate::object::{self, map};

pub(crate) const POD: [u8; 4] = [10, 244, 1, 2];
pub(crate) const PEER: [u8; 4] = [10, 244, 2, 3];
pub(crate) const PORT: u16 = 3306;

const INGRESS: u32 = 1;
const EGRESS: u32 = 2;

/// How much there is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Pods that policies of this node name.
    pub(crate) pods: u32,
    /// Policies that select the pod. Each lets other pods reach one port, and keeps three address blocks apart.
    pub(crate) policies: u32,
}

pub(crate) struct World {
    ebpf: Ebpf,
}

impl World {
    pub(crate) fn new(size: Size) -> Result<Self> {
        let mut ebpf = EbpfLoader::new().load(&object::programs()?).context("cannot load the eBPF object")?;
        fill(&mut ebpf, size)?;
        for name in programs::ALL {
            let program = object::program(&mut ebpf, name)?;
            program.load().with_context(|| format!("the kernel refuses {name}"))?;
        }
        Ok(Self { ebpf })
    }

    pub(crate) fn towards_pod(&mut self) -> Result<&mut SchedClassifier> {
        object::program(&mut self.ebpf, programs::POD_EGRESS)
    }

    pub(crate) fn out_of_pod(&mut self) -> Result<&mut SchedClassifier> {
        object::program(&mut self.ebpf, programs::POD_INGRESS)
    }

    pub(crate) fn uplink(&mut self) -> Result<&mut SchedClassifier> {
        object::program(&mut self.ebpf, programs::UPLINK_EGRESS)
    }
}

/// The address of a pod of the cluster.
pub(crate) fn pod(number: u32) -> [u8; 4] {
    let [_, b, c, d] = number.to_be_bytes();
    [10, 64 + b, c, d]
}

/// An address that no rule names.
pub(crate) fn stranger(number: u32) -> [u8; 4] {
    let [_, b, c, d] = number.to_be_bytes();
    [192, 64 + b, c, d]
}

fn fill(ebpf: &mut Ebpf, size: Size) -> Result<()> {
    let bank = bank_of(FIRST_EPOCH);
    let config = Config { flags: NO_DROP_EVENTS, ..Config::default() };
    Array::try_from(map(ebpf, maps::CONFIG)?)?.set(0, config, 0)?;
    Array::try_from(map(ebpf, maps::EPOCH)?)?.set(0, FIRST_EPOCH, 0)?;
    let mut sets = [Sets::default(); 2];
    sets[bank as usize] = Sets { ingress: INGRESS, egress: EGRESS };
    let endpoint = Endpoint {
        generation: 1,
        slot: 1,
        mac: [2, 0, 0, 0, 0, 2],
        sets,
        v4: [u32::from_ne_bytes(POD), 0],
        v6: [Address::NONE; 3],
        flags: 0,
    };
    HashMap::try_from(map(ebpf, maps::ENDPOINTS)?)?.insert(LINK, endpoint, 0)?;
    Array::try_from(map(ebpf, maps::BRIEFS)?)?.set(Brief::place(LINK), Brief::of(LINK, &endpoint), 0)?;

    // The pods are spread over the policies; the peer of the established flow is one of them.
    let mut identities = HashMap::try_from(map(ebpf, maps::IDENTITIES)?)?;
    identities.insert(IdentityKey { bank, address: Address::from_v4(PEER) }, 1, 0)?;
    for number in 0..size.pods {
        let address = Address::from_v4(pod(number));
        identities.insert(IdentityKey { bank, address }, 1 + number % size.policies, 0)?;
    }
    let mut blocks = LpmTrie::try_from(map(ebpf, maps::CIDRS_V4)?)?;
    for number in 0..size.policies {
        let [_, b, c, d] = number.to_be_bytes();
        let data = CidrV4Key { bank, address: [172 + b, c, d, 0] };
        blocks.insert(&Key::new(BANK_BITS + 24, data), 1_000_000 + number, 0)?;
    }
    let mut policies: LpmTrie<_, PolicyKey, PolicyValue> = LpmTrie::try_from(map(ebpf, maps::POLICIES)?)?;
    for number in 0..size.policies {
        for ports in port_prefixes(PORT, PORT) {
            let PolicyPrefix { bits, data } = PolicyPrefix::ports(INGRESS, 1 + number, 6, ports);
            policies.insert(&Key::new(bits, data), PolicyValue { rule: 1 }, 0)?;
        }
    }
    Ok(())
}
