//! TCP segments without data, in Ethernet frames.

use crate::world::POD;

pub(crate) const SYN: u8 = 0x02;
pub(crate) const ACK: u8 = 0x10;

/// To the pod.
pub(crate) fn tcp(source: [u8; 4], source_port: u16, port: u16, flags: u8) -> Vec<u8> {
    segment((source, source_port), (POD, port), flags)
}

/// From the pod, the other way round.
pub(crate) fn reply(peer: [u8; 4], peer_port: u16, port: u16, flags: u8) -> Vec<u8> {
    segment((POD, port), (peer, peer_port), flags)
}

fn segment(from: ([u8; 4], u16), to: ([u8; 4], u16), flags: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    frame.extend([0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0]);
    frame.extend(from.0);
    frame.extend(to.0);
    frame.extend(from.1.to_be_bytes());
    frame.extend(to.1.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}
