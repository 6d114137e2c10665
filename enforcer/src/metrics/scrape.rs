//! What is read from the kernel when somebody asks.

use netpol_enforcer_common::denied::DeniedKey;

use super::denied::{Denied, Isolations};
use crate::kernel::{Counted, DeniedCounts, LoadError, LostEvents, Pins, all_counters, sizes};
use crate::monitor::LostCounts;

/// The kernel's side of the metrics.
pub struct Scraper {
    pins: Pins,
    sizes: Vec<(&'static str, u32)>,
    counts: DeniedCounts,
    lost: LostEvents,
    denied: Denied,
}

/// What one look found.
pub(super) struct Scrape<'s> {
    pub(super) counters: Vec<Counted>,
    pub(super) sizes: &'s [(&'static str, u32)],
    pub(super) denied: &'s Denied,
    pub(super) lost: LostCounts,
    pub(super) published: [(&'static str, u64); 3],
}

impl Scraper {
    /// Opens the pinned maps.
    ///
    /// # Errors
    /// When one is missing.
    pub fn open(pins: &Pins) -> Result<Self, LoadError> {
        Ok(Self {
            sizes: sizes(pins)?,
            counts: DeniedCounts::open(pins)?,
            lost: LostEvents::open(pins)?,
            denied: Denied::default(),
            pins: pins.clone(),
        })
    }

    /// Books what was denied on the policies that isolate now. To be called every few seconds, whether or not anybody asks: a policy may
    /// go before somebody does.
    pub fn account(&mut self, isolations: &Isolations) {
        let counted: Vec<(DeniedKey, u64)> =
            self.counts.read().into_iter().map(|(key, counter)| (key, counter.packets)).collect();
        for key in self.denied.account(counted, isolations) {
            self.counts.remove(key);
        }
    }

    pub(super) fn scrape(&mut self, isolations: &Isolations) -> Result<Scrape<'_>, LoadError> {
        self.account(isolations);
        Ok(Scrape {
            counters: all_counters(&self.pins)?,
            sizes: &self.sizes,
            denied: &self.denied,
            lost: self.lost.read(),
            published: super::published(),
        })
    }
}
