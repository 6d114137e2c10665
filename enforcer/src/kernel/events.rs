//! The programs' events, as they come.

use std::io;
use std::os::fd::AsRawFd;

use aya::maps::{MapData, PerCpuArray, RingBuf};
use netpol_enforcer_common::event::Event;
use netpol_enforcer_common::reason::{Counter, Reason};
use netpol_enforcer_common::{Direction, maps};

use super::load::{LoadError, typed};
use super::pins::Pins;
use crate::monitor::LostCounts;

/// The stream of events. Records are consumed, so there must be one reader at a time: the agent.
pub struct Events {
    ring: RingBuf<MapData>,
}

/// How many events the programs did not tell.
pub struct LostEvents {
    counters: PerCpuArray<MapData, Counter>,
}

impl LostEvents {
    /// Opens the pinned counters.
    ///
    /// # Errors
    /// When they are missing or of another shape.
    pub fn open(pins: &Pins) -> Result<Self, LoadError> {
        Ok(Self { counters: typed(pins, maps::COUNTERS)? })
    }

    /// All since the maps were made.
    #[must_use]
    pub fn read(&self) -> LostCounts {
        let count = |reason: Reason| {
            let per_cpu = self.counters.get(&reason.counter(Direction::Ingress), 0);
            per_cpu.map_or(0, |per_cpu| per_cpu.iter().map(|counter| counter.packets).sum())
        };
        LostCounts {
            rate_limited: count(Reason::EventLimited),
            buffer_full: count(Reason::EventLost),
            slow_reader: 0,
        }
    }
}

impl Events {
    /// Opens the pinned ring buffer.
    ///
    /// # Errors
    /// When it is missing or of another shape.
    pub fn open(pins: &Pins) -> Result<Self, LoadError> {
        Ok(Self { ring: typed(pins, maps::EVENTS)? })
    }

    /// Waits for events and passes each to `take`; returns at the latest after `milliseconds`.
    ///
    /// # Errors
    /// When the kernel can't be waited for.
    pub fn wait(&mut self, milliseconds: i32, mut take: impl FnMut(&Event)) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.ring.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd, and its length given as one.
        #[allow(unsafe_code)]
        let ready = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        while let Some(record) = self.ring.next() {
            if let Some(event) = Event::read(&record) {
                take(&event);
            }
        }
        Ok(())
    }
}
