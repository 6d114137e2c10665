//! What the short way reads of a pod is written beside the pod's entry: both agree again when an agent was ended between the two.

use std::collections::BTreeMap;

use netpol_tests::agent::{self, Agent};
use netpol_tests::cluster::Cluster;
use netpol_tests::lab::requirements::skip;
use serde_json::Value;

use crate::common::{CONVERGENCE, Enforced, eventually, plain};
use crate::kernel_map::overwrite;

const PODS: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {role: client}}
spec: {containers: [{name: c, image: client, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {role: server}}
spec: {containers: [{name: c, image: server, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: denied}
spec: {containers: [{name: c, image: denied}]}
";

const POLICY: &str = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server}
spec: {podSelector: {matchLabels: {role: server}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {role: client}}}]}]}
";

/// Links' indices are a few hundred at most here, so that none is beyond the places.
const PLACES: u64 = 1 << 15;

#[test]
fn what_is_written_of_a_pod_in_two_places_agrees_after_a_crash() {
    if skip("what is written of a pod in two places") {
        return;
    }
    let mut enforced = Enforced::new(plain(), PODS, &[("policy.yaml", POLICY)]);
    // Until both banks hold the same of pods that no policy is about: an entry that a new agent need not write.
    for policies in [&[][..], &[("policy.yaml", POLICY)], &[], &[("policy.yaml", POLICY)]] {
        enforced.edit(policies);
        let denied: &[&str] = if policies.is_empty() { &[] } else { &["denied -> server:80"] };
        let allowed: &[&str] = if policies.is_empty() { &["denied -> server:80"] } else { &[] };
        enforced.expect(allowed, denied);
    }
    let [endpoints, briefs] = both(&enforced);
    assert_eq!(endpoints.len(), 3, "{endpoints:?}");
    assert_eq!(endpoints, briefs);

    enforced.agents.pop().unwrap().kill().unwrap();
    let links: Vec<u32> = endpoints.keys().map(|link| u32::try_from(*link).unwrap()).collect();
    let node = &enforced.running.lab.nodes[0].namespace;
    // One that was not written yet, and one that is still its predecessor's: another generation, no MAC address, slot 7.
    overwrite(node, "BRIEFS", links[0], &[0; 16]);
    let words = [links[1], 77, 0, 7 << 16].map(u32::to_ne_bytes);
    overwrite(node, "BRIEFS", links[1], words.as_flattened());
    let [_, broken] = both(&enforced);
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert_ne!(broken[&links[1].into()], endpoints[&links[1].into()]);

    enforced.agents.push(Agent::start(&enforced.running, 0).unwrap());
    enforced.wait_until_programmed();
    assert_eq!(both(&enforced), [endpoints.clone(), endpoints.clone()]);
    enforced.expect(&["client -> server:80"], &["denied -> server:80", "server -> client:80"]);

    let fewer: Vec<&str> = PODS.split("---").filter(|object| !object.contains("name: denied")).collect();
    enforced.running.apply(&Cluster::read([fewer.join("---").as_str()]).unwrap()).unwrap();
    eventually("the removed pod is forgotten in both", CONVERGENCE, || {
        let [endpoints, briefs] = both(&enforced);
        endpoints.len() == 2 && endpoints == briefs
    });
}

/// By link, what the pods' entries and what their briefs say.
#[track_caller]
fn both(enforced: &Enforced) -> [BTreeMap<u64, [Value; 3]>; 2] {
    let arguments = ["dump", "endpoints", "briefs", "--output-format", "json"];
    let output = agent::command(&enforced.running, 0, &arguments).unwrap();
    let maps: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    ["endpoints", "briefs"].map(|map| {
        let rows = maps[map].as_array().unwrap().iter();
        rows.map(|row| {
            let link = row["link"].as_u64().unwrap();
            assert!(link < PLACES, "{row}");
            (link, ["generation", "slot", "mac"].map(|field| row[field].clone()))
        })
        .collect()
    })
}
