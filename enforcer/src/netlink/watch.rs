//! Changes of links and addresses, told by the kernel as they happen.

use std::io;
use std::thread;

use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

/// Calls `changed` whenever a link or an address of this network namespace, or of one that it has a veth into, changes.
///
/// The watching thread ends when `changed` returns false.
///
/// # Errors
/// When the socket can't be opened or its groups can't be joined.
pub fn watch(changed: impl Fn() -> bool + Send + 'static) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    // Also hear of addresses in the namespaces that our veths lead into: a pod's address appears there, and this saves
    // waiting for the next look. Refused without CAP_NET_BROADCAST, which costs time, not correctness.
    let _ = socket.set_listen_all_namespaces(true);
    thread::Builder::new().name("netlink".into()).spawn(move || listen(&socket, changed))?;
    Ok(())
}

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV6_IFADDR`.
const GROUPS: [u32; 3] = [1, 5, 9];

fn listen(socket: &Socket, changed: impl Fn() -> bool) {
    let mut buffer = Vec::with_capacity(1 << 16);
    loop {
        buffer.clear();
        // What the message says does not matter, nor whether some were lost (ENOBUFS): everything is listed afresh.
        match socket.recv(&mut buffer, 0) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        if !changed() {
            return;
        }
    }
}
