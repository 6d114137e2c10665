//! Whole frames, for what no socket sends.

use std::io;
use std::mem::{size_of, size_of_val};
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::ptr;

use anyhow::{Context as _, Result};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::lab::netns::NetNs;

/// A MAC address.
pub type Mac = [u8; 6];

/// The MAC address of an interface.
///
/// # Errors
/// When there is no such interface.
pub fn mac(namespace: &NetNs, interface: &str) -> Result<Mac> {
    let text = namespace.feed("ip", &["-brief", "link", "show", "dev", interface], "")?;
    let mac = text.split_whitespace().nth(2).context("the interface has no MAC address")?;
    let bytes: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
    bytes.try_into().ok().with_context(|| format!("{mac} is no MAC address"))
}

/// Sends a frame as it is, through an interface of a namespace.
///
/// # Errors
/// When the kernel refuses.
pub fn send(namespace: &NetNs, interface: &str, frame: &[u8]) -> Result<()> {
    namespace.run(|| {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).context("opening a packet socket")?;
        let index = rustix::net::netdevice::name_to_index(&socket, interface)?;
        socket.send_to(frame, &link(index)).context("sending a frame")?;
        Ok(())
    })
}

/// Sends a frame of which only the Ethernet header lies in the packet's linear part: from a ring that the kernel reads in place.
///
/// # Errors
/// When the kernel refuses.
///
/// # Panics
/// When the frame is longer than 1,900 bytes.
#[allow(unsafe_code)]
pub fn send_in_pieces(namespace: &NetNs, interface: &str, frame: &[u8]) -> Result<()> {
    const PAGE: usize = 4096;
    const SLOT: usize = 2048;
    /// Where the kernel looks for the frame: behind `struct tpacket2_hdr`.
    const DATA: usize = 32;
    const VERSION_2: i32 = 1;
    const SEND_REQUEST: u32 = 1;
    assert!(frame.len() <= SLOT - DATA, "the frame must fit");
    let socket = namespace.run(|| -> Result<Socket> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).context("opening a packet socket")?;
        let index = rustix::net::netdevice::name_to_index(&socket, interface)?;
        socket.bind(&link(index))?;
        Ok(socket)
    })?;
    let set = |option: i32, value: *const libc::c_void, length: usize| {
        // SAFETY: the value is as long as it is said to be.
        let result = unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, value, length as libc::socklen_t)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    set(libc::PACKET_VERSION, ptr::from_ref(&VERSION_2).cast(), size_of::<i32>())?;
    // Size and number of blocks, size and number of frames.
    let ring = [PAGE as u32, 1, SLOT as u32, (PAGE / SLOT) as u32];
    set(libc::PACKET_TX_RING, ring.as_ptr().cast(), size_of_val(&ring)).context("making a ring")?;
    // SAFETY: a new mapping of the ring, all of whose bytes are written below only within its length; it is unmapped at the end,
    // after the kernel has let go of the frame.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let ring = libc::mmap(ptr::null_mut(), PAGE, protection, libc::MAP_SHARED, socket.as_raw_fd(), 0);
        if ring == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("mapping the ring");
        }
        let slot = ring.cast::<u8>();
        ptr::copy_nonoverlapping(frame.as_ptr(), slot.add(DATA), frame.len());
        let header = slot.cast::<u32>();
        header.add(1).write_volatile(frame.len() as u32);
        header.write_volatile(SEND_REQUEST);
        // Without a buffer: what is in the ring.
        let sent = libc::send(socket.as_raw_fd(), ptr::null(), 0, 0);
        let result = if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        libc::munmap(ring, PAGE);
        result.context("sending from the ring")
    }
}

/// The address of an interface for packet sockets.
#[allow(unsafe_code)]
fn link(index: u32) -> SockAddr {
    // SAFETY: the storage is large enough for a `sockaddr_ll`, for which zeros are fine, and its length is given.
    let address = unsafe {
        SockAddr::try_init(|storage, length| {
            let link = storage.cast::<libc::sockaddr_ll>();
            (*link).sll_family = libc::AF_PACKET as u16;
            (*link).sll_ifindex = index.cast_signed();
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })
    };
    address.expect("nothing in it fails").1
}

/// The frame with VLAN tags, from the outermost to the innermost: `EtherType` and VLAN of each.
#[must_use]
pub fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for (ether_type, vlan) in tags {
        tagged.extend(ether_type.to_be_bytes());
        tagged.extend(vlan.to_be_bytes());
    }
    tagged.extend(&frame[12..]);
    tagged
}

/// A UDP datagram with a few bytes in an Ethernet frame. Checksums are right.
///
/// # Panics
/// When the addresses are of different families.
#[must_use]
pub fn udp(macs: (Mac, Mac), from: (IpAddr, u16), to: (IpAddr, u16)) -> Vec<u8> {
    let payload = b"forged";
    let length = (8 + payload.len()) as u16;
    let mut datagram = Vec::new();
    datagram.extend(from.1.to_be_bytes());
    datagram.extend(to.1.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let addresses = [octets(from.0), octets(to.0)].concat();
    let pseudo = [addresses.clone(), vec![0, 17], length.to_be_bytes().to_vec(), datagram.clone()].concat();
    datagram[6..8].copy_from_slice(&checksum(&pseudo).to_be_bytes());
    let mut frame = [macs.1, macs.0].concat();
    match (from.0, to.0) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let mut header = vec![0x45, 0];
            header.extend((20 + length).to_be_bytes());
            header.extend([0, 1, 0, 0, 64, 17, 0, 0]);
            header.extend(addresses);
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            frame.extend([0x08, 0x00]);
            frame.extend(header);
        }
        (IpAddr::V6(_), IpAddr::V6(_)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([17, 64]);
            frame.extend(addresses);
        }
        _ => panic!("{} and {} are of different families", from.0, to.0),
    }
    frame.extend(datagram);
    frame
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_what_has_one_is_zero() {
        let frame = udp(([0; 6], [1; 6]), ("10.0.0.1".parse().unwrap(), 1), ("10.0.0.2".parse().unwrap(), 2));
        assert_eq!(checksum(&frame[14..34]), 0);
        // The example of RFC 1071.
        assert_eq!(!checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }
}
