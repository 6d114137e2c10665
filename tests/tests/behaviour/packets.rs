//! Packets that are not plain TCP between two pods.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netpol_tests::lab::address::{self, Family};
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::{Between, ServiceProxy, Shape, Wiring};
use netpol_tests::probe::frame;
use netpol_tests::probe::server::{Port, Received};
use netpol_tests::probe::{self, Connection, Outcome, Probe, Target};

use crate::common::{CONVERGENCE, Enforced, eventually, plain};

const BRIDGE: Wiring = Wiring::Bridge { call_iptables: true };

fn pod(name: &str, role: &str, ports: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{role: {role}}}}}\nspec: {{containers: [{{name: main, ports: [{ports}]}}]}}\n---\n"
    )
}

fn service(role: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {role}}}\nspec: {{selector: {{role: {role}}}, ports: [{{port: {port}}}]}}\n---\n"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: default}}\nspec: {spec}\n"
    )
}

const DENY_ALL: &str = "{podSelector: {}, policyTypes: [Ingress, Egress]}";

#[test]
fn a_forged_source_address_is_dropped() {
    if skip("anti-spoofing") {
        return;
    }
    for shape in [plain(), Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables)] {
        let pods = pod("attacker", "a", "")
            + &pod("friend", "f", "")
            + &pod("victim", "v", "{containerPort: 53, protocol: UDP}");
        let mut enforced = Enforced::without_agents(shape.clone(), &pods);
        let lab = &enforced.running.lab;
        let forged = [lab.pods["default/friend"].address, address::pod(0, 99), address::outside(99)];
        let victim = lab.pods["default/victim"].address;
        let received = |enforced: &Enforced| {
            let datagrams = enforced.running.lab.pods["default/victim"].server.datagrams();
            let from_forged =
                |source| datagrams.iter().filter(|datagram| datagram.from.ip() == source).count();
            forged.iter().flat_map(|pair| pair.both()).map(from_forged).collect::<Vec<_>>()
        };
        let send = |enforced: &Enforced| {
            let lab = &enforced.running.lab;
            let sources = forged.iter().flat_map(|pair| pair.both());
            let probes = sources.map(|source| Probe {
                source: Some(source),
                ..Probe::new(
                    &lab.pods["default/attacker"].namespace,
                    Target::Port(victim.of(Family::of(source)), Port::udp(53)),
                    Duration::from_millis(500),
                )
            });
            let _ = probe::run(&probes.collect::<Vec<_>>());
            received(enforced)
        };
        // Without an agent they arrive: what drops them later is the agent.
        eventually(&format!("{shape}: forged datagrams arrive"), CONVERGENCE, || {
            send(&enforced).iter().all(|count| *count > 0)
        });
        enforced.start_agents();
        enforced.wait_until_programmed();
        // What was on its way has arrived once a later datagram has.
        enforced.expect(&["attacker -> victim:53/udp", "friend -> victim:53/udp"], &[]);
        let settled = received(&enforced);
        assert_eq!(
            send(&enforced),
            settled,
            "{shape}: forged datagrams were delivered{}",
            enforced.explain()
        );
        // Its own address still works.
        enforced.expect(&["attacker -> victim:53/udp"], &[]);
    }
}

/// Sends datagrams from another pod's address to a victim that lets only that pod in, by a way that hides the address; without agents they
/// arrive, with agents they don't.
fn hidden_source(shape: &Shape, way: &str, send: impl Fn(&Enforced)) {
    let on_node = |pod: &str, node: &str| pod.replace("spec: {", &format!("spec: {{nodeName: {node}, "));
    let pods = on_node(&pod("attacker", "attacker", ""), "node-1")
        + &on_node(&pod("friend", "friend", ""), "node-1")
        + &on_node(&pod("victim", "victim", "{containerPort: 53, protocol: UDP}"), "node-1");
    let mut enforced = Enforced::without_agents(shape.clone(), &pods);
    let received = |enforced: &Enforced| {
        let lab = &enforced.running.lab;
        let datagrams = lab.pods["default/victim"].server.datagrams();
        let friend = lab.pods["default/friend"].address.both();
        // The friend's own are of another length.
        let forged = |datagram: &&Received| datagram.payload.len() != Probe::PAYLOAD;
        let forged: Vec<_> = datagrams.iter().filter(forged).collect();
        friend.map(|source| forged.iter().filter(|datagram| datagram.from.ip() == source).count())
    };
    eventually(&format!("{shape}: {way} arrive without agents"), CONVERGENCE, || {
        send(&enforced);
        received(&enforced).iter().all(|count| *count > 0)
    });
    let allow = policy(
        "victim",
        "{podSelector: {matchLabels: {role: victim}}, ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}]}]}",
    );
    enforced.edit(&[("victim.yaml", &allow)]);
    enforced.start_agents();
    enforced.wait_until_programmed();
    enforced.expect(&["friend -> victim:53/udp"], &["attacker -> victim:53/udp"]);
    let settled = received(&enforced);
    send(&enforced);
    // What was on its way has arrived once a later datagram has.
    enforced.expect(&["friend -> victim:53/udp"], &[]);
    assert_eq!(received(&enforced), settled, "{shape}: {way} were delivered{}", enforced.explain());
}

#[test]
fn vlan_tags_hide_nothing() {
    if skip("VLAN tags") {
        return;
    }
    for shape in [plain(), Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables)] {
        // VLAN 0 is none: the kernel takes such tags off, also two of them.
        for tags in [&[(0x8100, 0)][..], &[(0x88a8, 0)], &[(0x8100, 0), (0x8100, 0)]] {
            let send = |enforced: &Enforced| {
                let lab = &enforced.running.lab;
                let [attacker, friend, victim] =
                    ["attacker", "friend", "victim"].map(|name| &lab.pods[&format!("default/{name}")]);
                let own = frame::mac(&attacker.namespace, "eth0").unwrap();
                let next = match shape.wiring {
                    Wiring::Bridge { .. } => frame::mac(&victim.namespace, "eth0"),
                    Wiring::PointToPoint => frame::mac(&lab.nodes[0].namespace, &lab.interface_of(attacker)),
                };
                for family in Family::BOTH {
                    let (from, to) = (friend.address.of(family), victim.address.of(family));
                    let datagram = frame::udp((own, next.as_ref().copied().unwrap()), (from, 4444), (to, 53));
                    let frame = frame::tagged(&datagram, tags);
                    frame::send(&attacker.namespace, "eth0", &frame).unwrap();
                }
            };
            hidden_source(&shape, &format!("datagrams behind the VLAN tags {tags:x?}"), send);
        }
    }
}

#[test]
fn a_pod_cannot_speak_the_overlay() {
    if skip("VXLAN from a pod") {
        return;
    }
    let shape = Shape::two_nodes(BRIDGE, Between::Vxlan, ServiceProxy::Nftables);
    let send = |enforced: &Enforced| {
        let lab = &enforced.running.lab;
        let [attacker, friend, victim] =
            ["attacker", "friend", "victim"].map(|name| &lab.pods[&format!("default/{name}")]);
        for (family, device) in [(Family::V4, "flannel.1"), (Family::V6, "flannel-v6.1")] {
            let node = &lab.nodes[attacker.node];
            let tunnel = frame::mac(&node.namespace, device).unwrap();
            let id = if family == Family::V4 { 1 } else { 2 };
            let inner = frame::udp(
                ([2, 0, 0, 0, 0, 9], tunnel),
                (friend.address.of(family), 4444),
                (victim.address.of(family), 53),
            );
            let packet = [vec![8, 0, 0, 0, 0, 0, id, 0], inner].concat();
            let socket = attacker.namespace.run(|| {
                let own = attacker.address.of(family);
                std::net::UdpSocket::bind((own, 0)).unwrap()
            });
            socket.send_to(&packet, (node.address().of(family), 8472)).unwrap();
        }
    };
    hidden_source(&shape, "datagrams in VXLAN", send);
}

#[test]
fn headers_may_lie_in_fragments_of_memory() {
    if skip("packets with little in their linear part") {
        return;
    }
    let pods = pod("client", "client", "")
        + &pod("server", "server", "{containerPort: 53, protocol: UDP}, {containerPort: 54, protocol: UDP}");
    let out = policy(
        "client",
        "{podSelector: {matchLabels: {role: client}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {role: server}}}], ports: [{protocol: UDP, port: 53}]}]}",
    );
    for shape in [plain(), Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables)] {
        let enforced = Enforced::new(shape.clone(), &pods, &[("client.yaml", &out)]);
        enforced.expect(&["client -> server:53/udp"], &["client -> server:54/udp"]);
        let lab = &enforced.running.lab;
        let [client, server] = ["client", "server"].map(|name| &lab.pods[&format!("default/{name}")]);
        let own = frame::mac(&client.namespace, "eth0").unwrap();
        let next = match shape.wiring {
            Wiring::Bridge { .. } => frame::mac(&server.namespace, "eth0").unwrap(),
            Wiring::PointToPoint => frame::mac(&lab.nodes[0].namespace, &lab.interface_of(client)).unwrap(),
        };
        let arrived = |source: IpAddr| {
            let datagrams = server.server.datagrams();
            let ours = |datagram: &&Received| datagram.from == SocketAddr::new(source, 4444);
            datagrams.iter().filter(ours).count()
        };
        for family in Family::BOTH {
            let (from, to) = (client.address.of(family), server.address.of(family));
            let before = arrived(from);
            // The second of the two allowed ones goes the way of an established flow, and comes after the denied one.
            for port in [53, 54, 53] {
                let datagram = frame::udp((own, next), (from, 4444), (to, port));
                frame::send_in_pieces(&client.namespace, "eth0", &datagram).unwrap();
            }
            eventually(&format!("{shape}: both allowed datagrams over {family}"), CONVERGENCE, || {
                arrived(from) >= before + 2
            });
            enforced.expect(&["client -> server:53/udp"], &[]);
            assert_eq!(arrived(from), before + 2, "{shape}: {family}{}", enforced.explain());
            // Nor does a tag pass because it is in front of a packet of an established flow.
            let datagram = frame::udp((own, next), (from, 4444), (to, 53));
            for frame in [frame::tagged(&datagram, &[(0x8100, 0)]), datagram] {
                frame::send(&client.namespace, "eth0", &frame).unwrap();
            }
            eventually(&format!("{shape}: the untagged datagram over {family}"), CONVERGENCE, || {
                arrived(from) >= before + 3
            });
            assert_eq!(arrived(from), before + 3, "{shape}: {family}, tagged{}", enforced.explain());
        }
    }
}

#[test]
fn much_data_arrives_whole() {
    if skip("large segments") {
        return;
    }
    let pods = pod("client", "client", "") + &pod("server", "server", "{containerPort: 80}");
    let allow = policy(
        "server",
        "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {role: client}}}], ports: [{port: 80}]}], egress: [{to: [{podSelector: {matchLabels: {role: server}}}], ports: [{port: 80}]}]}",
    );
    for shape in [
        plain(),
        Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables),
        Shape::two_nodes(BRIDGE, Between::Vxlan, ServiceProxy::Nftables),
    ] {
        let enforced = Enforced::new(shape.clone(), &pods, &[("server.yaml", &allow)]);
        enforced.expect(&["client -> server:80"], &["client -> server:81"]);
        let lab = &enforced.running.lab;
        for family in Family::BOTH {
            // The kernel cuts what is written into segments of up to 64 KiB, without checksums; the echo comes back the same way.
            let to = SocketAddr::new(lab.pods["default/server"].address.of(family), 80);
            let connection =
                Connection::open(&lab.pods["default/client"].namespace, to, Duration::from_secs(5));
            let echoed = connection.unwrap().echo(4 << 20, Duration::from_secs(20)).unwrap();
            assert!(echoed, "{shape}: {family}{}", enforced.explain());
        }
    }
}

#[test]
fn fragments_share_the_fate_of_their_first() {
    if skip("fragments") {
        return;
    }
    let pods = pod("friend", "friend", "")
        + &pod("stranger", "stranger", "")
        + &pod("dns", "dns", "{containerPort: 53, protocol: UDP}");
    let allow = policy(
        "dns",
        "{podSelector: {matchLabels: {role: dns}}, ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}], ports: [{protocol: UDP, port: 53}]}]}",
    );
    let shape = Shape::two_nodes(BRIDGE, Between::Routes, ServiceProxy::Nftables);
    let enforced = Enforced::new(shape, &pods, &[("dns.yaml", &allow)]);
    enforced.expect(&["friend -> dns:53/udp"], &["stranger -> dns:53/udp"]);
    let lab = &enforced.running.lab;
    for payload in [1_473, 4_000, 30_000] {
        for family in Family::BOTH {
            let dns = Target::Port(lab.pods["default/dns"].address.of(family), Port::udp(53));
            let probe = |name: &str, patience| Probe {
                payload,
                ..Probe::new(&lab.pods[name].namespace, dns, Duration::from_millis(patience))
            };
            let outcomes = probe::run(&[probe("default/friend", 5_000), probe("default/stranger", 500)]);
            let expected = [Outcome::Connected(Some("default/dns".into())), Outcome::TimedOut];
            assert_eq!(outcomes, expected, "{payload} bytes over {family}{}", enforced.explain());
        }
    }
    let from_stranger = lab.pods["default/stranger"].address.both();
    let datagrams = lab.pods["default/dns"].server.datagrams();
    let fragmented = datagrams.iter().filter(|datagram| datagram.payload.len() > 1_472);
    assert!(fragmented.clone().count() >= 6);
    assert!(fragmented.into_iter().all(|datagram| !from_stranger.contains(&datagram.from.ip())));
}

#[test]
fn the_node_reaches_its_pods_and_a_pod_reaches_itself() {
    if skip("probes and hairpin") {
        return;
    }
    let bridge = Shape::one_node(BRIDGE, ServiceProxy::Iptables);
    for shape in [plain(), bridge, Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables)] {
        let objects = pod("web", "web", "{containerPort: 80}")
            + &pod("other", "other", "{containerPort: 80}")
            + &service("web", 80);
        let deny = policy("deny-all", DENY_ALL);
        let enforced = Enforced::new(shape, &objects, &[("deny.yaml", &deny)]);
        enforced.expect(
            &["node -> web:80, other:80, ping web, ping other", "web -> web:80, service web:80"],
            &[
                "web -> other:80, outside-1:80, ping other",
                "other -> web:80, service web:80",
                "outside-1 -> web:80, ping web",
            ],
        );
    }
}

#[test]
fn egress_through_a_service_is_decided_by_the_pod_behind_it() {
    if skip("egress through a Service on another node") {
        return;
    }
    let mut objects = String::new();
    for (name, node) in [("client", "node-1"), ("near", "node-1"), ("far", "node-2"), ("closed", "node-2")] {
        let text = pod(name, name, "{containerPort: 80}");
        objects += &text.replace("spec: {", &format!("spec: {{nodeName: {node}, "));
        objects += &service(name, 8080).replace("port: 8080", "port: 8080, targetPort: 80");
    }
    let allow = policy(
        "client",
        "{podSelector: {matchLabels: {role: client}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchExpressions: [{key: role, operator: In, values: [near, far]}]}}], ports: [{port: 80}]}]}",
    );
    for shape in [
        Shape::two_nodes(Wiring::PointToPoint, Between::Routes, ServiceProxy::Nftables),
        Shape::two_nodes(BRIDGE, Between::Vxlan, ServiceProxy::Iptables),
        Shape::two_nodes(BRIDGE, Between::Routes, ServiceProxy::Nftables),
    ] {
        let enforced = Enforced::new(shape, &objects, &[("client.yaml", &allow)]);
        enforced.expect(
            &[
                "client -> near:80, far:80, service near:8080, service far:8080, service client:8080",
                "near, far, closed -> client:80, closed:80, service closed:8080",
            ],
            &["client -> closed:80, service closed:8080, outside-1:80, ping near, ping far"],
        );
    }
}

#[test]
fn errors_that_belong_to_a_flow_come_back() {
    if skip("ICMP errors") {
        return;
    }
    let objects =
        pod("client", "client", "") + &pod("server", "server", "{containerPort: 53, protocol: UDP}");
    // The client lets nothing in and only this out; the server says by ICMP that nobody listens on that port.
    let allow = policy(
        "client",
        "{podSelector: {matchLabels: {role: client}}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {matchLabels: {role: server}}}], ports: [{protocol: UDP}]}]}",
    );
    let enforced = Enforced::new(plain(), &objects, &[("client.yaml", &allow)]);
    enforced.expect(&["client -> server:53/udp"], &["server -> ping client", "client -> ping server"]);
    for family in Family::BOTH {
        let outcome = enforced.outcome("client -> server:54/udp", family, Duration::from_secs(3));
        assert_eq!(outcome, Outcome::Refused, "{family}{}", enforced.explain());
    }
}

#[test]
fn an_isolated_pod_gets_the_answers_of_a_node_port() {
    if skip("node ports of an isolated pod") {
        return;
    }
    let mut objects = String::new();
    for (name, node) in [("client", "node-1"), ("near", "node-1"), ("far", "node-2"), ("closed", "node-2")] {
        let text = pod(name, name, "{containerPort: 80}, {containerPort: 53, protocol: UDP}");
        objects += &text.replace("spec: {", &format!("spec: {{nodeName: {node}, "));
    }
    for (index, role) in ["near", "far", "closed"].iter().enumerate() {
        objects += &format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {role}}}\nspec: {{type: NodePort, selector: {{role: {role}}}, ports: [{{port: 80, nodePort: {}}}, {{port: 53, nodePort: {}, protocol: UDP}}]}}\n---\n",
            30_080 + index,
            30_053 + index
        );
    }
    // Nothing may come in, and only near and far may be reached; the answer has the node's address.
    let allow = policy(
        "client",
        "{podSelector: {matchLabels: {role: client}}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {matchExpressions: [{key: role, operator: In, values: [near, far]}]}}]}]}",
    );
    for shape in [
        Shape::two_nodes(Wiring::PointToPoint, Between::Routes, ServiceProxy::Nftables),
        Shape::two_nodes(BRIDGE, Between::Vxlan, ServiceProxy::Iptables),
    ] {
        let enforced = Enforced::new(shape, &objects, &[("client.yaml", &allow)]);
        enforced.expect(
            &["client -> node port 30080, node port 30081, node port 30053/udp, node port 30054/udp"],
            &[
                "client -> node port 30082, node port 30055/udp",
                "near, far, closed -> client:80, client:53/udp",
            ],
        );
    }
}
