//! What comes back from a Service follows the backend's policy, though it shows the Service's address only.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::{Between, ServiceProxy, Shape, Wiring};

use crate::common::{CONVERGENCE, Enforced, eventually, plain};

const CLUSTER: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {role: client}}
spec: {nodeName: node-1, containers: [{name: c, image: client}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ticker, labels: {role: ticker}}
spec: {nodeName: NODE, containers: [{name: c, image: ticker, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: ticker}
spec: {selector: {role: ticker}, ports: [{port: 5353, protocol: UDP, targetPort: 5354}]}
";

/// The client may send to pods of a role.
fn allow(role: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: client}}\nspec: {{podSelector: {{matchLabels: {{role: client}}}}, policyTypes: [Egress], egress: [{{to: [{{podSelector: {{matchLabels: {{role: {role}}}}}}}]}}]}}\n"
    )
}

#[test]
fn a_backend_that_is_no_longer_allowed_is_no_longer_heard() {
    if skip("replies of Services") {
        return;
    }
    let two =
        Shape::two_nodes(Wiring::Bridge { call_iptables: true }, Between::Vxlan, ServiceProxy::Iptables);
    for (shape, node) in [(plain(), "node-1"), (two, "node-2")] {
        let (open, closed) = (allow("ticker"), allow("nobody"));
        let mut enforced = Enforced::new(shape, &CLUSTER.replace("NODE", node), &[("client.yaml", &open)]);
        for family in Family::BOTH {
            enforced.edit(&[("client.yaml", &open)]);
            let mut stream = Stream::open(&enforced, family);
            assert!(stream.ticks(), "{family}: the backend is heard");
            enforced.edit(&[("client.yaml", &closed)]);
            // The client says nothing: only what comes back can show that the policy has changed.
            eventually(&format!("{family}: silence"), CONVERGENCE, || !stream.ticks());
            assert!(!stream.ticks(), "{family}: silence lasts");
            enforced.edit(&[("client.yaml", &open)]);
            eventually(&format!("{family}: heard again"), CONVERGENCE, || stream.ticks());
        }
    }
}

/// A backend that keeps sending to a client which asked once.
struct Stream {
    client: UdpSocket,
    backend: UdpSocket,
    peer: SocketAddr,
}

impl Stream {
    fn open(enforced: &Enforced, family: Family) -> Self {
        let pods = &enforced.running.lab.pods;
        let bind = |name: &str, port: u16| {
            let pod = &pods[name];
            let address = SocketAddr::new(pod.address.of(family), port);
            pod.namespace.run(|| UdpSocket::bind(address)).expect("a socket in the pod")
        };
        let backend = bind("default/ticker", 5354);
        let client = bind("default/client", 0);
        let service = enforced.running.service_address("default/ticker").of(family);
        client.connect(SocketAddr::new(service, 5353)).expect("a route");
        backend.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        let deadline = Instant::now() + CONVERGENCE;
        loop {
            assert!(Instant::now() < deadline, "the backend hears nothing{}", enforced.explain());
            client.send(b"go").expect("the request leaves");
            if let Ok((_, peer)) = backend.recv_from(&mut [0; 8]) {
                return Self { client, backend, peer };
            }
        }
    }

    /// Whether what the backend sends now arrives.
    fn ticks(&mut self) -> bool {
        self.client.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        while self.client.recv(&mut [0; 8]).is_ok() {}
        self.backend.send_to(b"tick", self.peer).expect("the tick leaves");
        self.client.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        self.client.recv(&mut [0; 8]).is_ok()
    }
}
