//! Tracked flows that belong to no endpoint any more.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use aya::maps::{HashMap, MapData};
use netpol_enforcer_common::conntrack::{Flow, FlowKey, Link, LinkKey};
use netpol_enforcer_common::maps;

use super::load::{LoadError, typed};
use super::pins::Pins;

/// The tables of flows. The programs write them and expire what they look up; what nobody looks up is removed here.
pub struct Flows {
    conntrack: HashMap<MapData, FlowKey, Flow>,
    links: HashMap<MapData, LinkKey, Link>,
}

/// How many entries are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// Tracked flows.
    pub flows: usize,
    /// Notes on where flows to Services went.
    pub links: usize,
}

impl Flows {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one of them is missing or of another shape.
    pub fn open(pins: &Pins) -> Result<Self, LoadError> {
        Ok(Self { conntrack: typed(pins, maps::CONNTRACK)?, links: typed(pins, maps::LINKS)? })
    }

    /// The highest generation that any flow belongs to; 0 if there are none.
    #[must_use]
    pub fn newest_generation(&self) -> u32 {
        let flows = self.conntrack.keys().filter_map(Result::ok).map(|key| key.generation);
        let links = self.links.keys().filter_map(Result::ok).map(|key| key.generation);
        flows.chain(links).max().unwrap_or(0)
    }

    /// How many flows each generation has.
    #[must_use]
    pub fn by_generation(&self) -> BTreeMap<u32, usize> {
        let mut counts = BTreeMap::new();
        for key in self.conntrack.keys().filter_map(Result::ok) {
            *counts.entry(key.generation).or_default() += 1;
        }
        counts
    }

    /// Adds a flow, or replaces it.
    pub(super) fn insert(&mut self, key: &FlowKey, flow: &Flow) -> io::Result<()> {
        self.conntrack.insert(key, flow, 0).map_err(io::Error::other)
    }

    /// Adds where a deferred flow went, or replaces it.
    pub(super) fn insert_link(&mut self, key: &LinkKey, link: &Link) -> io::Result<()> {
        self.links.insert(key, link, 0).map_err(io::Error::other)
    }

    /// Removes the flows of all generations but those given. A generation never comes back, so no live flow is hit.
    ///
    /// # Errors
    /// When a map can't be read. The programs write all the while: entries may be missed until the next time.
    pub fn collect(&mut self, alive: &BTreeSet<u32>) -> Result<FlowCounts, LoadError> {
        let failed = |error| LoadError::Map { map: maps::CONNTRACK, source: Box::new(error) };
        let mut left = FlowCounts::default();
        let mut flows: Vec<FlowKey> = Vec::new();
        for key in self.conntrack.keys().filter_map(Result::ok) {
            if alive.contains(&key.generation) {
                left.flows += 1;
            } else {
                flows.push(key);
            }
        }
        let mut links: Vec<LinkKey> = Vec::new();
        for key in self.links.keys().filter_map(Result::ok) {
            if alive.contains(&key.generation) {
                left.links += 1;
            } else {
                links.push(key);
            }
        }
        for key in &flows {
            ignoring_absence(self.conntrack.remove(key)).map_err(failed)?;
        }
        for key in &links {
            ignoring_absence(self.links.remove(key)).map_err(failed)?;
        }
        Ok(left)
    }
}

/// The kernel may have evicted it meanwhile.
fn ignoring_absence(result: Result<(), aya::maps::MapError>) -> Result<(), aya::maps::MapError> {
    match result {
        Err(aya::maps::MapError::KeyNotFound) => Ok(()),
        Err(aya::maps::MapError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        result => result,
    }
}
