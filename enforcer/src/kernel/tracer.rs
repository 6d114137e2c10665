//! The programs as a question: loaded a second time, with the same maps, so that they answer and leave no trace.

use std::net::IpAddr;

use aya::maps::{Array, HashMap, MapData};
use aya::programs::{Program, ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfLoader};
use netpol_enforcer_common::config::Config;
use netpol_enforcer_common::endpoint::Endpoint;
use netpol_enforcer_common::{Address, maps, mark, programs, trace};

use super::load::{LoadError, typed};
use super::pins::Pins;
use crate::object::OBJECT;
use crate::test_run::{self, Outcome, Surroundings};

/// See [`netpol_enforcer_common::trace`].
pub struct Tracer {
    ebpf: Ebpf,
    config: Config,
    epoch: Array<MapData, u32>,
    endpoints: HashMap<MapData, u32, Endpoint>,
    node_addresses: HashMap<MapData, Address, u32>,
}

/// A pod's link as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface index.
    pub index: u32,
    /// What is programmed there.
    pub endpoint: Endpoint,
}

impl Tracer {
    /// Loads the programs beside those that are attached.
    ///
    /// # Errors
    /// When a map is missing, or the kernel refuses a program.
    pub fn load(pins: &Pins) -> Result<Self, LoadError> {
        let epoch = typed(pins, maps::EPOCH)?;
        let endpoints = typed(pins, maps::ENDPOINTS)?;
        let node_addresses = typed(pins, maps::NODE_ADDRESSES)?;
        let config: Array<MapData, Config> = typed(pins, maps::CONFIG)?;
        let failed = |error| LoadError::Map { map: maps::CONFIG, source: Box::new(error) };
        let config = config.get(&0, 0).map_err(failed)?;
        let mut loader = EbpfLoader::new();
        for map in maps::PINNED {
            loader.map_pin_path(map, pins.map(map));
        }
        let mut ebpf =
            loader.override_global(trace::VARIABLE, &1_u32, true).load(OBJECT).map_err(Box::new)?;
        for name in [programs::POD_INGRESS, programs::POD_EGRESS, programs::UPLINK_EGRESS] {
            program(&mut ebpf, name)?
                .load()
                .map_err(|source| LoadError::Program { program: name, source: Box::new(source) })?;
        }
        Ok(Self { ebpf, config, epoch, endpoints, node_addresses })
    }

    /// The epoch under which packets are judged now.
    ///
    /// # Errors
    /// When the map can't be read.
    pub fn epoch(&self) -> Result<u32, LoadError> {
        self.epoch.get(&0, 0).map_err(|error| LoadError::Map { map: maps::EPOCH, source: Box::new(error) })
    }

    /// The pod's link with an address.
    ///
    /// # Errors
    /// When the map can't be read.
    pub fn link(&self, address: IpAddr) -> Result<Option<Link>, LoadError> {
        let address = Address::from(address);
        for entry in self.endpoints.iter() {
            let (index, endpoint) =
                entry.map_err(|error| LoadError::Map { map: maps::ENDPOINTS, source: Box::new(error) })?;
            if endpoint.owns(&address) {
                return Ok(Some(Link { index, endpoint }));
            }
        }
        Ok(None)
    }

    /// Whether an address is this node's own.
    #[must_use]
    pub fn is_node(&self, address: IpAddr) -> bool {
        self.node_addresses.get(&Address::from(address), 0).is_ok()
    }

    /// Whether a packet is still to be decided where it comes out.
    #[must_use]
    pub fn deferred(&self, mark: u32) -> bool {
        mark::field(mark, self.config.mark_mask, self.config.mark_shift) & mark::DEFER != 0
    }

    /// The mark of a packet that a pod sent and that is decided already.
    #[must_use]
    pub fn forwarded(&self, slot: u16) -> u32 {
        let field = mark::FORWARDED | u32::from(slot) << mark::SLOT_SHIFT;
        mark::with_field(0, self.config.mark_mask, self.config.mark_shift, field)
    }

    /// What a program does with a packet.
    ///
    /// # Errors
    /// When the kernel refuses to run it.
    pub fn run(
        &mut self,
        name: &'static str,
        packet: &[u8],
        surroundings: Surroundings,
    ) -> Result<Outcome, LoadError> {
        let classifier = program(&mut self.ebpf, name)?;
        test_run::run(classifier, packet, surroundings, 1)
            .map_err(|source: ProgramError| LoadError::Run { program: name, source: Box::new(source) })
    }
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut SchedClassifier, LoadError> {
    match ebpf.program_mut(name) {
        Some(Program::SchedClassifier(program)) => Ok(program),
        _ => Err(LoadError::Missing(name)),
    }
}
