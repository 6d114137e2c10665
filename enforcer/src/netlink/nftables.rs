//! The node's nftables, by name.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::{HEADER, aligned, unreadable};

/// The names of all tables of this network namespace, of any family; none where the kernel has no nftables.
///
/// # Errors
/// When there is no socket to ask on, or the answer can't be read.
pub fn tables() -> io::Result<Vec<String>> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&question(), 0)?;
    let mut names = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        if read(&datagram, &mut names)? {
            return Ok(names);
        }
    }
}

/// `NFNL_SUBSYS_NFTABLES` with `NFT_MSG_NEWTABLE` and `NFT_MSG_GETTABLE` (linux/netfilter/nfnetlink.h, nf_tables.h).
const NEW_TABLE: u16 = 10 << 8;
const GET_TABLE: u16 = NEW_TABLE | 1;

/// `struct nfgenmsg`: family, version, resource.
const GENERIC: usize = 4;

/// `NFTA_TABLE_NAME`.
const NAME: u16 = 1;

/// Asks for tables of every family.
fn question() -> Vec<u8> {
    let mut bytes = vec![0; HEADER + GENERIC];
    let mut header = NetlinkBuffer::new(&mut bytes[..]);
    header.set_length((HEADER + GENERIC) as u32);
    header.set_message_type(GET_TABLE);
    header.set_flags(NLM_F_REQUEST | NLM_F_DUMP);
    bytes
}

/// Reads the names in a part of the answer; returns whether it was the last one.
fn read(datagram: &[u8], names: &mut Vec<String>) -> io::Result<bool> {
    let mut rest = datagram;
    while rest.len() >= HEADER {
        let header = NetlinkBuffer::new(rest);
        let length = header.length() as usize;
        let message = rest.get(HEADER..length).ok_or_else(|| unreadable("a message of impossible length"))?;
        match header.message_type() {
            // What can't be listed isn't there: a kernel without nftables knows no such question.
            NLMSG_DONE | NLMSG_ERROR => return Ok(true),
            NEW_TABLE => names.extend(name(message.get(GENERIC..).unwrap_or_default())),
            _ => {}
        }
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    Ok(false)
}

/// The name among a table's attributes.
fn name(mut attributes: &[u8]) -> Option<String> {
    const ATTRIBUTE: usize = 4;
    while let [a, b, c, d, ..] = *attributes {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let value = attributes.get(ATTRIBUTE..length)?;
        if u16::from_ne_bytes([c, d]) == NAME {
            let text = value.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        attributes = attributes.get(aligned(length)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with these attributes, as the kernel sends it.
    fn table(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + GENERIC];
        for (kind, value) in attributes {
            bytes.extend(((value.len() + 4) as u16).to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(*value);
            bytes.resize(aligned(bytes.len()), 0);
        }
        let length = bytes.len() as u32;
        let mut header = NetlinkBuffer::new(&mut bytes[..]);
        header.set_length(length);
        header.set_message_type(NEW_TABLE);
        bytes
    }

    #[test]
    fn names_and_the_end() {
        let mut names = Vec::new();
        let datagram =
            [table(&[(2, &[0; 4]), (1, b"kube-proxy\0")]), table(&[(1, b"other\0")]), table(&[])].concat();
        assert!(!read(&datagram, &mut names).expect("readable"));
        assert_eq!(names, ["kube-proxy", "other"]);
        let mut end = vec![0; HEADER + 4];
        let mut header = NetlinkBuffer::new(&mut end[..]);
        header.set_length(20);
        header.set_message_type(NLMSG_DONE);
        assert!(read(&end, &mut names).expect("readable"));
    }

    #[test]
    fn no_bytes_do_harm() {
        let whole = table(&[(2, &[0; 4]), (1, b"kube-proxy\0")]);
        for at in 0..whole.len() {
            for value in [0, 1, 3, 4, 255] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _ = read(&bytes, &mut Vec::new());
                let _ = read(&bytes[..at], &mut Vec::new());
            }
        }
    }
}
