//! How full the maps are, and what the programs counted. Reads pinned maps; the agent need not run.

use aya::Pod;
use aya::maps::{HashMap, LpmTrie, MapData, MapInfo, PerCpuArray};
use netpol_enforcer_common::conntrack::{Flow, FlowKey};
use netpol_enforcer_common::endpoint::Endpoint;
use netpol_enforcer_common::identity::{CidrV4Key, CidrV6Key, IdentityKey};
use netpol_enforcer_common::policy::{PolicyKey, PolicyValue};
use netpol_enforcer_common::reason::{Counter, Reason};
use netpol_enforcer_common::service::ServiceKey;
use netpol_enforcer_common::{Address, Direction, maps};
use serde::{Deserialize, Serialize};

use super::load::{LoadError, typed};
use super::pins::Pins;

/// How full a map is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapUsage {
    /// Its name.
    pub map: String,
    /// Entries in use.
    pub used: usize,
    /// Entries that fit.
    pub size: u32,
}

/// What was counted under one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The reason's short name.
    pub reason: String,
    /// `ingress` or `egress`, as the pod sees it.
    pub direction: String,
    /// `passed`, `dropped`, or `audited` for what passed only because of audit mode.
    pub verdict: String,
    /// Packets, counted at each hook that decided.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How full the maps are whose size can be chosen.
///
/// # Errors
/// When a map is not there.
pub fn usage(pins: &Pins) -> Result<Vec<MapUsage>, LoadError> {
    Ok(vec![
        hash::<u32, Endpoint>(pins, maps::ENDPOINTS)?,
        hash::<IdentityKey, u32>(pins, maps::IDENTITIES)?,
        trie::<CidrV4Key, u32>(pins, maps::CIDRS_V4)?,
        trie::<CidrV6Key, u32>(pins, maps::CIDRS_V6)?,
        trie::<PolicyKey, PolicyValue>(pins, maps::POLICIES)?,
        hash::<ServiceKey, u32>(pins, maps::SERVICES)?,
        hash::<Address, u32>(pins, maps::NODE_ADDRESSES)?,
        hash::<FlowKey, Flow>(pins, maps::CONNTRACK)?,
    ])
}

// The kernel does not say how many entries a map has: its keys are counted.

fn hash<K: Pod, V: Pod>(pins: &Pins, name: &'static str) -> Result<MapUsage, LoadError> {
    let map: HashMap<MapData, K, V> = typed(pins, name)?;
    filled(pins, name, map.keys().filter(Result::is_ok).count())
}

fn trie<K: Pod, V: Pod>(pins: &Pins, name: &'static str) -> Result<MapUsage, LoadError> {
    let map: LpmTrie<MapData, K, V> = typed(pins, name)?;
    filled(pins, name, map.keys().filter(Result::is_ok).count())
}

fn filled(pins: &Pins, name: &'static str, used: usize) -> Result<MapUsage, LoadError> {
    let info = MapInfo::from_pin(pins.map(name))
        .map_err(|error| LoadError::Map { map: name, source: Box::new(error) })?;
    Ok(MapUsage { map: name.into(), used, size: info.max_entries() })
}

/// How many entries fit into each map.
///
/// # Errors
/// When a map is not there.
pub fn sizes(pins: &Pins) -> Result<Vec<(&'static str, u32)>, LoadError> {
    let names = [
        maps::ENDPOINTS,
        maps::SLOTS,
        maps::IDENTITIES,
        maps::CIDRS_V4,
        maps::CIDRS_V6,
        maps::POLICIES,
        maps::SERVICES,
        maps::NODE_ADDRESSES,
        maps::CONNTRACK,
        maps::LINKS,
    ];
    let size = |name| {
        let info = MapInfo::from_pin(pins.map(name));
        let info = info.map_err(|error| LoadError::Map { map: name, source: Box::new(error) })?;
        Ok((name, info.max_entries()))
    };
    names.into_iter().map(size).collect()
}

/// What the programs counted, reasons that never occurred left out.
///
/// # Errors
/// When the map is not there.
pub fn counters(pins: &Pins) -> Result<Vec<Counted>, LoadError> {
    Ok(all_counters(pins)?.into_iter().filter(|counted| counted.packets > 0).collect())
}

/// What the programs counted, all reasons.
///
/// # Errors
/// When the map is not there.
pub fn all_counters(pins: &Pins) -> Result<Vec<Counted>, LoadError> {
    let failed = |error| LoadError::Map { map: maps::COUNTERS, source: Box::new(error) };
    let map: PerCpuArray<MapData, Counter> = typed(pins, maps::COUNTERS)?;
    let mut counted = Vec::new();
    for reason in Reason::ALL {
        for direction in [Direction::Ingress, Direction::Egress] {
            let verdict = match reason {
                // These are told by the events that were lost.
                Reason::EventLost | Reason::EventLimited => continue,
                reason if reason.is_drop() => "dropped",
                _ => "passed",
            };
            let audited = reason.is_drop().then_some(("audited", reason.audited_counter(direction)));
            for (verdict, counter) in [(verdict, reason.counter(direction))].into_iter().chain(audited) {
                let per_cpu = map.get(&counter, 0).map_err(failed)?;
                counted.push(Counted {
                    reason: reason.code().into(),
                    direction: match direction {
                        Direction::Ingress => "ingress".into(),
                        Direction::Egress => "egress".into(),
                    },
                    verdict: verdict.into(),
                    packets: per_cpu.iter().map(|counter| counter.packets).sum(),
                    bytes: per_cpu.iter().map(|counter| counter.bytes).sum(),
                });
            }
        }
    }
    Ok(counted)
}
