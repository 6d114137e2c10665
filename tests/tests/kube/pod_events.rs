//! Kubernetes Events on pods whose traffic is denied often.

use std::time::Duration;

use netpol_tests::lab::address::Family;

use super::InCluster;
use crate::common::{CONVERGENCE, eventually, file, plain};

#[test]
fn a_pod_whose_traffic_is_denied_often_says_so() {
    let policy = file("three-tier", "db-test.yaml");
    let workloads = file("three-tier", "workloads.yaml");
    let Some(cluster) = InCluster::new("events on pods", plain(), &workloads, &[("db-test.yaml", &policy)])
    else {
        return;
    };
    let written = || {
        let list = cluster.server.kubectl(&[
            "get",
            "events.events.k8s.io",
            "--namespace",
            "default",
            "--output",
            "json",
        ]);
        let list: serde_json::Value = serde_json::from_str(&list.unwrap()).unwrap();
        let events = list["items"].as_array().unwrap().clone();
        events.into_iter().filter(|event| event["reason"] == "TrafficDenied").collect::<Vec<_>>()
    };
    eventually("an event tells of it", CONVERGENCE * 2, || {
        for family in Family::BOTH {
            let _ = cluster.enforced.outcome("frontend -> db:3306", family, Duration::from_millis(50));
        }
        !written().is_empty()
    });
    let events = written();
    assert_eq!(events.len(), 1, "a pod is told of once");
    let event = &events[0];
    assert_eq!((&event["regarding"]["kind"], &event["regarding"]["name"]), (&"Pod".into(), &"db".into()));
    assert!(event["regarding"]["uid"].is_string(), "{event}");
    let note = event["note"].as_str().unwrap();
    for words in ["default/frontend", "Isolated by default/db-test", "would need the label role=backend"] {
        assert!(note.contains(words), "no `{words}` in {note}");
    }
}
