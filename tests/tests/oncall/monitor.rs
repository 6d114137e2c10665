//! `monitor`: filters, and what was lost.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::process::Process;
use netpol_tests::programs;
use serde_json::Value;

use super::three_tier;
use crate::common::{CONVERGENCE, Enforced, eventually};

/// A monitor that runs.
pub(super) struct Monitor {
    output: PathBuf,
    _process: Process,
}

impl Monitor {
    pub(super) fn start(enforced: &Enforced, name: &str, arguments: &[&str]) -> Self {
        let output = enforced.running.files.path().join(format!("monitor-{name}"));
        let file = fs::File::create(&output).unwrap();
        let mut command = Command::new(programs::enforcer().unwrap());
        command.arg("monitor").args(arguments).args(["--output-format", "json", "--state-dir"]);
        command.arg(enforced.agents[0].state()).stdin(Stdio::null()).stdout(file);
        let process = Process::spawn(command, || Ok(())).unwrap();
        Self { output, _process: process }
    }

    pub(super) fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.output).unwrap();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn it_shows_what_is_asked_for_and_nothing_else() {
    if skip("monitor") {
        return;
    }
    let enforced = three_tier();
    let all = Monitor::start(&enforced, "all", &[]);
    let to_db = Monitor::start(&enforced, "db", &["--to", "default/db", "--port", "3306/TCP"]);
    let both = Monitor::start(
        &enforced,
        "both",
        &["--verdict", "drop", "--namespace", "default", "--direction", "ingress", "--reason", "not-allowed"],
    );
    let from_db = Monitor::start(&enforced, "from-db", &["--from", "default/db"]);
    let pings = Monitor::start(&enforced, "udp", &["--pod", "default/db", "--port", "3306/UDP"]);
    let allowed = Monitor::start(&enforced, "allowed", &["--verdict", "allow", "--from", "default/backend"]);
    // Until all of them are connected, and the agent tells allowed flows.
    eventually("everybody sees what happens", CONVERGENCE, || {
        for flow in ["frontend -> db:3306", "frontend -> ping db", "backend -> db:3306"] {
            let _ = enforced.outcome(flow, Family::V4, Duration::from_millis(50));
        }
        [&all, &to_db, &both, &allowed].iter().all(|monitor| monitor.lines().len() >= 2)
    });
    let is = |line: &Value, port: u64| line["destination"]["port"] == port && line["protocol"] == "TCP";
    for line in to_db.lines() {
        assert!(is(&line, 3306), "{line}");
        assert_eq!(line["verdict"], "drop");
        assert_eq!(line["pod"], "default/db");
        assert_eq!(line["source"]["pod"], "default/frontend");
        assert_eq!(line["isolated_by"][0], "default/db-test");
        let rule = line["rule"].as_str().unwrap();
        assert!(rule.contains("would need the label role=backend on the pod"), "{rule}");
    }
    assert!(all.lines().iter().any(|line| line["protocol"] == "ICMP"));
    assert!(both.lines().iter().any(|line| line["protocol"] == "ICMP"));
    for line in allowed.lines() {
        assert_eq!((&line["verdict"], &line["source"]["pod"]), (&"allow".into(), &"default/backend".into()));
    }
    assert_eq!(from_db.lines(), Vec::<Value>::new());
    assert_eq!(pings.lines(), Vec::<Value>::new());
}
