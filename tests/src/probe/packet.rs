//! The few packets that no socket makes for us: ICMP echo requests and SCTP's first chunk.

use std::net::IpAddr;

/// The protocol number of SCTP. The kernel may lack SCTP: raw packets need none.
pub(super) const SCTP: i32 = 132;
/// An SCTP chunk that asks for an association.
pub(super) const INIT: u8 = 1;
/// Its answer from a port that listens.
pub(super) const INIT_ACK: u8 = 2;
/// Its answer from a port that doesn't.
pub(super) const ABORT: u8 = 6;

/// An echo request with this much payload. A ping socket fills in the identifier, and its checksum.
pub(super) fn echo_request(to: IpAddr, payload: usize) -> Vec<u8> {
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let mut packet = vec![kind, 0, 0, 0, 0, 0, 0, 1];
    packet.resize(8 + payload, b'.');
    packet
}

/// Whether this is the reply to [`echo_request`].
pub(super) fn is_echo_reply(to: IpAddr, packet: &[u8]) -> bool {
    packet.first() == Some(if to.is_ipv4() { &0 } else { &129 })
}

/// The header and the first chunk of an SCTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sctp {
    pub(super) source: u16,
    pub(super) destination: u16,
    pub(super) chunk: u8,
}

impl Sctp {
    /// The packet's bytes, checksum included.
    pub(super) fn bytes(self, verification_tag: u32) -> Vec<u8> {
        let mut packet = Vec::new();
        packet.extend(self.source.to_be_bytes());
        packet.extend(self.destination.to_be_bytes());
        packet.extend(verification_tag.to_be_bytes());
        packet.extend([0; 4]);
        match self.chunk {
            INIT | INIT_ACK => {
                packet.extend([self.chunk, 0, 0, 20]);
                packet.extend(0x5eed_0001_u32.to_be_bytes()); // initiate tag
                packet.extend(65_536_u32.to_be_bytes()); // receiver window
                packet.extend([0, 1, 0, 1]); // streams out and in
                packet.extend(1_u32.to_be_bytes()); // first sequence number
            }
            other => packet.extend([other, 0, 0, 4]),
        }
        let checksum = crc32c(&packet);
        packet[8..12].copy_from_slice(&checksum.to_le_bytes());
        packet
    }

    /// Reads a packet without its IP header.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let port = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
        Some(Self { source: port(0)?, destination: port(2)?, chunk: *packet.get(12)? })
    }
}

/// Strips the IPv4 header, which raw IPv4 sockets deliver and raw IPv6 sockets don't.
pub(super) fn without_ip_header(ipv4: bool, packet: &[u8]) -> &[u8] {
    let header = if ipv4 { packet.first().map_or(0, |first| usize::from(first & 0xf) * 4) } else { 0 };
    packet.get(header..).unwrap_or_default()
}

/// CRC-32C (RFC 9260, appendix A), bit by bit: the packets are tiny.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn an_sctp_packet_reads_back() {
        let packet = Sctp { source: 40_000, destination: 9, chunk: INIT };
        assert_eq!(Sctp::read(&packet.bytes(0)), Some(packet));
        assert_eq!(Sctp::read(&packet.bytes(0)[..11]), None);
    }
}
