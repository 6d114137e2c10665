//! A killed run leaves nothing behind.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use netpol_tests::lab::requirements::skip;

use crate::common::{Enforced, eventually, file, plain};

/// Set in the process that is killed.
const VICTIM: &str = "NETPOL_TEST_VICTIM";

#[test]
fn a_killed_run_takes_its_agent_and_its_namespaces_with_it() {
    if skip("a killed run") {
        return;
    }
    if env::var_os(VICTIM).is_some() {
        be_killed();
    }
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "residue::a_killed_run_takes_its_agent_and_its_namespaces_with_it", "--nocapture"])
        .env(VICTIM, "1")
        .env_remove("NETPOL_SUMMARY")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let report = lines.find_map(|line| line.unwrap().split_once("READY ").map(|(_, rest)| rest.to_owned()));
    let report = report.expect("the victim is ready");
    let (agent, namespaces) = report.split_once(' ').unwrap();
    let namespaces = namespaces.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    assert!(namespaces.len() >= 5, "{namespaces:?}");
    assert!(namespaces.is_subset(&namespaces_in_use()), "they are there while it runs");
    victim.kill().unwrap();
    victim.wait().unwrap();
    let agent = format!("/proc/{agent}/exe");
    eventually("the agent is gone", Duration::from_secs(60), || fs::read_link(&agent).is_err());
    eventually("the namespaces are gone", Duration::from_secs(60), || {
        namespaces_in_use().is_disjoint(&namespaces)
    });
}

fn be_killed() -> ! {
    let policy = file("three-tier", "db-test.yaml");
    let enforced =
        Enforced::new(plain(), &file("three-tier", "workloads.yaml"), &[("db-test.yaml", &policy)]);
    let lab = &enforced.running.lab;
    let all = lab.nodes.iter().map(|node| &node.namespace).chain(lab.pods.values().map(|pod| &pod.namespace));
    let all = all.chain([&lab.outside]);
    let inodes = all.map(|namespace| fs::read_link(namespace.path()).unwrap().to_string_lossy().into_owned());
    println!("READY {} {}", enforced.agents[0].pid(), inodes.collect::<Vec<_>>().join(" "));
    loop {
        std::thread::park();
    }
}

/// The network namespaces that a process is in or has open, as `net:[INODE]`.
fn namespaces_in_use() -> BTreeSet<String> {
    let mut links = BTreeSet::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let open =
            fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten().map(|fd| fd.path());
        for path in open.chain([process.path().join("ns/net")]) {
            // Processes and descriptors come and go.
            links.extend(fs::read_link(path).ok().map(|link| link.to_string_lossy().into_owned()));
        }
    }
    links
}
