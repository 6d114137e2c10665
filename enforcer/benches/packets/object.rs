//! The objects under measurement.

use std::{env, fs, path::Path};

use anyhow::{Context, Result, anyhow};
use aya::{Ebpf, maps::Map, programs::SchedClassifier};

static YARDSTICKS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/yardsticks.o"));

/// The programs.
pub(crate) fn programs() -> Result<Vec<u8>> {
    other("netpol-ebpf").unwrap_or_else(|| Ok(netpol_enforcer::object::OBJECT.to_vec()))
}

/// The yardsticks.
pub(crate) fn yardsticks() -> Result<Vec<u8>> {
    let object = other("yardsticks").unwrap_or_else(|| Ok(YARDSTICKS.to_vec()))?;
    anyhow::ensure!(!object.is_empty(), "the yardsticks were not built: unset NETPOL_EBPF_OBJECT");
    Ok(object)
}

fn other(name: &str) -> Option<Result<Vec<u8>>> {
    let folder = env::var_os("NETPOL_BENCH_OBJECTS")?;
    let path = Path::new(&folder).join(name);
    Some(fs::read(&path).with_context(|| format!("reading {}", path.display())))
}

pub(crate) fn map<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Map> {
    ebpf.map_mut(name).ok_or_else(|| anyhow!("the eBPF object has no map {name}"))
}

pub(crate) fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut SchedClassifier> {
    let program = ebpf.program_mut(name).ok_or_else(|| anyhow!("the eBPF object has no program {name}"))?;
    Ok(program.try_into()?)
}
