//! What is not as it should be does not get through.

use netpol_enforcer::test_run::Surroundings;
use netpol_enforcer_common::{
    endpoint::{SET_CLOSED, SET_NONE},
    identity::ANY,
    policy::PolicyPrefix,
    programs,
    reason::Reason,
};

use crate::{
    lab,
    lab::{EGRESS, INGRESS, POD, POD6, REMOTE, REMOTE6, UPLINK, forwarded, marked},
    packets::{
        ICMP, ICMPV6, SCTP, SYN, TCP, UDP, V4, V6, echo, echo_header, ip, sctp_header, tcp, tcp_header, udp,
        udp_header,
    },
};

#[test]
fn ipv4_options_are_skipped() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(PolicyPrefix::any_port(INGRESS, ANY, UDP));
    for words in 0..=10 {
        let mut header = V4::new(REMOTE, POD, UDP);
        header.options = vec![1; words * 4];
        assert!(lab.receive(&header.frame(&udp_header(1, 2))).passed());
        let mut header = V4::new(REMOTE, POD, TCP);
        header.options = vec![1; words * 4];
        assert!(!lab.receive(&header.frame(&tcp_header(1, 2, SYN))).passed());
    }
}

#[test]
fn extension_headers_are_followed() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(PolicyPrefix::any_port(INGRESS, ANY, UDP));
    let options = |length: u8| (60, [vec![0, length], vec![0; 6 + usize::from(length) * 8]].concat());
    let authentication = (51, [vec![0, 4], vec![0; 22]].concat());
    for (extensions, expected) in [
        (vec![(0, vec![0; 8]), options(0), options(3)], None),
        (vec![authentication], None),
        (vec![(43, vec![0, 0, 0, 0, 0, 0, 0, 0])], None),
        (vec![options(0); 7], None),
        (vec![options(0); 8], Some(Reason::ExtensionHeaders)),
        (vec![options(0); 12], Some(Reason::ExtensionHeaders)),
        // Segments left: the packet goes on to another address.
        (vec![(43, vec![0, 0, 0, 1, 0, 0, 0, 0])], Some(Reason::ExtensionHeaders)),
    ] {
        let mut header = V6::new(REMOTE6, POD6);
        header.extensions = extensions.clone();
        let outcome = lab.receive(&header.frame(UDP, &udp_header(1, 2)));
        assert_eq!(outcome.passed(), expected.is_none(), "{extensions:?}");
        let reason = lab.reason();
        assert!(expected.is_none() || reason == expected, "{extensions:?}: {reason:?}");
        assert!(!lab.receive(&header.frame(TCP, &tcp_header(1, 2, SYN))).passed(), "{extensions:?}");
    }
}

#[test]
fn truncated_packets_are_dropped() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(PolicyPrefix::any_protocol(INGRESS, ANY));
    for (packet, needed) in
        [(tcp((REMOTE, 1), (POD, 80), SYN), 14 + 20 + 20), (tcp((REMOTE6, 1), (POD6, 80), SYN), 14 + 40 + 20)]
    {
        assert!(lab.receive(&packet).passed());
        for length in shortest(&packet)..needed {
            assert!(!lab.receive(&packet[..length]).passed(), "{length} bytes");
            assert_eq!(lab.reason(), Some(Reason::Malformed), "{length} bytes");
        }
    }
    for (protocol, header, needed) in [
        (TCP, tcp_header(1, 2, SYN), 20),
        (UDP, udp_header(1, 2), 8),
        (SCTP, sctp_header(1, 2), 12),
        (ICMP, echo_header(8, 1), 8),
    ] {
        for length in 0..=needed {
            let packet = ip(REMOTE, POD, protocol, &header[..length]);
            assert_eq!(lab.receive(&packet).passed(), length == needed, "{protocol}: {length}");
            // Padding is not part of the packet.
            let padded = [packet, vec![0; 60]].concat();
            assert_eq!(lab.receive(&padded).passed(), length == needed, "{protocol}: {length}, padded");
        }
    }
    assert!(!lab.receive(&ip(REMOTE6, POD6, ICMPV6, &[128, 0, 0])).passed());
}

#[test]
fn nonsense_in_the_network_header() {
    let mut lab = lab!();
    let good = udp((REMOTE, 1), (POD, 2));
    let good6 = udp((REMOTE6, 1), (POD6, 2));
    assert!(lab.receive(&good).passed());
    assert!(lab.receive(&good6).passed());
    let changed = |packet: &[u8], at: usize, value: u8| {
        let mut packet = packet.to_vec();
        packet[at] = value;
        packet
    };
    for (what, packet) in [
        ("version 5", changed(&good, 14, 0x55)),
        ("version 6", changed(&good, 14, 0x65)),
        ("a header of 16 bytes", changed(&good, 14, 0x44)),
        ("longer than the packet", changed(&good, 17, 0xff)),
        ("shorter than the header", changed(&good, 17, 19)),
        ("version 4", changed(&good6, 14, 0x45)),
        ("longer than the packet", changed(&good6, 19, 0xff)),
        ("a mapped address", udp(("::ffff:192.0.2.7", 1), (POD6, 2))),
    ] {
        assert!(!lab.receive(&packet).passed(), "{what}");
    }
}

#[test]
fn an_unisolated_pod_gets_odd_transports() {
    let mut lab = lab!();
    assert!(lab.receive(&ip(REMOTE, POD, TCP, &[0; 4])).passed());
    let mut header = V6::new(REMOTE6, POD6);
    header.extensions = vec![(60, vec![0; 8]); 12];
    assert!(lab.receive(&header.frame(UDP, &udp_header(1, 2))).passed());
}

/// How long a packet must be for the kernel to run a program on it: the network header of its type must fit.
fn shortest(packet: &[u8]) -> usize {
    match packet[12..14] {
        [0x08, 0x00] => 14 + 20,
        [0x86, 0xdd] => 14 + 40,
        _ => 14 + 1,
    }
}

/// A small generator of reproducible noise.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Packets that are wrong in some way, made of sound ones.
fn mutations(seed: u64, count: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut fragment = V4::new(REMOTE, POD, UDP);
    fragment.fragment = 0x2000;
    let mut extended = V6::new(REMOTE6, POD6).fragment(1, 5);
    extended.extensions.insert(0, (0, vec![0; 8]));
    let sound = [
        tcp((REMOTE, 1), (POD, 80), SYN),
        tcp((POD, 1), (REMOTE, 80), SYN),
        udp((REMOTE6, 1), (POD6, 80)),
        udp((POD6, 1), (REMOTE6, 80)),
        echo(POD, REMOTE, 8, 1),
        crate::packets::error(REMOTE, POD, 3, &udp((POD, 1), (REMOTE, 2))),
        crate::packets::error(POD6, REMOTE6, 1, &udp((REMOTE6, 1), (POD6, 2))),
        fragment.frame(&[0; 40]),
        extended.frame(UDP, &[0; 40]),
    ];
    let mut noise = Noise(seed);
    (0..count).map(move |_| {
        let mut packet = sound[noise.below(sound.len())].clone();
        for _ in 0..noise.below(6) {
            let at = 12 + noise.below(packet.len() - 12);
            packet[at] = noise.next() as u8;
        }
        match noise.below(4) {
            0 => packet.truncate(14 + noise.below(packet.len() - 13)),
            1 => packet.extend((0..noise.below(100)).map(|_| 0x60)),
            2 if noise.below(2) == 0 => {
                let length = noise.below(200);
                packet.truncate(14);
                packet.extend((0..length).map(|_| noise.next() as u8));
            }
            _ => {}
        }
        if packet.len() < shortest(&packet) {
            packet.resize(shortest(&packet), 0);
        }
        packet
    })
}

/// Whether an endpoint without any rule may send or get this packet all the same: ARP and discovery.
fn exempt(packet: &[u8]) -> bool {
    match packet[12..14] {
        [0x08, 0x06] => true,
        [0x86, 0xdd] => {
            let icmp = packet.iter().skip(20).any(|byte| *byte == ICMPV6);
            icmp && matches!(packet[21], 1 | 255)
        }
        _ => false,
    }
}

#[test]
fn noise_never_gets_through() {
    let mut lab = lab!();
    for (ingress, egress) in [(INGRESS, EGRESS), (SET_CLOSED, SET_CLOSED)] {
        lab.isolate(ingress, egress);
        lab.next_epoch();
        for (index, packet) in mutations(0x9e37_79b9_7f4a_7c15, 20_000).enumerate() {
            let passes = exempt(&packet);
            let outcome = lab.receive(&packet);
            assert!(!outcome.passed() || passes, "to the pod, {index}: {packet:x?}");
            // Unspoofed source, whatever else.
            let mut packet = packet;
            packet[6..12].copy_from_slice(&lab::MAC);
            let to_itself_or_node = lab.send(&packet);
            if to_itself_or_node.passed() && !passes {
                let destination = lab.events().last().map(|event| event.destination);
                let own = [POD, POD6, lab::NODE, lab::NODE6].map(lab::address);
                assert!(destination.is_some_and(|d| own.contains(&d)), "from the pod, {index}: {packet:x?}");
            }
            let deferred = marked(forwarded(lab::SLOT) | netpol_enforcer_common::mark::DEFER);
            let outcome = lab.leave(&packet, deferred);
            if outcome.passed() {
                // Only towards itself, which does not leave by an uplink.
                let destination = &packet[30..];
                assert!(
                    destination.starts_with(&[10, 0, 0, 2])
                        || packet.windows(16).any(|w| w == lab::address(POD6).octets()),
                    "through an uplink, {index}: {packet:x?}"
                );
            }
            lab.events();
        }
    }
}

#[test]
fn noise_to_an_unknown_pod() {
    let mut lab = lab!();
    lab.forget();
    for (index, packet) in mutations(0x2545_f491_4f6c_dd1d, 5_000).enumerate() {
        let surroundings = Surroundings { ingress_ifindex: UPLINK, ..Surroundings::default() };
        let outcome = lab.run(programs::POD_EGRESS, &packet, surroundings);
        assert!(!outcome.passed() || exempt(&packet), "{index}: {packet:x?}");
        lab.events();
    }
}
