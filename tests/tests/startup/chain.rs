//! The commands of the chained plugin, after the reference plugins.

use std::time::{Duration, Instant};

use netpol_tests::agent::Agent;
use netpol_tests::cni::Sandbox;
use netpol_tests::lab::address;
use netpol_tests::lab::netns::NetNs;
use serde_json::json;

use super::{Started, coming, deny, skip};
use crate::common::{CONVERGENCE, eventually};

#[test]
fn a_pod_starts_when_it_is_programmed() {
    if skip("the commands of the CNI plugin") {
        return;
    }
    for (plugin, version) in [("bridge", "1.1.0"), ("ptp", "1.0.0"), ("bridge", "0.3.1")] {
        let known = coming(&[("first", "closed")]) + &deny("closed");
        let mut started = Started::new(plugin, version, &known);
        started.chain(0.3, "fail");
        let namespaces = ["first", "second"].map(|name| NetNs::new(name).unwrap());
        let first = Sandbox { container: "c1", pod: Some("default/first"), namespace: &namespaces[0] };
        let second = Sandbox { container: "c2", pod: Some("default/second"), namespace: &namespaces[1] };

        // The agent is not there yet.
        let failure = started.failure(started.add(first));
        assert_eq!(failure.code, 11, "{failure}");
        started.runtime.del(started.node(), first).unwrap();
        let status = || started.runtime.ask(started.node(), "netpol-cni", "STATUS", &json!({}));
        assert_eq!(started.failure(status()).code, 50);

        started.enforced.start_agents();
        started.enforced.wait_until_programmed();
        eventually("STATUS is fine", CONVERGENCE, || {
            started.runtime.ask(started.node(), "netpol-cni", "STATUS", &json!({})).is_ok()
        });
        started.chain(10.0, "fail");
        let result =
            started.add(first).unwrap_or_else(|error| panic!("{error:#}{}", started.enforced.explain()));
        // Version 0.3.1 has nothing about STATUS or GC, but the same result.
        assert_eq!(result["cniVersion"], version);
        let addresses = result["ips"].as_array().unwrap().iter().map(|ip| ip["address"].as_str().unwrap());
        let addresses = addresses.map(|net| net.split('/').next().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(addresses.len(), 2);
        // CHECK came with version 0.4.0.
        let checks = version != "0.3.1";
        let check = |started: &Started| started.runtime.check(started.node(), first);
        if checks {
            check(&started).unwrap();
        }

        // A pod that nobody knows does not start.
        started.chain(0.3, "fail");
        let failure = started.failure(started.add(second));
        assert_eq!(failure.code, 11);
        assert!(failure.message.contains("does not know the pod"), "{failure}");
        started.runtime.del(started.node(), second).unwrap();

        // What GC does not name is forgotten; CHECK goes by what is bound.
        started.chain(10.0, "fail");
        let valid = json!({"cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]});
        started.runtime.ask(started.node(), "netpol-cni", "GC", &valid).unwrap();
        if checks {
            check(&started).unwrap();
        }
        let none = json!({"cni.dev/valid-attachments": []});
        started.runtime.ask(started.node(), "netpol-cni", "GC", &none).unwrap();
        if checks {
            eventually("the attachment is forgotten", CONVERGENCE, || check(&started).is_err());
            assert_eq!(started.failure(check(&started)).code, 100);
        }

        let versions =
            started.runtime.ask(started.node(), "netpol-cni", "VERSION", &json!({})).unwrap().unwrap();
        assert_eq!(versions["cniVersion"], version);
        assert!(versions["supportedVersions"].as_array().unwrap().contains(&json!("1.1.0")));
        started.runtime.del(started.node(), first).unwrap();
    }
}

#[test]
fn a_pod_waits_for_an_agent_that_is_restarted_and_for_its_object() {
    if skip("a pod's start while the agent is away") {
        return;
    }
    let mut started = Started::new("bridge", "1.0.0", &deny("closed"));
    started.chain(10.0, "fail");
    started.enforced.start_agents();
    started.enforced.wait_until_programmed();
    started.enforced.agents.pop().unwrap().kill().unwrap();

    // Away for a moment is not away for the runtime, which would take the node out of service.
    started.runtime.ask(started.node(), "netpol-cni", "STATUS", &json!({})).unwrap();
    let namespace = NetNs::new("late").unwrap();
    let sandbox = Sandbox { container: "c1", pod: Some("default/late"), namespace: &namespace };
    let (agent, took) = std::thread::scope(|scope| {
        let adding = scope.spawn(|| {
            let since = Instant::now();
            started.add(sandbox).map(|_| since.elapsed())
        });
        let agent = Agent::start(&started.enforced.running, 0).unwrap();
        // The cluster hears of the pod after the runtime.
        started.enforced.running.write_manifest("late.yaml", &coming(&[("late", "closed")])).unwrap();
        (agent, adding.join().unwrap())
    });
    started.enforced.agents = vec![agent];
    took.unwrap_or_else(|error| panic!("{error:#}{}", started.enforced.explain()));

    // What was told of the pod outlives the agent: the cluster still does not say its address.
    started.enforced.agents.pop().unwrap().kill().unwrap();
    started.enforced.start_agents();
    started.enforced.wait_until_programmed();
    eventually("the pod is bound again", CONVERGENCE, || {
        started.runtime.check(started.node(), sandbox).is_ok()
    });

    // Without an agent, and told to let pods start, they do.
    started.enforced.agents.pop().unwrap().kill().unwrap();
    started.chain(0.2, "allow");
    let namespace = NetNs::new("anyway").unwrap();
    started.add(Sandbox { container: "c2", pod: Some("default/anyway"), namespace: &namespace }).unwrap();
    // And what is no pod never waits.
    started.chain(10.0, "fail");
    let namespace = NetNs::new("container").unwrap();
    started.add(Sandbox { container: "c3", pod: None, namespace: &namespace }).unwrap();
}

#[test]
fn an_address_that_is_used_again_belongs_to_the_new_pod() {
    if skip("an address that is used again") {
        return;
    }
    // The cluster goes on saying that the first address is the old pod's, which may be reached and may reach everything.
    let address = address::pod(0, netpol_tests::cni::FIRST);
    let old = coming(&[("old", "open")]).replace(
        "\n---\n",
        &format!("\nstatus: {{podIPs: [{{ip: {}}}, {{ip: \"{}\"}}]}}\n---\n", address.v4, address.v6),
    );
    let manifests = old + &coming(&[("new", "closed")]) + &deny("closed");
    let mut started = Started::new("bridge", "1.0.0", &manifests);
    started.chain(10.0, "fail");
    started.enforced.start_agents();
    started.enforced.wait_until_programmed();
    let namespace = NetNs::new("new").unwrap();
    let sandbox = Sandbox { container: "c1", pod: Some("default/new"), namespace: &namespace };
    let result = started.add(sandbox).unwrap();
    assert!(result["ips"][0]["address"].as_str().unwrap().starts_with(&address.v4.to_string()), "{result}");
    // What the agent says of itself follows a moment later.
    eventually("the address is the new pod's", CONVERGENCE, || {
        let state = std::fs::read_to_string(started.state().join("state.json")).unwrap();
        let state: serde_json::Value = serde_json::from_str(&state).unwrap();
        let endpoints = state["endpoints"].as_array().unwrap();
        let is = |pod: &str| endpoints.iter().find(|endpoint| endpoint["pod"] == pod);
        is("default/new").is_some_and(|new| new["egress"]["state"] == "isolated")
            && is("default/old").is_none()
    });
    // The pod is pinged by its peer in vain.
    let peer = &started.enforced.running.lab.pods["default/peer"].namespace;
    let ping = peer.run(|| {
        let ping = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let there = namespace.run(|| std::net::UdpSocket::bind((address.v4, 9000)).unwrap());
        there.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        ping.send_to(b"x", (address.v4, 9000)).unwrap();
        there.recv(&mut [0; 8]).is_ok()
    });
    assert!(!ping);
}
