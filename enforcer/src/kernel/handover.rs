//! Taking over from an agent whose maps have another layout, in either direction: an upgrade or a downgrade.
//!
//! Its programs go on enforcing with its maps until ours can do the same:
//!
//! 1. our maps get everything that the policies say, and the endpoints keep the slots and generations that they have;
//! 2. our programs are attached behind the others. They *shadow* them: they track flows, but drop nothing and mark nothing;
//! 3. every flow that the others track is copied. What is opened meanwhile, ours have seen themselves;
//! 4. one write ends the shadow: now both enforce;
//! 5. the others' hooks are removed, and then their maps.
//!
//! So there is no moment in which nothing enforces, and none in which a flow is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use netpol_enforcer_common::conntrack::{Flow, FlowKey, Link, LinkKey, RESERVED};
use netpol_enforcer_common::{Address, maps};

use super::flows::Flows;
use super::hook::Hook;
use super::layout::{Layout, Record, forget_layouts};
use super::pins::{LAYOUT, Pins, PinsError};
use super::raw::RawMap;
use crate::tables::{EndpointRecord, Gates, State};

/// What an agent of another layout left, and still enforces.
#[derive(Debug)]
pub struct Handover {
    /// All other layouts; the one in force first.
    others: Vec<Pins>,
    /// How to read the one in force; `None` if nobody wrote that down.
    layout: Option<Layout>,
    state_dir: PathBuf,
}

impl Handover {
    /// Looks for hooks of other layouts. Maps of our own layout that are out of use are removed: they are from before.
    ///
    /// # Errors
    /// When pinned files can't be listed or removed.
    pub fn find(pins: &Pins, state_dir: &Path) -> Result<Option<Self>, PinsError> {
        let mut others = Vec::new();
        for other in pins.others()? {
            let hooks = other.hooks()?.len();
            if hooks == 0 {
                // Left by a take-over that did not get to its end, or never in use.
                other.remove_all()?;
            } else {
                others.push((hooks, other));
            }
        }
        if others.is_empty() {
            return Ok(None);
        }
        others.sort_by_key(|(hooks, _)| std::cmp::Reverse(*hooks));
        if pins.hooks()?.is_empty() {
            pins.empty()?;
        }
        let others: Vec<Pins> = others.into_iter().map(|(_, other)| other).collect();
        let layout = others.first().and_then(Pins::version);
        let layout = layout.and_then(|version| Layout::read(state_dir, version).ok());
        Ok(Some(Self { others, layout, state_dir: state_dir.to_owned() }))
    }

    /// Whether flows and endpoints can be carried over.
    #[must_use]
    pub fn can_read(&self) -> bool {
        self.layout.is_some()
    }

    /// The hooks that the others have.
    ///
    /// # Errors
    /// When they can't be listed.
    pub fn hooks(&self) -> Result<BTreeSet<Hook>, PinsError> {
        let mut hooks = BTreeSet::new();
        for other in &self.others {
            hooks.extend(other.hooks()?);
        }
        Ok(hooks)
    }

    /// What our tables start from: the epoch, and endpoints with their slots and generations, closed. Nothing if the layout is not known.
    ///
    /// # Errors
    /// When a map is not as it is described.
    pub fn state(&self) -> io::Result<State> {
        let mut state = State::default();
        self.each(maps::EPOCH, |_, value| {
            state.epoch = value.number("epoch").unwrap_or_default();
            Some(())
        })?;
        self.each(maps::ENDPOINTS, |key, value| {
            state.endpoints.insert(key.number("link")?, endpoint(value)?);
            Some(())
        })?;
        self.each(maps::SLOTS, |key, value| {
            let (slot, link): (u16, u32) = (key.number("index")?, value.number("link")?);
            if state.endpoints.get(&link).is_some_and(|endpoint| endpoint.slot == slot) {
                state.slots.insert(slot, link);
            }
            Some(())
        })?;
        // A slot that does not lead back to its endpoint is nobody's.
        let slots: &BTreeMap<u16, u32> = &state.slots;
        state.endpoints.retain(|link, endpoint| slots.get(&endpoint.slot) == Some(link));
        Ok(state)
    }

    /// The highest generation that a flow of theirs belongs to.
    ///
    /// # Errors
    /// As [`Self::state`].
    pub fn newest_generation(&self) -> io::Result<u32> {
        let mut newest = 0;
        self.each(maps::CONNTRACK, |key, _| {
            newest = newest.max(key.number("generation")?);
            Some(())
        })?;
        Ok(newest)
    }

    /// Copies their flows. Returns how many.
    ///
    /// # Errors
    /// When a map can't be read or written.
    pub fn copy_flows(&self, flows: &mut Flows) -> io::Result<usize> {
        let mut copied = 0;
        let mut failed = None;
        self.each(maps::CONNTRACK, |key, value| {
            match flows.insert(&flow_key(key)?, &flow(value)?) {
                Ok(()) => copied += 1,
                Err(error) => failed = Some(error),
            }
            Some(())
        })?;
        self.each(maps::LINKS, |key, value| {
            let key = LinkKey { generation: key.number("generation")?, hash: key.number("hash")? };
            let link = Link {
                address: address(value.bytes("address")?),
                port: value.number("port")?,
                protocol: value.number("protocol")?,
                reserved: 0,
            };
            if let Err(error) = flows.insert_link(&key, &link) {
                failed = Some(error);
            }
            Some(())
        })?;
        failed.map_or(Ok(copied), Err)
    }

    /// Removes the others' hooks and maps. Returns how many.
    ///
    /// # Errors
    /// When a file can't be removed.
    pub fn complete(&self) -> Result<(usize, usize), PinsError> {
        let mut removed = (0, 0);
        for other in &self.others {
            let (links, maps) = other.remove_all()?;
            removed = (removed.0 + links, removed.1 + maps);
        }
        // Not worth failing for.
        let _ = forget_layouts(&self.state_dir, Some(LAYOUT));
        Ok(removed)
    }

    /// Passes the entries of one of their maps to `take`, which may pass over what makes no sense to it.
    fn each(&self, name: &str, mut take: impl FnMut(Record<'_>, Record<'_>) -> Option<()>) -> io::Result<()> {
        let (Some(layout), Some(pins)) = (&self.layout, self.others.first()) else { return Ok(()) };
        let described = || io::Error::other(format!("the description of {name} is missing"));
        let layout = layout.map(name).ok_or_else(described)?;
        let map = RawMap::open(&pins.map(name), layout.key_size, layout.value_size)?;
        map.each(|key, value| {
            let _ = take(layout.key(key), layout.value(value));
        })
    }
}

impl Pins {
    /// The pins of other layouts in the same place.
    ///
    /// # Errors
    /// When the directory can't be listed.
    pub fn others(&self) -> Result<Vec<Self>, PinsError> {
        let Some(parent) = self.root().parent() else { return Ok(Vec::new()) };
        let failed = |source| PinsError::Io { doing: "listing", path: parent.to_owned(), source };
        let entries = match fs::read_dir(parent) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut others = Vec::new();
        for entry in entries {
            let pins = Self::in_directory(entry.map_err(failed)?.path());
            if pins.version().is_some_and(|version| version != LAYOUT) {
                others.push(pins);
            }
        }
        Ok(others)
    }
}

fn endpoint(value: Record<'_>) -> Option<EndpointRecord> {
    let mut addresses = BTreeSet::new();
    for bytes in value.all("v4")? {
        let octets: [u8; 4] = bytes.try_into().ok()?;
        if octets != [0; 4] {
            addresses.insert(IpAddr::V4(Ipv4Addr::from(octets)));
        }
    }
    for bytes in value.all("v6")? {
        let octets: [u8; 16] = bytes.try_into().ok()?;
        if octets != [0; 16] {
            addresses.insert(IpAddr::V6(Ipv6Addr::from(octets)));
        }
    }
    let mac = value.bytes::<6>("mac")?;
    Some(EndpointRecord {
        generation: value.number("generation")?,
        slot: value.number("slot").filter(|slot| *slot != 0)?,
        addresses,
        mac: (mac != [0; 6]).then_some(mac),
        gates: [Gates::CLOSED; 2],
        audited: false,
    })
}

fn flow_key(key: Record<'_>) -> Option<FlowKey> {
    Some(FlowKey {
        generation: key.number("generation")?,
        local: address(key.bytes("local")?),
        remote: address(key.bytes("remote")?),
        local_port: key.number("local_port")?,
        remote_port: key.number("remote_port")?,
        protocol: key.number("protocol")?,
        reserved: [0; RESERVED],
    })
}

fn flow(value: Record<'_>) -> Option<Flow> {
    Some(Flow {
        approved: value.numbers("approved")?,
        last_seen: value.number("last_seen")?,
        hash: value.number("hash")?,
        flags: value.number("flags")?,
        // Nobody says whether the other layout knows of it: its packets are looked at in full until the next change.
        own: 0,
        jiffy: 0,
    })
}

fn address(octets: [u8; 16]) -> Address {
    Address::from_v6(octets)
}
