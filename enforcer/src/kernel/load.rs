//! Loading the programs, and adopting the maps that an earlier run left.

use std::fs;
use std::io;
use std::path::Path;

use aya::maps::{Array, Map, MapData, MapError};
use aya::programs::{Program, ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfError, EbpfLoader};
use netpol_enforcer_common::config::{self, Config};
use netpol_enforcer_common::mark::MarkMask;
use netpol_enforcer_common::{maps, programs};
use thiserror::Error;

use super::pins::Pins;

/// How large the maps are, where that can be chosen. Maps that are already pinned keep their size.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct MapSizes {
    /// Pods of this node.
    #[arg(long = "max-endpoints", value_name = "N", default_value_t = maps::size::ENDPOINTS)]
    pub endpoints: u32,
    /// Addresses of pods that policies of this node name; twice as many as are in use at a time.
    #[arg(long = "max-identities", value_name = "N", default_value_t = maps::size::IDENTITIES)]
    pub identities: u32,
    /// Address blocks that policies of this node name, per family; twice as many as are in use at a time.
    #[arg(long = "max-cidrs", value_name = "N", default_value_t = maps::size::CIDRS_V4)]
    pub cidrs: u32,
    /// Entries of all policy sets of this node; twice as many as are in use at a time.
    #[arg(long = "max-policies", value_name = "N", default_value_t = maps::size::POLICIES)]
    pub policies: u32,
    /// Service addresses and ports.
    #[arg(long = "max-services", value_name = "N", default_value_t = maps::size::SERVICES)]
    pub services: u32,
    /// Tracked flows.
    #[arg(long = "max-flows", value_name = "N", default_value_t = maps::size::CONNTRACK)]
    pub flows: u32,
}

/// What the programs are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The bits of `skb->mark` that are the enforcer's.
    pub mark_mask: MarkMask,
    /// Whether endpoints that are no known pod are let through.
    pub unknown_allowed: bool,
    /// Whether allowed new flows are told, too.
    pub tell_allowed: bool,
    /// Whether packets of unknown endpoints that would be dropped pass and are told.
    pub audit_unknown: bool,
    /// How many events are told on each CPU about each endpoint in a second; 0: no limit.
    pub event_limit: u32,
    /// What pods must not send, because the node would unpack it.
    pub overlays: Overlays,
    /// Whether other programs are in force still: see [`super::Handover`].
    pub shadow: bool,
}

/// The encapsulations that the node unpacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlays {
    /// UDP ports; 0: unused.
    pub ports: [u16; config::MAX_OVERLAY_PORTS],
    /// IP in IP and GRE.
    pub ip: bool,
}

/// The programs, loaded, and the settings that they read.
pub struct Loaded {
    ebpf: Ebpf,
    config: Array<MapData, Config>,
}

/// Why programs or maps can't be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A program was refused.
    #[error(
        "the kernel's verifier refused the program {program}: {source}\n{log}\nThis is a bug of the enforcer, or a kernel \
         older than it supports (5.11); please report it with the kernel's version and the lines above"
    )]
    Verifier {
        /// Its name.
        program: &'static str,
        /// What the kernel said.
        source: io::Error,
        /// The end of the verifier's log.
        log: String,
    },
    /// A program could not be loaded for another reason.
    #[error("loading the program {program}: {source}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What went wrong.
        source: Box<ProgramError>,
    },
    /// A program could not be run as a question.
    #[error("running the program {program} on a packet: {source}")]
    Run {
        /// Its name.
        program: &'static str,
        /// What went wrong.
        source: Box<ProgramError>,
    },
    /// The object could not be loaded.
    #[error("loading the kernel programs: {0}{hint}", hint = hint(.0))]
    Object(#[from] Box<EbpfError>),
    /// The object lacks a program or map that this version needs.
    #[error("the kernel programs have no {0}: they were built from another version")]
    Missing(&'static str),
    /// A map could not be opened.
    #[error(
        "opening the map {map}: {source}; if another version left it, `netpol-enforcer cleanup` removes it, and nothing is \
         enforced until the agent runs again"
    )]
    Map {
        /// Its name.
        map: &'static str,
        /// What went wrong.
        source: Box<MapError>,
    },
}

/// Loads the programs with the maps that are pinned, or with new ones that it pins.
///
/// # Errors
/// When the kernel refuses a program or a map.
pub fn load(object: &[u8], pins: &Pins, sizes: &MapSizes, settings: Settings) -> Result<Loaded, LoadError> {
    let mut loader = EbpfLoader::new();
    for map in maps::PINNED {
        loader.map_pin_path(map, pins.map(map));
    }
    for (map, size) in sizes.by_map() {
        loader.map_max_entries(map, size);
    }
    let mut ebpf = loader.load(object).map_err(Box::new)?;
    for name in programs::ALL {
        let program: &mut SchedClassifier = classifier(&mut ebpf, name)?;
        program.load().map_err(|error| refused(name, error))?;
    }
    let config = typed(pins, maps::CONFIG)?;
    let mut loaded = Loaded { ebpf, config };
    loaded.configure(settings)?;
    Ok(loaded)
}

impl Loaded {
    /// Writes the settings.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn configure(&mut self, settings: Settings) -> Result<(), LoadError> {
        let mut value = Config::with_mask(settings.mark_mask);
        if settings.unknown_allowed {
            value.flags |= config::UNKNOWN_ALLOW;
        }
        if settings.audit_unknown {
            value.flags |= config::AUDIT_UNKNOWN;
        }
        value.event_limit = settings.event_limit;
        if settings.shadow {
            value.flags |= config::SHADOW;
        }
        if settings.tell_allowed {
            value.flags |= config::EVENTS_ALLOWED;
        }
        if settings.overlays.ip {
            value.flags |= config::OVERLAY_IP;
        }
        value.overlay_ports = settings.overlays.ports;
        self.config
            .set(0, value, 0)
            .map_err(|error| LoadError::Map { map: maps::CONFIG, source: Box::new(error) })
    }

    /// A program by its name.
    pub(super) fn program(&mut self, name: &'static str) -> Result<&mut SchedClassifier, LoadError> {
        classifier(&mut self.ebpf, name)
    }
}

impl MapSizes {
    fn by_map(&self) -> [(&'static str, u32); 7] {
        [
            (maps::ENDPOINTS, self.endpoints),
            (maps::IDENTITIES, self.identities),
            (maps::CIDRS_V4, self.cidrs),
            (maps::CIDRS_V6, self.cidrs),
            (maps::POLICIES, self.policies),
            (maps::SERVICES, self.services),
            (maps::CONNTRACK, self.flows),
        ]
    }
}

/// Whether the programs with these pins only shadow others.
///
/// # Errors
/// When the settings can't be read.
pub fn is_shadow(pins: &Pins) -> Result<bool, LoadError> {
    let config: Array<MapData, Config> = typed(pins, maps::CONFIG)?;
    let value =
        config.get(&0, 0).map_err(|error| LoadError::Map { map: maps::CONFIG, source: Box::new(error) })?;
    Ok(value.has(config::SHADOW))
}

/// Opens a pinned map. Not the loader's own handle: that one believes the sizes asked for, not those of a map that was
/// there before.
pub(super) fn typed<M: TryFrom<Map, Error = MapError>>(
    pins: &Pins,
    name: &'static str,
) -> Result<M, LoadError> {
    MapData::from_pin(pins.map(name))
        .and_then(Map::from_map_data)
        .and_then(M::try_from)
        .map_err(|error| LoadError::Map { map: name, source: Box::new(error) })
}

fn classifier<'e>(ebpf: &'e mut Ebpf, name: &'static str) -> Result<&'e mut SchedClassifier, LoadError> {
    match ebpf.program_mut(name) {
        Some(Program::SchedClassifier(program)) => Ok(program),
        _ => Err(LoadError::Missing(name)),
    }
}

fn refused(program: &'static str, error: ProgramError) -> LoadError {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            LoadError::Verifier { program, source: io_error, log: tail }
        }
        error => LoadError::Program { program, source: Box::new(error) },
    }
}

/// How much of the verifier's log is worth showing: its last lines say what was wrong.
const LOG_LINES: usize = 25;

fn hint(error: &EbpfError) -> String {
    let io = match error {
        EbpfError::MapError(MapError::CreateError { io_error, .. }) => Some(io_error),
        _ => None,
    };
    if io.is_some_and(|error| error.raw_os_error() == Some(libc::EPERM)) {
        return "; run as root or with the capabilities BPF, NET_ADMIN and PERFMON".into();
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() && fs::exists("/sys/kernel").unwrap_or(false) {
        return "; this kernel has no BTF (CONFIG_DEBUG_INFO_BTF), which may be the cause".into();
    }
    String::new()
}
