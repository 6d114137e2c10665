//! Services that choose for whom they lead where: `sessionAffinity: ClientIP`, and traffic policies `Local`. A flow is judged by the pod
//! that it gets.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netpol_tests::lab::address::{self, Family};
use netpol_tests::lab::netns::NetNs;
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::{Between, ServiceProxy, Shape, Wiring};
use netpol_tests::probe::server::Port;
use netpol_tests::probe::{self, Connection, Outcome, Probe, Target};

use crate::common::{CONVERGENCE, Enforced, eventually};

const BRIDGE: Wiring = Wiring::Bridge { call_iptables: true };
const ROUTED: Wiring = Wiring::PointToPoint;
const PATIENCE: Duration = Duration::from_millis(400);
const ANSWER: Duration = Duration::from_secs(15);

/// An attempt to connect: from where, as whom, and where to.
type Attempt<'e> = (&'e NetNs, Option<IpAddr>, SocketAddr);

/// Attempts side by side: who answers, if anybody does.
fn connect(attempts: &[Attempt<'_>]) -> Vec<Option<String>> {
    let probes = attempts.iter().map(|&(from, source, to)| {
        let target = Target::Port(to.ip(), Port::tcp(to.port()));
        Probe { source, ..Probe::new(from, target, PATIENCE) }
    });
    let outcomes = probe::run(&probes.collect::<Vec<_>>());
    let who = outcomes.into_iter().zip(attempts).map(|(outcome, (.., to))| match outcome {
        Outcome::Connected(name) => name,
        Outcome::TimedOut => None,
        other => panic!("{to}: {other}"),
    });
    who.collect()
}

fn pod(name: &str, app: &str, node: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {app}, role: {name}}}}}\n\
         spec: {{nodeName: {node}, containers: [{{name: main, ports: [{{containerPort: 80}}]}}]}}\n---\n"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"
    )
}

/// Clients may send to pods of this role only.
fn clients_to(role: &str) -> String {
    policy(
        "clients",
        &format!(
            "{{podSelector: {{matchLabels: {{app: client}}}}, policyTypes: [Egress], egress: [{{to: [{{podSelector: {{matchLabels: {{role: {role}}}}}}}]}}]}}"
        ),
    )
}

const AFFINE: &str = "apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  sessionAffinity: ClientIP
  externalTrafficPolicy: Local
  ports: [{port: 8080, targetPort: 80, nodePort: 30080}]
";
/// The pods behind it, in the order of its endpoints.
const BEHIND: [&str; 2] = ["closed", "open"];

#[test]
fn a_client_stays_with_its_pod_and_is_judged_by_it() {
    if skip("sessionAffinity") {
        return;
    }
    let pods = pod("client", "client", "node-1")
        + &pod("closed", "web", "node-1")
        + &pod("open", "web", "node-1")
        + AFFINE;
    let nobody_in = policy("closed", "{podSelector: {matchLabels: {role: closed}}}");
    for (wiring, proxy) in [BRIDGE, ROUTED]
        .into_iter()
        .flat_map(|wiring| [ServiceProxy::Nftables, ServiceProxy::Iptables].map(|proxy| (wiring, proxy)))
    {
        let shape = Shape::one_node(wiring, proxy);
        let mut enforced = Enforced::new(shape, &pods, &[("policy.yaml", &clients_to("open"))]);
        let (direct_open, direct_closed) = (&["client -> open:80"], &["client -> closed:80"]);

        // By egress of the client: what comes from outside gets either.
        enforced.expect(direct_open, direct_closed);
        for family in Family::BOTH {
            both_choices(&Client::pod(&enforced, family), &["open"]);
            both_choices(&Client::outside(&enforced, family), &["open", "closed"]);
            the_choice_outlives_a_revocation(&mut enforced, family);
        }
        // By ingress of the pods behind it.
        enforced.edit(&[("policy.yaml", &nobody_in)]);
        enforced.expect(direct_open, direct_closed);
        for family in Family::BOTH {
            both_choices(&Client::pod(&enforced, family), &["open"]);
            both_choices(&Client::outside(&enforced, family), &["open"]);
        }
    }
}

/// A client of the Service `web`.
struct Client<'e> {
    enforced: &'e Enforced,
    family: Family,
    from: &'e NetNs,
    own: IpAddr,
    to: SocketAddr,
}

impl<'e> Client<'e> {
    /// By the cluster address.
    fn pod(enforced: &'e Enforced, family: Family) -> Self {
        let pod = &enforced.running.lab.pods["default/client"];
        let service = enforced.running.service_address("default/web").of(family);
        let to = SocketAddr::new(service, 8080);
        Self { enforced, family, from: &pod.namespace, own: pod.address.of(family), to }
    }

    /// By the node port.
    fn outside(enforced: &'e Enforced, family: Family) -> Self {
        let lab = &enforced.running.lab;
        let to = SocketAddr::new(lab.nodes[0].address().of(family), 30_080);
        Self { enforced, family, from: &lab.outside, own: address::outside(10).of(family), to }
    }

    /// Who answers, several times over.
    fn connect(&self) -> Vec<Option<String>> {
        connect(&[(self.from, Some(self.own), self.to); 4])
    }

    /// The pod that kube-proxy's rules remember for it.
    fn chosen(&self) -> Option<&'static str> {
        let node = &self.enforced.running.lab.nodes[0].namespace;
        let of_pod = |number: &usize| {
            let list = match self.enforced.running.lab.shape.services {
                ServiceProxy::Nftables => {
                    let table = if self.family == Family::V4 { "ip" } else { "ip6" };
                    let set = format!("affinity-0-{number}");
                    node.feed("nft", &["list", "set", table, "kube-proxy", &set], "").unwrap()
                }
                ServiceProxy::Iptables => node.run(|| fs::read_to_string(self.recent(*number)).unwrap()),
            };
            let mut words = list.split(|c: char| c.is_whitespace() || ",{}=".contains(c));
            words.any(|word| word.parse() == Ok(self.own))
        };
        let chosen: Vec<_> = (0..BEHIND.len()).filter(of_pod).map(|number| BEHIND[number]).collect();
        assert!(chosen.len() < 2, "a client of two pods");
        chosen.first().copied()
    }

    /// The rules forget all clients of its family.
    fn forget(&self) {
        let node = &self.enforced.running.lab.nodes[0].namespace;
        for number in 0..BEHIND.len() {
            match self.enforced.running.lab.shape.services {
                ServiceProxy::Nftables => {
                    let table = if self.family == Family::V4 { "ip" } else { "ip6" };
                    let set = format!("affinity-0-{number}");
                    node.feed("nft", &["flush", "set", table, "kube-proxy", &set], "").unwrap();
                }
                ServiceProxy::Iptables => node.run(|| fs::write(self.recent(number), "/").unwrap()),
            }
        }
        assert_eq!(self.chosen(), None);
    }

    fn recent(&self, number: usize) -> String {
        format!("/proc/thread-self/net/xt_recent/KUBE-SEP-0-{number}-{}", self.family)
    }

    /// Chosen anew until it is this pod.
    fn chooses(&self, wanted: &str) {
        eventually(&format!("{wanted} is chosen"), CONVERGENCE, || {
            self.forget();
            connect(&[(self.from, Some(self.own), self.to)]);
            self.chosen() == Some(wanted)
        });
    }

    /// Every connection now and later leads to this pod, and comes about only if it may.
    #[track_caller]
    fn stays_with(&self, chosen: &str, allowed: bool) {
        let who = format!("default/{chosen}");
        let (shape, family) = (&self.enforced.running.lab.shape, self.family);
        let what = format!("{shape}, {family}: {} -> {}, chosen {chosen}", self.own, self.to);
        if allowed {
            eventually(&what, ANSWER, || self.connect().iter().all(|name| name.as_ref() == Some(&who)));
        } else {
            let answers = self.connect();
            assert_eq!(answers, [const { None }; 4], "{what}{}", self.enforced.explain());
        }
        assert_eq!(self.chosen(), Some(chosen), "{what}");
    }
}

/// Whichever pod is chosen, it is the one that counts.
#[track_caller]
fn both_choices(client: &Client<'_>, allowed: &[&str]) {
    for chosen in BEHIND {
        client.chooses(chosen);
        client.stays_with(chosen, allowed.contains(&chosen));
    }
}

/// The policy turns from one pod to the other and back while a connection is open.
#[track_caller]
fn the_choice_outlives_a_revocation(enforced: &mut Enforced, family: Family) {
    let client = Client::pod(enforced, family);
    client.chooses("open");
    let mut connection = Connection::open(client.from, client.to, ANSWER).unwrap();
    assert_eq!(connection.server, "default/open");
    assert!(connection.exchange(ANSWER).unwrap());

    enforced.edit(&[("policy.yaml", &clients_to("closed"))]);
    let shape = enforced.running.lab.shape.clone();
    let what = |what: &str| format!("{shape}, {family}: {what}");
    eventually(&what("revoked"), CONVERGENCE, || !connection.exchange(PATIENCE).unwrap());
    let client = Client::pod(enforced, family);
    client.stays_with("open", false);
    client.chooses("closed");
    client.stays_with("closed", true);
    assert!(!connection.drain(PATIENCE).unwrap(), "{}", what("open again"));

    enforced.edit(&[("policy.yaml", &clients_to("open"))]);
    // It stays with its pod, whoever would be chosen now.
    eventually(&what("open again"), CONVERGENCE, || connection.drain(PATIENCE).unwrap());
    assert!(connection.exchange(ANSWER).unwrap());
    Client::pod(enforced, family).stays_with("closed", false);
}

/// `web` has a pod on either node, `lone` on the first only.
fn one_pod_a_node(service: &str) -> String {
    let mut objects = String::new();
    for (node, (client, behind)) in [("client-1", "near"), ("client-2", "far")].into_iter().enumerate() {
        let node = format!("node-{}", node + 1);
        objects += &pod(client, "client", &node);
        objects += &pod(behind, "web", &node);
    }
    for (name, selector, port) in [("lone", "role: near", 1), ("web", "app: web", 0)] {
        objects += &format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  selector: {{{selector}}}\n  {service}\n  \
             ports: [{{port: {}, targetPort: 80, nodePort: {}}}]\n---\n",
            8_080 + port,
            30_080 + port,
        );
    }
    objects
}

/// Two nodes with pods on a bridge, and two with routed pods.
fn two_nodes(bridged: (Between, ServiceProxy), routed: (Between, ServiceProxy)) -> [Shape; 2] {
    [(BRIDGE, bridged), (ROUTED, routed)]
        .map(|(wiring, (between, proxy))| Shape::two_nodes(wiring, between, proxy))
}

/// Waits until all attempts come out as they should, and sees them come out so again.
#[track_caller]
fn expect(enforced: &Enforced, what: &str, expected: &[(Attempt<'_>, Option<&str>)]) {
    let attempts: Vec<_> = expected.iter().map(|(attempt, _)| *attempt).collect();
    let mut in_a_row = 0;
    let what = format!("{}: {what}", enforced.running.lab.shape);
    eventually(&format!("{what}{}", enforced.explain()), CONVERGENCE, || {
        let answers = connect(&attempts);
        let right = answers.iter().zip(expected).all(|(answer, (_, who))| answer.as_deref() == *who);
        in_a_row = if right { in_a_row + 1 } else { 0 };
        in_a_row == 4
    });
}

#[test]
fn a_service_for_its_own_node_leads_to_pods_of_that_node_only() {
    if skip("internalTrafficPolicy") {
        return;
    }
    let objects = one_pod_a_node("internalTrafficPolicy: Local");
    for shape in
        two_nodes((Between::Vxlan, ServiceProxy::Iptables), (Between::Routes, ServiceProxy::Nftables))
    {
        let mut enforced = Enforced::new(shape.clone(), &objects, &[("policy.yaml", &clients_to("near"))]);
        let answers = |enforced: &Enforced, what: &str, who: [[Option<&str>; 2]; 2]| {
            let running = &enforced.running;
            let mut attempts = Vec::new();
            for family in Family::BOTH {
                for (client, who) in ["default/client-1", "default/client-2"].into_iter().zip(who) {
                    for ((service, port), who) in
                        [("default/web", 8_080), ("default/lone", 8_081)].into_iter().zip(who)
                    {
                        let to = SocketAddr::new(running.service_address(service).of(family), port);
                        attempts.push(((&running.lab.pods[client].namespace, None, to), who));
                    }
                }
            }
            expect(enforced, what, &attempts);
        };
        let (near, far) = (Some("default/near"), Some("default/far"));
        answers(&enforced, "near is allowed", [[near, near], [None, None]]);
        let mut open = Vec::new();
        for family in Family::BOTH {
            let to = SocketAddr::new(enforced.running.service_address("default/web").of(family), 8_080);
            let from = &enforced.running.lab.pods["default/client-1"].namespace;
            open.push(Connection::open(from, to, ANSWER).unwrap());
        }
        enforced.edit(&[("policy.yaml", &clients_to("far"))]);
        for connection in &mut open {
            let what = format!("{shape}: revoked");
            eventually(&what, CONVERGENCE, || !connection.exchange(PATIENCE).unwrap());
        }
        answers(&enforced, "far is allowed", [[None, None], [far, None]]);
        enforced.edit(&[]);
        answers(&enforced, "all is allowed", [[near, near], [far, None]]);
        for connection in &mut open {
            assert!(connection.drain(ANSWER).unwrap(), "{shape}: open again");
        }
    }
}

#[test]
fn a_node_port_for_its_own_node_is_judged_by_the_source_on_every_node() {
    if skip("externalTrafficPolicy of two nodes") {
        return;
    }
    let objects = one_pod_a_node("type: NodePort\n  externalTrafficPolicy: Local");
    let accepts = |role: &str, number: u8| {
        let outside = address::outside(number);
        policy(
            role,
            &format!(
                "{{podSelector: {{matchLabels: {{role: {role}}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: {{app: client}}}}}}, \
                 {{ipBlock: {{cidr: {}/32}}}}, {{ipBlock: {{cidr: '{}/128'}}}}]}}]}}",
                outside.v4, outside.v6
            ),
        )
    };
    for shape in
        two_nodes((Between::Routes, ServiceProxy::Nftables), (Between::Vxlan, ServiceProxy::Iptables))
    {
        let policies = |near, far| accepts("near", near) + &accepts("far", far);
        let mut enforced = Enforced::new(shape.clone(), &objects, &[("policy.yaml", &policies(10, 11))]);
        let (near, far) = (Some("default/near"), Some("default/far"));
        for (near_for, far_for) in [(10, 11), (11, 10)] {
            enforced.edit(&[("policy.yaml", &policies(near_for, far_for))]);
            let lab = &enforced.running.lab;
            let mut attempts = Vec::new();
            for family in Family::BOTH {
                let port = |node: usize, port| SocketAddr::new(lab.nodes[node].address().of(family), port);
                for number in [10, 11] {
                    let source = Some(address::outside(number).of(family));
                    let near = near.filter(|_| number == near_for);
                    let far = far.filter(|_| number == far_for);
                    for (to, who) in [
                        (port(0, 30_080), near),
                        (port(1, 30_080), far),
                        (port(0, 30_081), near),
                        // There is none on this node.
                        (port(1, 30_081), None),
                    ] {
                        attempts.push(((&lab.outside, source, to), who));
                    }
                }
                // Pods get any pod behind it, by the port of their own node.
                let client = &lab.pods["default/client-2"].namespace;
                attempts.push(((client, None, port(1, 30_081)), near));
            }
            expect(&enforced, &format!("near for {near_for}, far for {far_for}"), &attempts);
        }
    }
}
