//! The programs' events, as they come.

use std::io;
use std::os::fd::AsRawFd;

use aya::maps::{MapData, RingBuf};
use netpol_enforcer_common::event::Event;
use netpol_enforcer_common::maps;

use super::load::{LoadError, typed};
use super::pins::Pins;

/// The stream of events. Records are consumed, so there must be one reader at a time: the agent.
pub struct Events {
    ring: RingBuf<MapData>,
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
