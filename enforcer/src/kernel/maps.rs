//! The kernel's maps as [`Tables`].

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, MapData, MapError};
use ipnet::IpNet;
use netpol_enforcer_common::endpoint::{self, Brief, Endpoint, MAX_V4, MAX_V6, Sets};
use netpol_enforcer_common::identity::{BANK_BITS, CidrV4Key, CidrV6Key, IdentityKey};
use netpol_enforcer_common::policy::{BITS_PEER, BITS_PROTOCOL, PolicyKey, PolicyValue};
use netpol_enforcer_common::service::ServiceKey;
use netpol_enforcer_common::{Address, maps};
use netpol_policy::model::Protocol;

use super::batch::Batches;
use super::grace::Grace;
use super::load::{LoadError, typed};
use super::pins::Pins;
use crate::compile::{Entry, Identity, ServiceAddress, TrafficPrefix};
use crate::tables::{EndpointRecord, Gates, SetId, State, TableError, Tables};

/// The maps that the agent writes.
pub struct Maps {
    epoch: Array<MapData, u32>,
    endpoints: HashMap<MapData, u32, Endpoint>,
    briefs: Array<MapData, Brief>,
    slots: Array<MapData, u32>,
    identities: HashMap<MapData, IdentityKey, u32>,
    cidrs_v4: LpmTrie<MapData, CidrV4Key, u32>,
    cidrs_v6: LpmTrie<MapData, CidrV6Key, u32>,
    policies: LpmTrie<MapData, PolicyKey, PolicyValue>,
    services: HashMap<MapData, ServiceKey, u32>,
    node_addresses: HashMap<MapData, Address, u32>,
    batches: Batches,
    grace: Grace,
}

impl Maps {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one of them is missing or of another shape.
    pub fn open(pins: &Pins) -> Result<Self, LoadError> {
        Ok(Self {
            epoch: typed(pins, maps::EPOCH)?,
            endpoints: typed(pins, maps::ENDPOINTS)?,
            briefs: typed(pins, maps::BRIEFS)?,
            slots: typed(pins, maps::SLOTS)?,
            identities: typed(pins, maps::IDENTITIES)?,
            cidrs_v4: typed(pins, maps::CIDRS_V4)?,
            cidrs_v6: typed(pins, maps::CIDRS_V6)?,
            policies: typed(pins, maps::POLICIES)?,
            services: typed(pins, maps::SERVICES)?,
            node_addresses: typed(pins, maps::NODE_ADDRESSES)?,
            batches: Batches::open(&pins.map(maps::IDENTITIES))
                .map_err(|error| LoadError::Map { map: maps::IDENTITIES, source: Box::new(error) })?,
            grace: Grace::default(),
        })
    }

    /// From here on raising the epoch does not wait for packets that are being decided: it is told when there are none
    /// any more.
    ///
    /// # Errors
    /// When there can't be a thread that waits.
    pub fn tell_of_packets(&mut self, over: impl Fn() + Send + 'static) -> std::io::Result<()> {
        self.grace = Grace::aside(over)?;
        Ok(())
    }

    fn set_brief(&mut self, place: u32, brief: Brief) -> Result<(), TableError> {
        written(maps::BRIEFS, self.briefs.set(place, brief, 0))
    }

    /// Writes the briefs of all endpoints: an earlier run may have been ended between the two.
    ///
    /// # Errors
    /// When a map can't be read or written.
    pub fn renew_briefs(&mut self) -> Result<(), LoadError> {
        for item in self.endpoints.iter() {
            let (link, endpoint) = read(maps::ENDPOINTS, item)?;
            let written = self.briefs.set(Brief::place(link), Brief::of(link, &endpoint), 0);
            written.map_err(|error| LoadError::Map { map: maps::BRIEFS, source: Box::new(error) })?;
        }
        Ok(())
    }

    /// Reads everything, as an earlier run left it.
    ///
    /// # Errors
    /// When a map can't be read.
    pub fn read(&self) -> Result<State, LoadError> {
        let mut state = State { epoch: read(maps::EPOCH, self.epoch.get(&0, 0))?, ..State::default() };
        for item in self.endpoints.iter() {
            let (link, endpoint) = read(maps::ENDPOINTS, item)?;
            state.endpoints.insert(link, endpoint_record(&endpoint));
        }
        for (slot, link) in (0_u16..).zip(self.slots.iter()) {
            let link = read(maps::SLOTS, link)?;
            if link != 0 {
                state.slots.insert(slot, link);
            }
        }
        for item in self.identities.iter() {
            let (key, identity) = read(maps::IDENTITIES, item)?;
            let bank = &mut state.banks[bank_index(key.bank)];
            bank.classes.insert(IpNet::from(key.address.to_ip()), Identity(identity));
        }
        for item in self.cidrs_v4.iter() {
            let (key, identity) = read(maps::CIDRS_V4, item)?;
            let CidrV4Key { bank, address } = key.data();
            insert_block(&mut state, bank, Ipv4Addr::from(address).into(), key.prefix_len(), identity);
        }
        for item in self.cidrs_v6.iter() {
            let (key, identity) = read(maps::CIDRS_V6, item)?;
            let CidrV6Key { bank, address } = key.data();
            insert_block(&mut state, bank, Ipv6Addr::from(address).into(), key.prefix_len(), identity);
        }
        for key in self.policies.keys() {
            let key = read(maps::POLICIES, key)?;
            let (set, entry) = policy_entry(key.prefix_len(), key.data());
            state.sets.entry(set).or_default().insert(entry);
        }
        for key in self.services.keys() {
            let key = read(maps::SERVICES, key)?;
            if let Some(protocol) =
                Protocol::ALL.into_iter().find(|protocol| protocol.number() == key.protocol)
            {
                let address = key.address.to_ip();
                state.services.insert(ServiceAddress { address, protocol, port: key.port });
            }
        }
        for key in self.node_addresses.keys() {
            state.node_addresses.insert(read(maps::NODE_ADDRESSES, key)?.to_ip());
        }
        Ok(state)
    }
}

impl Tables for Maps {
    fn add_entry(&mut self, set: SetId, entry: Entry) -> Result<(), TableError> {
        let prefix = entry.key(set.0);
        let key = Key::new(prefix.bits, prefix.data);
        written(maps::POLICIES, self.policies.insert(&key, PolicyValue::default(), 0))
    }

    fn remove_entry(&mut self, set: SetId, entry: Entry) -> Result<(), TableError> {
        let prefix = entry.key(set.0);
        removed(maps::POLICIES, self.policies.remove(&Key::new(prefix.bits, prefix.data)))
    }

    fn set_class(&mut self, bank: u32, net: IpNet, identity: Identity) -> Result<(), TableError> {
        match class_key(bank, net) {
            ClassKey::Exact(key) => written(maps::IDENTITIES, self.identities.insert(key, identity.0, 0)),
            ClassKey::V4(key) => written(maps::CIDRS_V4, self.cidrs_v4.insert(&key, identity.0, 0)),
            ClassKey::V6(key) => written(maps::CIDRS_V6, self.cidrs_v6.insert(&key, identity.0, 0)),
        }
    }

    fn remove_class(&mut self, bank: u32, net: IpNet) -> Result<(), TableError> {
        match class_key(bank, net) {
            ClassKey::Exact(key) => removed(maps::IDENTITIES, self.identities.remove(&key)),
            ClassKey::V4(key) => removed(maps::CIDRS_V4, self.cidrs_v4.remove(&key)),
            ClassKey::V6(key) => removed(maps::CIDRS_V6, self.cidrs_v6.remove(&key)),
        }
    }

    fn set_classes(&mut self, bank: u32, classes: &[(IpNet, Identity)]) -> (usize, Result<(), TableError>) {
        let mut done = 0;
        while let Some((net, identity)) = classes.get(done) {
            let (keys, values): (Vec<_>, Vec<_>) = classes[done..]
                .iter()
                .take(BATCH)
                .map_while(|(net, identity)| Some((exact_key(bank, *net)?, identity.0)))
                .unzip();
            let many = (keys.len() > 1).then(|| self.batches.update(&keys, &values)).flatten();
            let (count, result) = match many {
                Some((count, result)) => (
                    count,
                    result.map_err(|error| match error.raw_os_error() {
                        Some(code) if is_full(code) => TableError::Full(maps::IDENTITIES),
                        _ => TableError::Failed { table: maps::IDENTITIES, source: error },
                    }),
                ),
                None => match self.set_class(bank, *net, *identity) {
                    Ok(()) => (1, Ok(())),
                    Err(error) => (0, Err(error)),
                },
            };
            done += count;
            if result.is_err() {
                return (done, result);
            }
        }
        (done, Ok(()))
    }

    fn remove_classes(&mut self, bank: u32, nets: &[IpNet]) -> (usize, Result<(), TableError>) {
        let mut done = 0;
        while let Some(net) = nets.get(done) {
            let keys: Vec<_> =
                nets[done..].iter().take(BATCH).map_while(|net| exact_key(bank, *net)).collect();
            let many = (keys.len() > 1).then(|| self.batches.delete(&keys)).flatten();
            match many {
                // What could not be removed, because it is not there or for another reason, is up to the next call.
                Some((count, _)) if count > 0 => done += count,
                _ => match self.remove_class(bank, *net) {
                    Ok(()) => done += 1,
                    error => return (done, error),
                },
            }
        }
        (done, Ok(()))
    }

    fn set_endpoint(&mut self, link: u32, endpoint: &EndpointRecord) -> Result<(), TableError> {
        let endpoint = kernel_endpoint(endpoint);
        written(maps::ENDPOINTS, self.endpoints.insert(link, endpoint, 0))?;
        self.set_brief(Brief::place(link), Brief::of(link, &endpoint))
    }

    fn remove_endpoint(&mut self, link: u32) -> Result<(), TableError> {
        let place = Brief::place(link);
        let failed = |error| failed(maps::BRIEFS, error);
        if self.briefs.get(&place, 0).map_err(failed)?.link == link {
            self.set_brief(place, Brief::default())?;
        }
        removed(maps::ENDPOINTS, self.endpoints.remove(&link))
    }

    fn set_slot(&mut self, slot: u16, link: u32) -> Result<(), TableError> {
        written(maps::SLOTS, self.slots.set(u32::from(slot), link, 0))
    }

    fn set_service(&mut self, service: ServiceAddress, present: bool) -> Result<(), TableError> {
        let key = ServiceKey::new(service.address.into(), service.protocol.number(), service.port);
        if present {
            written(maps::SERVICES, self.services.insert(key, 1, 0))
        } else {
            removed(maps::SERVICES, self.services.remove(&key))
        }
    }

    fn set_node_address(&mut self, address: IpAddr, present: bool) -> Result<(), TableError> {
        let key = Address::from(address);
        if present {
            written(maps::NODE_ADDRESSES, self.node_addresses.insert(key, 1, 0))
        } else {
            removed(maps::NODE_ADDRESSES, self.node_addresses.remove(&key))
        }
    }

    fn set_epoch(&mut self, epoch: u32) -> Result<(), TableError> {
        written(maps::EPOCH, self.epoch.set(0, epoch, 0))?;
        self.grace.begin();
        Ok(())
    }

    fn wait_for_packets(&mut self) {
        self.grace.wait();
    }
}

/// Entries that one system call writes at most: it can't be interrupted.
const BATCH: usize = 4096;

enum ClassKey {
    Exact(IdentityKey),
    V4(Key<CidrV4Key>),
    V6(Key<CidrV6Key>),
}

/// Whole addresses go to the hash, which is asked first, blocks to the tries.
fn class_key(bank: u32, net: IpNet) -> ClassKey {
    if let Some(key) = exact_key(bank, net) {
        return ClassKey::Exact(key);
    }
    let bits = BANK_BITS + u32::from(net.prefix_len());
    match net.network() {
        IpAddr::V4(address) => ClassKey::V4(Key::new(bits, CidrV4Key { bank, address: address.octets() })),
        IpAddr::V6(address) => ClassKey::V6(Key::new(bits, CidrV6Key { bank, address: address.octets() })),
    }
}

/// The key of a whole address.
fn exact_key(bank: u32, net: IpNet) -> Option<IdentityKey> {
    (net.prefix_len() == net.max_prefix_len()).then(|| IdentityKey { bank, address: net.addr().into() })
}

fn bank_index(bank: u32) -> usize {
    netpol_enforcer_common::bank_of(bank) as usize
}

fn insert_block(state: &mut State, bank: u32, address: IpAddr, bits: u32, identity: u32) {
    let length = u8::try_from(bits.saturating_sub(BANK_BITS)).unwrap_or(u8::MAX);
    if let Ok(net) = IpNet::new(address, length) {
        state.banks[bank_index(bank)].classes.insert(net, Identity(identity));
    }
}

fn policy_entry(bits: u32, key: PolicyKey) -> (SetId, Entry) {
    let traffic = match bits {
        BITS_PEER => TrafficPrefix::All,
        BITS_PROTOCOL => TrafficPrefix::Protocol(key.protocol),
        bits => TrafficPrefix::Ports {
            protocol: key.protocol,
            port: u16::from_be_bytes(key.port),
            bits: u8::try_from(bits.saturating_sub(BITS_PROTOCOL)).unwrap_or(16),
        },
    };
    let entry = Entry { identity: Identity(u32::from_ne_bytes(key.identity)), traffic };
    (SetId(u32::from_ne_bytes(key.set)), entry)
}

fn kernel_endpoint(record: &EndpointRecord) -> Endpoint {
    let mut v4 = [0; MAX_V4];
    let mut v6 = [Address::NONE; MAX_V6];
    let (mut next_v4, mut next_v6) = (v4.iter_mut(), v6.iter_mut());
    for address in &record.addresses {
        // The programmer has seen to it that there is room.
        match address {
            IpAddr::V4(address) => {
                if let Some(place) = next_v4.next() {
                    *place = u32::from_ne_bytes(address.octets());
                }
            }
            IpAddr::V6(address) => {
                if let Some(place) = next_v6.next() {
                    *place = (*address).into();
                }
            }
        }
    }
    Endpoint {
        generation: record.generation,
        slot: record.slot,
        mac: record.mac.unwrap_or_default(),
        sets: record.gates.map(|gates| Sets { ingress: gates.ingress, egress: gates.egress }),
        v4,
        v6,
        flags: if record.audited { endpoint::AUDIT } else { 0 },
    }
}

fn endpoint_record(endpoint: &Endpoint) -> EndpointRecord {
    let v4 =
        endpoint.v4.iter().filter(|word| **word != 0).map(|word| Ipv4Addr::from(word.to_ne_bytes()).into());
    let v6 = endpoint.v6.iter().filter(|address| !address.is_none()).map(Address::to_ip);
    EndpointRecord {
        generation: endpoint.generation,
        slot: endpoint.slot,
        addresses: v4.chain(v6).collect::<BTreeSet<IpAddr>>(),
        mac: (endpoint.mac != [0; 6]).then_some(endpoint.mac),
        audited: endpoint.has(endpoint::AUDIT),
        gates: endpoint.sets.map(|sets| Gates { ingress: sets.ingress, egress: sets.egress }),
    }
}

fn read<V>(map: &'static str, result: Result<V, MapError>) -> Result<V, LoadError> {
    result.map_err(|error| LoadError::Map { map, source: Box::new(error) })
}

fn written(table: &'static str, result: Result<(), MapError>) -> Result<(), TableError> {
    result.map_err(|error| match os_error(&error) {
        Some(code) if is_full(code) => TableError::Full(table),
        _ => failed(table, error),
    })
}

fn is_full(code: i32) -> bool {
    matches!(code, libc::E2BIG | libc::ENOSPC | libc::ENOMEM)
}

/// Removing what is not there is fine.
fn removed(table: &'static str, result: Result<(), MapError>) -> Result<(), TableError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(error) if os_error(&error) == Some(libc::ENOENT) => Ok(()),
        Err(error) => Err(failed(table, error)),
        Ok(()) => Ok(()),
    }
}

fn os_error(error: &MapError) -> Option<i32> {
    match error {
        MapError::SyscallError(error) => error.io_error.raw_os_error(),
        _ => None,
    }
}

fn failed(table: &'static str, error: MapError) -> TableError {
    let source = match error {
        MapError::SyscallError(error) => error.io_error,
        error => std::io::Error::other(error),
    };
    TableError::Failed { table, source }
}
