//! The API server goes away and comes back.

use std::fs;

use netpol_tests::agent::Agent;
use serde_json::Value;

use crate::behaviour::revocation::with_frontend;
use crate::common::{CONVERGENCE, eventually, file};

use super::InCluster;
use super::enforcement::three_tier;

const OPEN: [&str; 2] = ["backend -> db:3306, service db:3306", "frontend -> backend:80"];
const CLOSED: [&str; 1] = ["frontend -> db:3306, service db:3306"];

#[test]
fn enforcement_goes_on_while_the_api_server_is_away_and_catches_up() {
    let Some(mut cluster) = three_tier("an API server that goes away") else { return };
    eventually("the agent says that it is connected", CONVERGENCE, || is_connected(&cluster));

    // Somebody else's API server goes on: the agent misses what happens there.
    let other = cluster.server.another().unwrap();
    cluster.server.stop().unwrap();
    eventually("the agent says that it is away", CONVERGENCE, || !is_connected(&cluster));
    cluster.enforced.expect(&OPEN, &CLOSED);
    cluster.enforced.edit(&[("db-test.yaml", &with_frontend())]);
    cluster.mirror.write(&other, &cluster.enforced.running).unwrap();
    cluster.enforced.expect(&OPEN, &CLOSED);

    cluster.server.restart().unwrap();
    cluster.enforced.expect(&["frontend, backend -> db:3306, service db:3306"], &["frontend -> ping db"]);
    eventually("the agent says that it is connected", CONVERGENCE, || is_connected(&cluster));
    let log = fs::read_to_string(&cluster.enforced.agents[0].log).unwrap();
    let told = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!(told("the API server doesn't answer"), 1, "{log}");
}

#[test]
fn an_agent_that_starts_without_the_api_server_changes_nothing_until_it_is_there() {
    let Some(mut cluster) = three_tier("a start without the API server") else { return };
    cluster.enforced.agents.pop().unwrap().kill().unwrap();
    cluster.server.stop().unwrap();
    let kubeconfig = cluster.server.kubeconfig();
    let agent = Agent::start_in_cluster(&cluster.enforced.running, 0, kubeconfig, &[]).unwrap();
    cluster.enforced.agents.push(agent);
    eventually("the agent says that it is away", CONVERGENCE, || {
        report(&cluster)["pid"] == cluster.enforced.agents[0].pid() && !is_connected(&cluster)
    });
    cluster.enforced.expect(&OPEN, &CLOSED);
    cluster.server.restart().unwrap();
    cluster.enforced.wait_until_programmed();
    cluster.enforced.expect(&OPEN, &CLOSED);
    cluster.edit(&[("db-test.yaml", &file("three-tier", "db-test.yaml").replace("3306", "3307"))]);
    cluster.enforced.expect(&[], &["frontend, backend -> db:3306"]);
}

fn report(cluster: &InCluster) -> Value {
    let text = fs::read(cluster.enforced.agents[0].state().join("state.json")).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn is_connected(cluster: &InCluster) -> bool {
    report(cluster)["source"]["connected"] == true
}
