//! What was denied to each endpoint.

use aya::maps::{MapData, PerCpuHashMap};
use netpol_enforcer_common::denied::DeniedKey;
use netpol_enforcer_common::maps;
use netpol_enforcer_common::reason::Counter;

use super::load::{LoadError, typed};
use super::pins::Pins;

/// The kernel's counts by endpoint, direction and reason.
pub struct DeniedCounts {
    map: PerCpuHashMap<MapData, DeniedKey, Counter>,
}

impl DeniedCounts {
    /// Opens the pinned map.
    ///
    /// # Errors
    /// When it is missing or of another shape.
    pub fn open(pins: &Pins) -> Result<Self, LoadError> {
        Ok(Self { map: typed(pins, maps::DENIED)? })
    }

    /// All of them, each summed over the CPUs. Entries that come or go meanwhile may be missed until the next time.
    #[must_use]
    pub fn read(&self) -> Vec<(DeniedKey, Counter)> {
        let keys: Vec<DeniedKey> = self.map.keys().filter_map(Result::ok).collect();
        let sum = |key: DeniedKey| {
            let per_cpu = self.map.get(&key, 0).ok()?;
            let packets = per_cpu.iter().map(|counter| counter.packets).sum();
            let bytes = per_cpu.iter().map(|counter| counter.bytes).sum();
            Some((key, Counter { packets, bytes }))
        };
        keys.into_iter().filter_map(sum).collect()
    }

    /// Removes a count that is not needed any more.
    pub fn remove(&mut self, key: DeniedKey) {
        // It may be gone.
        let _ = self.map.remove(&key);
    }
}
