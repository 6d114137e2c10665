//! The agent is killed, restarted, fed with nonsense, and removed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use netpol_tests::agent::{self, Agent};
use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::probe::Outcome;
use netpol_tests::probe::server::Port;
use netpol_tests::scenario::Verdict;

use super::revocation::{all_alive, connections, with_frontend};
use crate::common::{CONVERGENCE, Enforced, eventually, file, plain};

fn three_tier() -> Enforced {
    let policy = file("three-tier", "db-test.yaml");
    let enforced =
        Enforced::new(plain(), &file("three-tier", "workloads.yaml"), &[("db-test.yaml", &policy)]);
    enforced.expect(
        &["backend -> db:3306, service db:3306", "frontend -> backend:80"],
        &["frontend -> db:3306, service db:3306"],
    );
    enforced
}

#[test]
fn a_killed_agent_leaves_enforcement_in_place_and_the_next_one_takes_over() {
    if skip("kill and restart") {
        return;
    }
    let mut enforced = three_tier();
    let mut kept = connections(&enforced, "backend");
    all_alive(&mut kept);
    enforced.agents.pop().unwrap().kill().unwrap();
    all_alive(&mut kept);
    enforced.expect(
        &["backend -> db:3306, service db:3306", "frontend -> backend:80"],
        &["frontend -> db:3306, service db:3306"],
    );

    // While the next one starts, nothing that was closed opens for a moment and nothing that was open blips.
    let agent = Agent::start(&enforced.running, 0).unwrap();
    for _ in 0..8 {
        all_alive(&mut kept);
        for family in Family::BOTH {
            let outcome = enforced.outcome("frontend -> db:3306", family, Duration::from_millis(100));
            assert_eq!(outcome, Outcome::TimedOut, "{family}");
        }
        agent.check().unwrap();
    }
    enforced.agents.push(agent);
    enforced.edit(&[("db-test.yaml", &with_frontend())]);
    enforced.expect(&["frontend, backend -> db:3306, service db:3306"], &["frontend -> ping db"]);
    all_alive(&mut kept);
}

/// Somebody detaches a program: it is attached again, and no other one is touched for it.
#[test]
fn a_program_that_is_detached_comes_back_and_the_others_stay() {
    if skip("a detached program") {
        return;
    }
    let enforced = three_tier();
    let agent = &enforced.agents[0];
    let attached = || fs::read_to_string(&agent.log).unwrap().matches("program attached").count();
    let before = attached();
    assert!(before > 6, "both hooks of three pods, and the uplinks: {before}");
    let node = &enforced.running.lab.nodes[0].namespace;
    let detach = |hook: &str| {
        let link = node.run(|| -> std::io::Result<_> {
            let layout = fs::read_dir("/sys/fs/bpf/netpol")?.find_map(|entry| {
                let links = entry.ok()?.path().join("links");
                links.is_dir().then_some(links)
            });
            let links = fs::read_dir(layout.expect("a layout"))?.map(|entry| entry.map(|entry| entry.path()));
            let links = links.collect::<std::io::Result<Vec<_>>>()?;
            let link = links.into_iter().find(|path| path.to_string_lossy().ends_with(hook)).expect("a link");
            // Nobody else holds it.
            fs::remove_file(&link)?;
            Ok(link)
        });
        link.unwrap()
    };
    for (round, hook) in ["-egress", "-ingress", "-egress"].into_iter().enumerate() {
        let link = detach(hook);
        eventually(&format!("{} is back", link.display()), CONVERGENCE, || node.run(|| link.exists()));
        eventually("it is told", CONVERGENCE, || attached() > before + round);
        assert_eq!(attached(), before + round + 1, "{}", agent.last_words());
    }
    enforced.expect(&["backend -> db:3306, service db:3306"], &["frontend -> db:3306, service db:3306"]);
}

#[test]
fn a_stopped_agent_leaves_enforcement_in_place() {
    if skip("an orderly stop") {
        return;
    }
    let mut enforced = three_tier();
    enforced.agents.pop().unwrap().stop().unwrap();
    enforced.expect(&["backend -> db:3306"], &["frontend -> db:3306, service db:3306"]);
}

#[test]
fn an_edit_that_makes_no_sense_keeps_the_last_good_policy() {
    if skip("an invalid edit") {
        return;
    }
    let mut enforced = three_tier();
    let refusals = |enforced: &Enforced| {
        let log = fs::read_to_string(&enforced.agents[0].log).unwrap();
        log.lines().filter(|line| line.contains("db-test.yaml")).count()
    };
    for nonsense in [file("flattened", "db-test.yaml"), "{".to_owned(), "\0".to_owned()] {
        let before = refusals(&enforced);
        enforced.edit(&[("db-test.yaml", &nonsense)]);
        eventually("the agent complains", CONVERGENCE, || refusals(&enforced) > before);
        enforced.expect(
            &["backend -> db:3306, service db:3306", "frontend -> backend:80"],
            &["frontend -> db:3306, service db:3306"],
        );
        enforced.edit(&[("db-test.yaml", &with_frontend())]);
        enforced.expect(&["frontend, backend -> db:3306"], &["frontend -> ping db"]);
        enforced.edit(&[("db-test.yaml", &file("three-tier", "db-test.yaml"))]);
        enforced.expect(&["backend -> db:3306"], &["frontend -> db:3306, service db:3306"]);
    }
}

#[test]
fn a_pod_that_nobody_knows_is_closed_until_it_is_known() {
    if skip("an unknown pod") {
        return;
    }
    let mut enforced = three_tier();
    let mut cluster = enforced.running.cluster.clone();
    let mut pod = cluster.pods["default/frontend"].clone();
    pod.name = "stranger".into();
    // The pod's network is there before the pod is.
    enforced.running.lab.add_pod("default/stranger", 0, &[Port::tcp(80)]).unwrap();
    cluster.pods.insert(pod.key(), pod);
    enforced.running.cluster = cluster.clone();
    enforced.expect(
        &["frontend -> backend:80"],
        &["frontend, backend -> stranger:80", "stranger -> frontend:80"],
    );
    enforced.running.apply(&cluster).unwrap();
    enforced.expect(
        &["frontend, backend -> stranger:80", "stranger -> frontend:80"],
        &["stranger -> db:3306, service db:3306"],
    );
}

#[test]
fn a_namespace_labelled_for_default_deny_isolates_without_any_policy() {
    if skip("the default-deny label") {
        return;
    }
    let mut enforced = three_tier();
    let mut cluster = enforced.running.cluster.clone();
    let labels = cluster.namespaces.get_mut("default").unwrap();
    labels.insert("netpol.dev/default-deny".into(), "ingress".into());
    enforced.running.apply(&cluster).unwrap();
    enforced.expect(
        &["backend -> db:3306, service db:3306", "node -> frontend:80", "frontend -> outside-1:80"],
        &["frontend -> backend:80", "db -> frontend:80", "frontend -> db:3306"],
    );
}

#[test]
fn cleanup_removes_everything() {
    if skip("cleanup") {
        return;
    }
    let mut enforced = Enforced::without_agents(plain(), &file("three-tier", "workloads.yaml"));
    let before = pinned(&enforced);
    enforced.edit(&[("db-test.yaml", &file("three-tier", "db-test.yaml"))]);
    enforced.start_agents();
    enforced.expect(&["backend -> db:3306"], &["frontend -> db:3306"]);
    assert_ne!(pinned(&enforced), before);
    enforced.agents.pop().unwrap().kill().unwrap();
    let output = agent::command(&enforced.running, 0, &["cleanup"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    enforced.expect(&["frontend, backend -> db:3306, service db:3306, ping db"], &[]);
    assert_eq!(pinned(&enforced), before);
}

fn pinned(enforced: &Enforced) -> BTreeSet<OsString> {
    enforced.running.lab.nodes[0].namespace.run(|| {
        let entries = fs::read_dir("/sys/fs/bpf").unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    })
}

#[test]
fn a_pod_that_comes_back_with_another_role_is_judged_anew() {
    if skip("a pod that is replaced") {
        return;
    }
    let mut enforced = three_tier();
    let mut cluster = enforced.running.cluster.clone();
    let mut pod = cluster.pods.remove("default/backend").unwrap();
    enforced.running.apply(&cluster).unwrap();
    pod.labels.insert("role".into(), "frontend".into());
    cluster.pods.insert(pod.key(), pod);
    enforced.running.apply(&cluster).unwrap();
    enforced.expect(&["backend -> frontend:80"], &["backend -> db:3306, service db:3306"]);
    let flows = netpol_tests::scenario::flow::between_pods(&cluster);
    let open = flows.into_iter().map(|flow| {
        let verdict = if flow.to_string().contains("db:") && !flow.is_to_itself(&cluster) {
            Verdict::Closed
        } else {
            Verdict::Open
        };
        (flow, verdict)
    });
    // The Service that selected the backend has no endpoint any more.
    let open = open.filter(|(flow, _)| !flow.to_string().contains("service backend"));
    enforced.expect_flows("after the replacement", &open.collect::<Vec<_>>());
    eventually("the agent goes on", CONVERGENCE, || enforced.agents[0].check().is_ok());
}
