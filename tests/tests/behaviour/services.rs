//! Services that are not a cluster address with pods behind it: the rules of kube-proxy for them are written here by hand.

use std::net::IpAddr;
use std::time::Duration;

use netpol_tests::lab::address::{self, Family};
use netpol_tests::lab::netns::NetNs;
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::{ServiceProxy, Shape, Wiring};
use netpol_tests::probe::server::Port;
use netpol_tests::probe::{self, Probe, Target};

use crate::common::{CONVERGENCE, Enforced, eventually, plain};

fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{role: {name}}}}}\nspec: {{containers: [{{name: main, ports: [{{containerPort: 80}}]}}]}}\n---\n"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: default}}\nspec: {spec}\n---\n"
    )
}

/// One attempt to connect.
struct Attempt<'e> {
    from: &'e NetNs,
    source: Option<IpAddr>,
    to: (IpAddr, u16),
    open: bool,
}

/// Waits until all attempts come out as they should, and sees them come out so again.
#[track_caller]
fn expect(enforced: &Enforced, what: &str, attempts: &[Attempt<'_>]) {
    let probes: Vec<_> = attempts
        .iter()
        .map(|attempt| Probe {
            source: attempt.source,
            ..Probe::new(
                attempt.from,
                Target::Port(attempt.to.0, Port::tcp(attempt.to.1)),
                Duration::from_millis(500),
            )
        })
        .collect();
    let mut in_a_row = 0;
    eventually(&format!("{what}{}", enforced.explain()), CONVERGENCE, || {
        let outcomes = probe::run(&probes);
        let right = outcomes.iter().zip(attempts).all(|(outcome, attempt)| outcome.arrived() == attempt.open);
        in_a_row = if right { in_a_row + 1 } else { 0 };
        in_a_row == 2
    });
}

/// Adds rules of destination and source translation to the first node.
fn translate(enforced: &Enforced, before: &[String], after: &[String]) {
    let table = format!(
        "table inet by-hand {{
             chain prerouting {{ type nat hook prerouting priority dstnat + 1; {}; }}
             chain postrouting {{ type nat hook postrouting priority srcnat - 1; {}; }}
         }}",
        before.join("; "),
        after.join("; ")
    );
    enforced.running.lab.nodes[0].namespace.feed("nft", &["-f", "-"], &table).unwrap();
}

#[test]
fn a_node_port_that_keeps_the_source_is_judged_by_it_and_one_that_hides_it_by_the_node() {
    if skip("externalTrafficPolicy") {
        return;
    }
    for shape in [plain(), Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables)] {
        let friend = address::outside(10);
        let only = |blocks: [String; 2]| {
            let [v4, v6] = blocks;
            policy(
                "web",
                &format!(
                    "{{podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: {v4}}}}}, {{ipBlock: {{cidr: '{v6}'}}}}], ports: [{{port: 80}}]}}]}}"
                ),
            )
        };
        let from_friend = only([format!("{}/32", friend.v4), format!("{}/128", friend.v6)]);
        let mut enforced = Enforced::new(shape.clone(), &pod("web"), &[("web.yaml", &from_friend)]);
        let node = enforced.running.lab.nodes[0].address();
        let web = enforced.running.lab.pods["default/web"].address;
        // `Local` on 30091, `Cluster` on 30092.
        let rules = [30_091, 30_092].map(|port| {
            format!(
                "ip daddr {} tcp dport {port} dnat ip to {}:80; ip6 daddr {} tcp dport {port} dnat ip6 to [{}]:80",
                node.v4, web.v4, node.v6, web.v6
            )
        });
        translate(&enforced, &rules, &["meta l4proto tcp ct original proto-dst 30092 masquerade".into()]);
        let check = |enforced: &Enforced, what: &str, open: [[bool; 2]; 2]| {
            let mut attempts = Vec::new();
            for family in Family::BOTH {
                for (port, open) in [30_091, 30_092].into_iter().zip(open) {
                    for (number, open) in [10, 11].into_iter().zip(open) {
                        attempts.push(Attempt {
                            from: &enforced.running.lab.outside,
                            source: Some(address::outside(number).of(family)),
                            to: (node.of(family), port),
                            open,
                        });
                    }
                }
            }
            expect(enforced, &format!("{shape}: {what}"), &attempts);
        };
        check(&enforced, "the source may", [[true, false], [false, false]]);
        // The kernel takes the address of the link through which the packet leaves.
        let gateway = enforced.running.lab.nodes[0].gateway();
        let from_node = only([format!("{}/32", gateway.v4), format!("{}/128", gateway.v6)]);
        enforced.edit(&[("web.yaml", &from_node)]);
        check(&enforced, "the node may", [[false, false], [true, true]]);
    }
}

#[test]
fn a_service_without_selector_is_judged_by_what_is_behind_it() {
    if skip("Services without selector") {
        return;
    }
    for shape in [plain(), Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables)] {
        // Both lead out of the cluster; one of them where the client may go.
        let (allowed, denied) = (address::service(200), address::service(201));
        let mut services = String::new();
        for (name, service, outside) in
            [("allowed", allowed, address::outside(10)), ("denied", denied, address::outside(11))]
        {
            services += &format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\n\
                 spec: {{clusterIP: {0}, clusterIPs: [{0}, '{1}'], ports: [{{port: 8080, targetPort: 80, protocol: TCP}}]}}\n---\n\
                 apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata: {{name: {name}-1, namespace: default, labels: {{kubernetes.io/service-name: {name}}}}}\n\
                 addressType: IPv4\nports: [{{port: 80, protocol: TCP}}]\nendpoints: [{{addresses: [{2}]}}]\n---\n",
                service.v4, service.v6, outside.v4
            );
        }
        // And one without an address of its own: nothing to translate, the client talks to the pod.
        services += "apiVersion: v1\nkind: Service\nmetadata: {name: headless, namespace: default}\n\
                     spec: {clusterIP: None, clusterIPs: [None], selector: {role: web}, ports: [{port: 80, protocol: TCP}]}\n---\n";
        let friend = address::outside(10);
        let out = policy(
            "client",
            &format!(
                "{{podSelector: {{matchLabels: {{role: client}}}}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: {}/32}}}}, {{ipBlock: {{cidr: '{}/128'}}}}], ports: [{{port: 80}}]}}]}}",
                friend.v4, friend.v6
            ),
        );
        let pods = pod("client") + &pod("other") + &pod("web");
        let files = [("services.yaml", services.as_str()), ("client.yaml", &out)];
        let enforced = Enforced::new(shape.clone(), &pods, &files);
        let mut rules = Vec::new();
        for (service, number) in [(allowed, 10), (denied, 11)] {
            let outside = address::outside(number);
            rules.push(format!("ip daddr {} tcp dport 8080 dnat ip to {}:80", service.v4, outside.v4));
            rules.push(format!("ip6 daddr {} tcp dport 8080 dnat ip6 to [{}]:80", service.v6, outside.v6));
        }
        translate(&enforced, &rules, &[]);
        let lab = &enforced.running.lab;
        let mut attempts = Vec::new();
        for family in Family::BOTH {
            for (pod, opens) in [("client", [true, false, false]), ("other", [true; 3])] {
                let web = (lab.pods["default/web"].address.of(family), 80);
                let targets = [(allowed.of(family), 8080), (denied.of(family), 8080), web];
                for (to, open) in targets.into_iter().zip(opens) {
                    let from = &lab.pods[&format!("default/{pod}")].namespace;
                    attempts.push(Attempt { from, source: None, to, open });
                }
            }
        }
        expect(&enforced, &format!("{shape}: Services without selector"), &attempts);
    }
}
