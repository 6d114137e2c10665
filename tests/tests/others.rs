//! Beside another program that enforces policies, an agent doesn't start unless it is told to.

use std::process::Command;

use netpol_tests::agent::Agent;
use netpol_tests::lab::requirements::skip;
use netpol_tests::programs;

use crate::common::{CONVERGENCE, Enforced, eventually, file, plain};

/// What gives another enforcer away, how it is made and removed, and its name.
const TRACES: [(&str, &str, &str); 3] = [
    (
        "nft add table inet kindnet-network-policies",
        "nft delete table inet kindnet-network-policies",
        "kindnet",
    ),
    (
        "nft add table inet kube-network-policies",
        "nft delete table inet kube-network-policies",
        "kube-network-policies",
    ),
    ("ip link add cilium_host type bridge", "ip link del cilium_host", "Cilium"),
];

#[test]
fn an_agent_does_not_enforce_twice() {
    if skip("other enforcers") {
        return;
    }
    let policy = file("three-tier", "db-test.yaml");
    let mut enforced = Enforced::without_agents(plain(), &file("three-tier", "workloads.yaml"));
    enforced.edit(&[("db-test.yaml", &policy)]);
    let on_the_node = |enforced: &Enforced, line: &str| {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words);
        let output = enforced.running.lab.nodes[0].namespace.run(|| command.output()).unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    for (make, remove, name) in TRACES {
        on_the_node(&enforced, make);
        let agent = Agent::start(&enforced.running, 0).unwrap();
        eventually("the agent ends", CONVERGENCE, || agent.check().is_err());
        let words = agent.last_words();
        let expected = format!("{name} enforces NetworkPolicies on this node already (it made the ");
        assert!(words.contains(&expected) && words.contains("--beside-others"), "{name}: {words}");

        let arguments = ["--beside-others".as_ref()];
        let agent =
            Agent::start_with(&enforced.running, 0, programs::enforcer().unwrap(), &arguments).unwrap();
        enforced.agents = vec![agent];
        enforced.wait_until_programmed();
        enforced.agents.pop().unwrap().stop().unwrap();
        on_the_node(&enforced, remove);
    }
    // Tables of others are no sign.
    on_the_node(&enforced, "nft add table inet network-policies");
    enforced.start_agents();
    enforced.wait_until_programmed();
}
