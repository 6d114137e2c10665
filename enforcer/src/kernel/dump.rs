//! Every map, decoded.

use std::net::Ipv4Addr;

use aya::Pod;
use aya::maps::{Array, HashMap, LpmTrie, MapData, MapError};
use netpol_enforcer_common::config::{self, Config};
use netpol_enforcer_common::conntrack::{self, Flow, FlowKey, Link, LinkKey, tick};
use netpol_enforcer_common::endpoint::{AUDIT, Brief, Endpoint, SET_CLOSED, SET_NONE};
use netpol_enforcer_common::fragment::{Fragment, FragmentKey};
use netpol_enforcer_common::identity::{BANK_BITS, CidrV4Key, CidrV6Key, IdentityKey};
use netpol_enforcer_common::policy::{BITS_PEER, BITS_PROTOCOL, PolicyKey, PolicyValue};
use netpol_enforcer_common::reason::Reason;
use netpol_enforcer_common::service::ServiceKey;
use netpol_enforcer_common::{Address, bank_of, maps};
use netpol_policy::model::Protocol;
use serde_json::{Value, json};

use super::denied::DeniedCounts;
use super::load::{LoadError, typed};
use super::pins::Pins;
use super::usage::counters;

/// A row: what each column holds, in the order in which it is shown.
pub type Row = Vec<(&'static str, Value)>;

/// A map that can be dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Dumped {
    /// The settings of the programs.
    Config,
    /// The epoch and the bank that it selects.
    Epoch,
    /// Pods' links.
    Endpoints,
    /// What the packets of approved flows need of endpoints.
    Briefs,
    /// Links by their number in marks.
    Slots,
    /// Classes of single addresses.
    Identities,
    /// Classes of IPv4 blocks.
    CidrsV4,
    /// Classes of IPv6 blocks.
    CidrsV6,
    /// What each policy set allows.
    Policies,
    /// Addresses that are translated.
    Services,
    /// The node's own addresses.
    NodeAddresses,
    /// Tracked flows.
    Flows,
    /// Where flows to Services went.
    Links,
    /// Ports of fragmented packets.
    Fragments,
    /// Packets by verdict and reason.
    Counters,
    /// Denied packets by endpoint.
    Denied,
}

/// Reads a map. Maps change while they are read: an entry may be missed or seen twice.
///
/// # Errors
/// When it is not there or can't be read.
pub fn dump(pins: &Pins, map: Dumped) -> Result<Vec<Row>, LoadError> {
    let mut rows = match map {
        Dumped::Config => config_rows(pins)?,
        Dumped::Epoch => {
            let epoch: u32 = element(pins, maps::EPOCH, 0)?;
            vec![vec![("epoch", json!(epoch)), ("bank", json!(bank_of(epoch)))]]
        }
        Dumped::Endpoints => hash(pins, maps::ENDPOINTS, endpoint)?,
        Dumped::Briefs => briefs(pins)?,
        Dumped::Slots => slots(pins)?,
        Dumped::Identities => hash(pins, maps::IDENTITIES, |key: IdentityKey, identity: u32| {
            vec![
                ("bank", json!(key.bank)),
                ("address", json!(key.address.to_ip())),
                ("identity", json!(identity)),
            ]
        })?,
        Dumped::CidrsV4 => trie(pins, maps::CIDRS_V4, |bits, key: CidrV4Key, identity: u32| {
            let block = format!("{}/{}", Ipv4Addr::from(key.address), bits.saturating_sub(BANK_BITS));
            vec![("bank", json!(key.bank)), ("block", json!(block)), ("identity", json!(identity))]
        })?,
        Dumped::CidrsV6 => trie(pins, maps::CIDRS_V6, |bits, key: CidrV6Key, identity: u32| {
            let address = Address::from_v6(key.address).to_ip();
            let block = format!("{address}/{}", bits.saturating_sub(BANK_BITS));
            vec![("bank", json!(key.bank)), ("block", json!(block)), ("identity", json!(identity))]
        })?,
        Dumped::Policies => trie(pins, maps::POLICIES, |bits, key, _: PolicyValue| policy(bits, key))?,
        Dumped::Services => hash(pins, maps::SERVICES, |key: ServiceKey, _: u32| {
            vec![
                ("address", json!(key.address.to_ip())),
                ("protocol", protocol(key.protocol)),
                ("port", json!(key.port)),
            ]
        })?,
        Dumped::NodeAddresses => {
            hash(pins, maps::NODE_ADDRESSES, |key: Address, _: u32| vec![("address", json!(key.to_ip()))])?
        }
        Dumped::Flows => hash(pins, maps::CONNTRACK, flow)?,
        Dumped::Links => hash(pins, maps::LINKS, |key: LinkKey, link: Link| {
            vec![
                ("generation", json!(key.generation)),
                ("hash", json!(key.hash)),
                ("address", json!(link.address.to_ip())),
                ("protocol", protocol(link.protocol)),
                ("port", json!(link.port)),
            ]
        })?,
        Dumped::Fragments => hash(pins, maps::FRAGMENTS, fragment)?,
        Dumped::Counters => counters(pins)?
            .into_iter()
            .map(|counted| {
                vec![
                    ("verdict", json!(counted.verdict)),
                    ("direction", json!(counted.direction)),
                    ("reason", json!(counted.reason)),
                    ("packets", json!(counted.packets)),
                    ("bytes", json!(counted.bytes)),
                ]
            })
            .collect(),
        Dumped::Denied => denied(pins)?,
    };
    let key = |row: &Row| row.iter().map(|(_, value)| sort_key(value)).collect::<Vec<_>>();
    rows.sort_by_cached_key(key);
    Ok(rows)
}

/// Numbers by size, all else by its text.
fn sort_key(value: &Value) -> (u64, String) {
    value.as_u64().map_or_else(|| (0, value.to_string()), |number| (number, String::new()))
}

fn config_rows(pins: &Pins) -> Result<Vec<Row>, LoadError> {
    let config: Config = element(pins, maps::CONFIG, 0)?;
    let flag = |flag| json!(config.has(flag));
    let rows = [
        ("mark mask", json!(format!("{:#010x}", config.mark_mask))),
        ("unknown endpoints pass", flag(config::UNKNOWN_ALLOW)),
        ("unknown endpoints are audited", flag(config::AUDIT_UNKNOWN)),
        ("allowed flows are told", flag(config::EVENTS_ALLOWED)),
        ("drops are told", json!(!config.has(config::NO_DROP_EVENTS))),
        ("events per endpoint, CPU and second", json!(config.event_limit)),
        ("TCP opening, seconds", json!(config.tcp_syn)),
        ("TCP established, seconds", json!(config.tcp_established)),
        ("TCP closing, seconds", json!(config.tcp_fin)),
        ("UDP, seconds", json!(config.udp)),
        ("ICMP, seconds", json!(config.icmp)),
        ("other protocols, seconds", json!(config.other)),
    ];
    Ok(rows.into_iter().map(|(name, value)| vec![("setting", json!(name)), ("value", value)]).collect())
}

fn endpoint(link: u32, endpoint: Endpoint) -> Row {
    let set = |id: u32| match id {
        SET_NONE => json!("open"),
        SET_CLOSED => json!("closed"),
        id => json!(id),
    };
    let v4 = endpoint
        .v4
        .iter()
        .filter(|word| **word != 0)
        .map(|word| Ipv4Addr::from(word.to_ne_bytes()).to_string());
    let v6 = endpoint.v6.iter().filter(|address| !address.is_none()).map(ToString::to_string);
    vec![
        ("link", json!(link)),
        ("generation", json!(endpoint.generation)),
        ("slot", json!(endpoint.slot)),
        ("mac", mac(endpoint.mac)),
        ("ingress_bank0", set(endpoint.sets[0].ingress)),
        ("egress_bank0", set(endpoint.sets[0].egress)),
        ("ingress_bank1", set(endpoint.sets[1].ingress)),
        ("egress_bank1", set(endpoint.sets[1].egress)),
        ("audited", json!(endpoint.has(AUDIT))),
        ("addresses", json!(v4.chain(v6).collect::<Vec<_>>())),
    ]
}

fn briefs(pins: &Pins) -> Result<Vec<Row>, LoadError> {
    let briefs: Array<MapData, Brief> = typed(pins, maps::BRIEFS)?;
    let mut rows = Vec::new();
    for brief in briefs.iter() {
        let brief = brief.map_err(|error| failed(maps::BRIEFS, error))?;
        if brief.link != 0 {
            rows.push(vec![
                ("link", json!(brief.link)),
                ("generation", json!(brief.generation)),
                ("slot", json!(brief.slot)),
                ("mac", mac(brief.mac)),
            ]);
        }
    }
    Ok(rows)
}

fn mac(octets: [u8; 6]) -> Value {
    json!(octets.map(|octet| format!("{octet:02x}")).join(":"))
}

fn slots(pins: &Pins) -> Result<Vec<Row>, LoadError> {
    let slots: Array<MapData, u32> = typed(pins, maps::SLOTS)?;
    let mut rows = Vec::new();
    for (slot, link) in (0_u32..).zip(slots.iter()) {
        let link = link.map_err(|error| failed(maps::SLOTS, error))?;
        if link != 0 {
            rows.push(vec![("slot", json!(slot)), ("link", json!(link))]);
        }
    }
    Ok(rows)
}

fn policy(bits: u32, key: PolicyKey) -> Row {
    let identity = u32::from_ne_bytes(key.identity);
    let ports = match bits {
        ..=BITS_PROTOCOL => json!("all"),
        bits => {
            let first = u16::from_be_bytes(key.port);
            let free = 16_u32.saturating_sub(bits - BITS_PROTOCOL);
            let last = u32::from(first) + (1_u32 << free) - 1;
            if free == 0 { json!(first) } else { json!(format!("{first}-{last}")) }
        }
    };
    vec![
        ("set", json!(u32::from_ne_bytes(key.set))),
        ("identity", if identity == 0 { json!("any") } else { json!(identity) }),
        ("protocol", if bits <= BITS_PEER { json!("all") } else { protocol(key.protocol) }),
        ("ports", ports),
    ]
}

fn flow(key: FlowKey, flow: Flow) -> Row {
    let flags = [
        (conntrack::DEFERRED, "deferred"),
        (conntrack::SEEN_REPLY, "seen-reply"),
        (conntrack::CLOSING, "closing"),
        (conntrack::ANSWERABLE, "answerable"),
        (conntrack::FIN_SENT, "fin-sent"),
        (conntrack::FIN_RECEIVED, "fin-received"),
    ];
    let flags: Vec<&str> =
        flags.iter().filter(|(flag, _)| flow.flags & flag != 0).map(|(_, name)| *name).collect();
    vec![
        ("generation", json!(key.generation)),
        ("protocol", protocol(key.protocol)),
        ("local", json!(key.local.to_ip())),
        ("local_port", json!(key.local_port)),
        ("remote", json!(key.remote.to_ip())),
        ("remote_port", json!(key.remote_port)),
        ("ingress_epoch", json!(flow.approved[0])),
        ("egress_epoch", json!(flow.approved[1])),
        ("idle_seconds", json!(age(flow.last_seen))),
        ("flags", json!(flags)),
        ("own", json!(flow.own != 0)),
    ]
}

fn fragment(key: FragmentKey, fragment: Fragment) -> Row {
    vec![
        ("generation", json!(key.generation)),
        ("direction", direction(key.direction)),
        ("id", json!(key.id)),
        ("protocol", protocol(key.protocol)),
        ("source", json!(key.source.to_ip())),
        ("source_port", json!(fragment.source_port)),
        ("destination", json!(key.destination.to_ip())),
        ("destination_port", json!(fragment.destination_port)),
        ("age_seconds", json!(age(fragment.seen))),
    ]
}

fn denied(pins: &Pins) -> Result<Vec<Row>, LoadError> {
    let row = |(key, counter): (
        netpol_enforcer_common::denied::DeniedKey,
        netpol_enforcer_common::reason::Counter,
    )| {
        let reason = Reason::from_number(key.reason).map_or("?", Reason::code);
        vec![
            ("generation", json!(key.generation)),
            ("direction", direction(key.direction)),
            ("reason", json!(reason)),
            ("audited", json!(key.audited != 0)),
            ("packets", json!(counter.packets)),
            ("bytes", json!(counter.bytes)),
        ]
    };
    Ok(DeniedCounts::open(pins)?.read().into_iter().map(row).collect())
}

/// Seconds since a tick of the programs' clock, to about a second.
fn age(stamp: u32) -> u32 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux, and `now` has room for the struct that the kernel writes.
    #[allow(unsafe_code)]
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
    }
    let nanoseconds =
        u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0);
    let ticks = tick(nanoseconds).wrapping_sub(stamp);
    // Another CPU may have stamped it a moment ahead.
    if ticks > u32::MAX / 2 { 0 } else { ticks }
}

fn direction(number: u8) -> Value {
    json!(if number == 0 { "ingress" } else { "egress" })
}

fn protocol(number: u8) -> Value {
    match Protocol::ALL.into_iter().find(|protocol| protocol.number() == number) {
        Some(protocol) => json!(protocol.as_str()),
        None if number == 1 => json!("ICMP"),
        None if number == 58 => json!("ICMPv6"),
        None => json!(number),
    }
}

fn element<V: Pod>(pins: &Pins, name: &'static str, index: u32) -> Result<V, LoadError> {
    let array: Array<MapData, V> = typed(pins, name)?;
    array.get(&index, 0).map_err(|error| failed(name, error))
}

fn hash<K: Pod, V: Pod>(
    pins: &Pins,
    name: &'static str,
    row: impl Fn(K, V) -> Row,
) -> Result<Vec<Row>, LoadError> {
    let map: HashMap<MapData, K, V> = typed(pins, name)?;
    collect(name, map.iter(), |(key, value)| row(key, value))
}

fn trie<K: Pod, V: Pod>(
    pins: &Pins,
    name: &'static str,
    row: impl Fn(u32, K, V) -> Row,
) -> Result<Vec<Row>, LoadError> {
    let map: LpmTrie<MapData, K, V> = typed(pins, name)?;
    collect(name, map.iter(), |(key, value)| row(key.prefix_len(), key.data(), value))
}

fn collect<T>(
    name: &'static str,
    entries: impl Iterator<Item = Result<T, MapError>>,
    row: impl Fn(T) -> Row,
) -> Result<Vec<Row>, LoadError> {
    let mut rows = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => rows.push(row(entry)),
            // It went between being listed and being read.
            Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(failed(name, error)),
        }
    }
    Ok(rows)
}

fn failed(map: &'static str, source: MapError) -> LoadError {
    LoadError::Map { map, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netpol_enforcer_common::policy::{PolicyPrefix, port_prefixes};

    #[test]
    fn policies_are_readable() {
        let shown = |prefix: PolicyPrefix| {
            policy(prefix.bits, prefix.data)
                .iter()
                .map(|(_, value)| value.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(shown(PolicyPrefix::any_protocol(7, 0)), "7 \"any\" \"all\" \"all\"");
        assert_eq!(shown(PolicyPrefix::any_port(7, 3, 17)), "7 3 \"UDP\" \"all\"");
        let ports: Vec<String> =
            port_prefixes(80, 83).map(|ports| shown(PolicyPrefix::ports(7, 3, 6, ports))).collect();
        assert_eq!(ports, ["7 3 \"TCP\" \"80-83\""]);
        let ports: Vec<String> =
            port_prefixes(443, 443).map(|ports| shown(PolicyPrefix::ports(7, 3, 132, ports))).collect();
        assert_eq!(ports, ["7 3 \"SCTP\" 443"]);
    }
}
