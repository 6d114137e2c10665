//! Ports of loopback that nobody uses.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::Result;

/// So many different ports. Somebody else may take one before it is used; whoever uses it tries again then.
pub(super) fn free<const N: usize>() -> Result<[u16; N]> {
    let mut listeners = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}
