//! The first packet of a connection, byte by byte.

use std::net::IpAddr;

use netpol_policy::model::Traffic;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// From where, in a range that no kernel picks by itself.
const SOURCE_PORT: u16 = 61_997;

/// An Ethernet frame that opens a connection. Checksums are left out: the programs do not look at them. `None` if the addresses are of
/// different families.
pub(super) fn opening(
    source: IpAddr,
    destination: IpAddr,
    traffic: Traffic,
    mac: [u8; 6],
) -> Option<Vec<u8>> {
    let (protocol, payload) = match traffic {
        Traffic::Port(protocol, port) => (protocol.number(), transport(protocol.number(), port.get())),
        Traffic::Icmp if source.is_ipv4() => (ICMP, echo(8)),
        Traffic::Icmp => (ICMPV6, echo(128)),
        Traffic::Other(number) => (number, vec![0; 8]),
    };
    let length = u16::try_from(payload.len()).ok()?;
    let mut frame = vec![2, 0, 0, 0, 0, 1];
    frame.extend(mac);
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00, 0x45, 0]);
            frame.extend((length + 20).to_be_bytes());
            frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([protocol, 64]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        _ => return None,
    }
    frame.extend(payload);
    Some(frame)
}

fn transport(protocol: u8, port: u16) -> Vec<u8> {
    let mut bytes = [SOURCE_PORT.to_be_bytes(), port.to_be_bytes()].concat();
    match protocol {
        // SYN.
        TCP => bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]),
        UDP => bytes.extend([0, 12, 0, 0, 0, 0, 0, 0]),
        // SCTP's verification tag and checksum, and an INIT chunk.
        _ => bytes.extend([
            0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 1,
        ]),
    }
    bytes
}

fn echo(message: u8) -> Vec<u8> {
    let mut bytes = vec![message, 0, 0, 0];
    bytes.extend(SOURCE_PORT.to_be_bytes());
    bytes.extend([0, 1, 0, 0]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use netpol_policy::model::Protocol;

    #[test]
    fn lengths() {
        let of = |text: &str| text.parse().expect("an address");
        let tcp = Traffic::port(Protocol::Tcp, 80).expect("a port");
        let v4 = opening(of("10.0.0.2"), of("10.0.0.3"), tcp, [1; 6]).expect("one family");
        assert_eq!((v4.len(), &v4[12..14], v4[17]), (14 + 20 + 20, &[8, 0][..], 40));
        assert_eq!(&v4[36..38], &80_u16.to_be_bytes());
        let v6 = opening(of("fd00::2"), of("fd00::3"), Traffic::Icmp, [1; 6]).expect("one family");
        assert_eq!((v6.len(), v6[19], v6[20]), (14 + 40 + 10, 10, 58));
        assert_eq!(opening(of("fd00::2"), of("10.0.0.3"), tcp, [1; 6]), None);
    }
}
