//! What the kernel knows about links and addresses, asked over rtnetlink.
//!
//! Everything here is about the network namespace that the agent runs in. The one look outside: a veth whose other end
//! lives in another namespace carries that namespace's number (`IFLA_LINK_NETNSID`), and `RTM_GETADDR` with
//! `IFA_TARGET_NETNSID` lists the addresses there. That is how a pod's veth is found without `/proc` and without asking
//! a container runtime.

pub mod nftables;
mod overlay;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

pub use overlay::Overlay;
pub use watch::watch;

/// A link of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface index.
    pub index: u32,
    /// The interface name.
    pub name: String,
    /// What sort of device it is, as far as that matters here.
    pub kind: LinkKind,
    /// Whether packets carry an Ethernet header.
    pub ethernet: bool,
    /// The bridge, bond or VRF that it is a port of.
    pub master: Option<u32>,
    /// The other end, when that is in another network namespace.
    pub peer: Option<Peer>,
    /// What the node unpacks through it.
    pub overlay: Option<Overlay>,
    /// The addresses of the link itself.
    pub addresses: Vec<IpNet>,
}

/// Kinds of device that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// The loopback device.
    Loopback,
    /// One end of a veth pair.
    Veth,
    /// A bridge.
    Bridge,
    /// Anything else: physical devices, VLANs, VXLAN, WireGuard, tunnels.
    Other,
}

/// The other end of a veth, in another network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The number by which this namespace knows the other one.
    pub netns: i32,
    /// The interface index over there.
    pub index: u32,
    /// The addresses over there, without link-local ones; `None` if the namespace could not be asked.
    pub addresses: Option<Vec<IpAddr>>,
    /// The link-local addresses over there.
    pub link_local: Vec<IpAddr>,
    /// The MAC address over there.
    pub mac: Option<[u8; 6]>,
}

/// A socket for questions to the kernel.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    /// MAC addresses by namespace and interface index. Asking for one takes the kernel's one lock for all of networking,
    /// and they hardly ever change.
    macs: BTreeMap<(i32, u32), [u8; 6]>,
}

impl Netlink {
    /// Opens a socket in the current network namespace.
    ///
    /// # Errors
    /// When the kernel refuses the socket or does not know strict checking (before Linux 4.20).
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        // Without strict checking the kernel ignores IFA_TARGET_NETNSID and lists this namespace's addresses instead.
        socket.set_netlink_get_strict_chk(true)?;
        socket.set_rx_buf_sz(1_u32 << 20)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, macs: BTreeMap::new() })
    }

    /// Forgets MAC addresses, so that they are asked for again.
    pub fn refresh(&mut self) {
        self.macs.clear();
    }

    /// Lists all links with their addresses and, for veths into other namespaces, the addresses there.
    ///
    /// # Errors
    /// When the kernel refuses the question or its answer can't be read.
    pub fn links(&mut self) -> io::Result<Vec<Link>> {
        let mut links: Vec<Link> = self
            .dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewLink(link) => Some(parse_link(link)),
                _ => None,
            })
            .collect();
        for (index, address) in self.addresses(None)? {
            if let Some(link) = links.iter_mut().find(|link| link.index == index) {
                link.addresses.push(address);
            }
        }
        let mut current = BTreeSet::new();
        for link in &mut links {
            if link.kind == LinkKind::Veth
                && let Some(peer) = &mut link.peer
            {
                // A namespace can go away between the two questions: then its link goes too, and an event tells.
                if let Ok(addresses) = self.addresses(Some(peer.netns)) {
                    let there =
                        addresses.iter().filter(|(at, _)| *at == peer.index).map(|(_, net)| net.addr());
                    let (link_local, global) = there.partition(|address| is_link_local(*address));
                    peer.link_local = link_local;
                    peer.addresses = Some(global);
                }
                peer.mac = self.peer_mac(peer.netns, peer.index).unwrap_or_default();
                current.insert((peer.netns, peer.index));
            }
        }
        // A namespace's number can be given again.
        self.macs.retain(|peer, _| current.contains(peer));
        Ok(links)
    }

    fn peer_mac(&mut self, netns: i32, index: u32) -> io::Result<Option<[u8; 6]>> {
        if let Some(mac) = self.macs.get(&(netns, index)) {
            return Ok(Some(*mac));
        }
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::IfNetnsId(netns));
        let links = self.dump(RouteNetlinkMessage::GetLink(question))?;
        let mac: Option<[u8; 6]> = links.into_iter().find_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) if link.header.index == index => {
                link.attributes.into_iter().find_map(|attribute| match attribute {
                    LinkAttribute::Address(mac) => mac.try_into().ok(),
                    _ => None,
                })
            }
            _ => None,
        });
        self.macs.extend(mac.map(|mac| ((netns, index), mac)));
        Ok(mac)
    }

    fn addresses(&mut self, netns: Option<i32>) -> io::Result<Vec<(u32, IpNet)>> {
        let mut question = AddressMessage::default();
        question.header.family = AddressFamily::Unspec;
        question.attributes.extend(netns.map(AddressAttribute::TargetNetNsId));
        Ok(self
            .dump(RouteNetlinkMessage::GetAddress(question))?
            .into_iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewAddress(address) => parse_address(&address),
                _ => None,
            })
            .collect())
    }

    /// Asks for a list, again when the kernel says that it changed while being listed.
    fn dump(&mut self, question: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        const TRIES: usize = 5;
        for _ in 1..TRIES {
            let (list, consistent) = self.dump_once(question.clone())?;
            if consistent {
                return Ok(list);
            }
        }
        // Still changing: the newest answer is as good as any, and the events of those changes bring us back here.
        Ok(self.dump_once(question)?.0)
    }

    fn dump_once(&mut self, question: RouteNetlinkMessage) -> io::Result<(Vec<RouteNetlinkMessage>, bool)> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;

        let mut list = Vec::new();
        let mut consistent = true;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while rest.len() >= HEADER {
                let length = NetlinkBuffer::new(rest).length() as usize;
                if length < HEADER || length > rest.len() {
                    return Err(unreadable("a message of impossible length"));
                }
                let (one, after) = rest.split_at(length);
                rest = after.get(aligned(length) - length..).unwrap_or_default();
                let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(one)
                    .map_err(|error| unreadable(&error.to_string()))?;
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                consistent &= message.header.flags & DUMP_INTERRUPTED == 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(answer) => list.push(answer),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(io::Error::from_raw_os_error(-done.code));
                    }
                    NetlinkPayload::Done(_) => return Ok((list, consistent)),
                    _ => {}
                }
            }
        }
    }
}

/// Length of a netlink message header (`struct nlmsghdr`).
const HEADER: usize = 16;

/// `NLM_F_DUMP_INTR`: the list changed while it was being sent.
const DUMP_INTERRUPTED: u16 = 0x10;

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn unreadable(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the kernel's netlink answer can't be read: {what}"))
}

fn parse_link(message: LinkMessage) -> Link {
    let loopback = message.header.flags.contains(LinkFlags::Loopback);
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        kind: if loopback { LinkKind::Loopback } else { LinkKind::Other },
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        master: None,
        peer: None,
        overlay: None,
        addresses: Vec::new(),
    };
    let up = message.header.flags.contains(LinkFlags::Up);
    let (mut peer_index, mut peer_netns) = (None, None);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Controller(index) if index != 0 => link.master = Some(index),
            LinkAttribute::Link(index) => peer_index = Some(index),
            LinkAttribute::LinkNetNsId(netns) => peer_netns = Some(netns),
            LinkAttribute::LinkInfo(infos) => {
                link.overlay = overlay::of(&infos).filter(|_| up);
                for info in infos {
                    match info {
                        LinkInfo::Kind(InfoKind::Veth) => link.kind = LinkKind::Veth,
                        LinkInfo::Kind(InfoKind::Bridge) => link.kind = LinkKind::Bridge,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    link.peer = peer_index.zip(peer_netns).map(|(index, netns)| Peer {
        netns,
        index,
        addresses: None,
        link_local: Vec::new(),
        mac: None,
    });
    link
}

fn parse_address(message: &AddressMessage) -> Option<(u32, IpNet)> {
    let (mut local, mut other) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            // IFA_LOCAL is the link's own address; on point-to-point links IFA_ADDRESS is the other side's.
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => other = Some(*address),
            _ => {}
        }
    }
    let net = IpNet::new(local.or(other)?, message.header.prefix_len).ok()?;
    Some((message.header.index, net))
}

/// Whether an address only has meaning on its link: those never identify a pod or a node.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
