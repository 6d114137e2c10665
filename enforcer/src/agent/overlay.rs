//! What pods must not send because the node would unpack it.

use std::collections::BTreeSet;

use super::Agent;
use crate::kernel::Overlays;
use crate::log;
use crate::netlink::{Link, Overlay};

impl Agent {
    /// Tells the programs which encapsulations the node unpacks, if that changed.
    pub(super) fn note_overlays(&mut self, links: &[Link]) {
        let (overlays, rest) = overlays(links);
        if overlays == self.options.settings.overlays {
            return;
        }
        if rest > 0 {
            log::error(
                "the node unpacks VXLAN or Geneve on more ports than can be closed to pods",
                &[("ports_left_open", &rest)],
            );
        }
        self.options.settings.overlays = overlays;
        if let Err(error) = self.loaded.configure(self.options.settings) {
            log::error(error, &[]);
        }
    }
}

/// What these links unpack, and how many ports there was no room for.
fn overlays(links: &[Link]) -> (Overlays, usize) {
    let mut found = Overlays::default();
    let mut ports = BTreeSet::new();
    for overlay in links.iter().filter_map(|link| link.overlay) {
        match overlay {
            Overlay::Udp(port) => drop(ports.insert(port)),
            Overlay::Ip => found.ip = true,
        }
    }
    for (place, port) in found.ports.iter_mut().zip(&ports) {
        *place = *port;
    }
    (found, ports.len().saturating_sub(found.ports.len()))
}
