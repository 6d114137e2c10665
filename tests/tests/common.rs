//! A cluster with agents on its nodes, and the questions tests ask of it.

use std::time::{Duration, Instant};

use netpol_tests::agent::Agent;
use netpol_tests::cluster::Cluster;
use netpol_tests::cluster::running::RunningCluster;
use netpol_tests::lab::address::Family;
use netpol_tests::lab::{ServiceProxy, Shape, Wiring};
use netpol_tests::probe::Outcome;
use netpol_tests::scenario::flow::{self, Flow};
use netpol_tests::scenario::{Scenario, Verdict, measure};

/// How long the agents may take until a change is programmed.
pub(crate) const CONVERGENCE: Duration = Duration::from_secs(60);

/// One node, a bridge, nftables: where nothing depends on the kind of network.
pub(crate) fn plain() -> Shape {
    Shape::one_node(Wiring::Bridge { call_iptables: true }, ServiceProxy::Nftables)
}

pub(crate) struct Enforced {
    pub(crate) running: RunningCluster,
    pub(crate) agents: Vec<Agent>,
}

impl Enforced {
    /// The pods and Services of these manifests, agents on all nodes, and these policy files.
    pub(crate) fn new(shape: Shape, manifests: &str, policies: &[(&str, &str)]) -> Self {
        let mut enforced = Self::without_agents(shape, manifests);
        enforced.running.set_policies(policies.iter().copied()).unwrap();
        enforced.start_agents();
        enforced.wait_until_programmed();
        enforced
    }

    pub(crate) fn without_agents(shape: Shape, manifests: &str) -> Self {
        let mut running = RunningCluster::new(shape).unwrap();
        running.apply(&Cluster::read([manifests]).unwrap()).unwrap();
        Self { running, agents: Vec::new() }
    }

    pub(crate) fn start_agents(&mut self) {
        self.agents = (0..self.running.lab.nodes.len())
            .map(|node| Agent::start(&self.running, node).expect("the agent starts"))
            .collect();
    }

    /// Waits until every agent has programmed the pods of its node.
    #[track_caller]
    pub(crate) fn wait_until_programmed(&self) {
        let deadline = Instant::now() + CONVERGENCE;
        while !self.agents.iter().all(|agent| agent.has_programmed(&self.running)) {
            assert!(Instant::now() < deadline, "not programmed within {CONVERGENCE:?}{}", self.explain());
            look_again();
        }
    }

    /// Replaces all policy files.
    pub(crate) fn edit(&mut self, policies: &[(&str, &str)]) {
        self.running.set_policies(policies.iter().copied()).unwrap();
    }

    /// Waits until these flows, in the words of `expected.yaml`, are open and those closed; then checks once more.
    #[track_caller]
    pub(crate) fn expect(&self, open: &[&str], closed: &[&str]) {
        let parse = |lines: &[&str], verdict| {
            let flows = lines.iter().flat_map(|line| flow::parse(line, &self.running.cluster).unwrap());
            flows.map(|flow| (flow, verdict)).collect::<Vec<_>>()
        };
        let flows = [parse(open, Verdict::Open), parse(closed, Verdict::Closed)].concat();
        self.expect_flows("", &flows);
    }

    #[track_caller]
    pub(crate) fn expect_flows(&self, what: &str, flows: &[(Flow, Verdict)]) {
        let wrong = measure::mismatches_within(&self.running, flows, CONVERGENCE);
        assert!(wrong.is_empty(), "{what}{}{}", lines(&wrong), self.explain());
    }

    /// One attempt, now, over one family.
    pub(crate) fn outcome(&self, line: &str, family: Family, patience: Duration) -> Outcome {
        let flows = flow::parse(line, &self.running.cluster).unwrap();
        let [flow] = flows.try_into().expect("the line is one flow");
        measure::outcomes(&self.running, &[(flow, family)], patience).remove(0)
    }

    /// The agents' last words, for a failed assertion.
    pub(crate) fn explain(&self) -> String {
        let words =
            self.agents.iter().map(|agent| format!("\n--- {}\n{}", agent.log.display(), agent.last_words()));
        words.collect()
    }
}

/// A file of a scenario.
pub(crate) fn file(scenario: &str, name: &str) -> String {
    let folder = Scenario::read(scenario).unwrap().folder;
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Asks again and again until the answer is yes.
#[track_caller]
pub(crate) fn eventually(what: &str, time: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + time;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {time:?}: {what}");
        look_again();
    }
}

/// A moment for others. Who only yields leaves the kernel's own threads no turn on a small machine, and then nothing that waits for
/// them goes on either: links, programs, the agent.
pub(crate) fn look_again() {
    std::thread::park_timeout(Duration::from_millis(2));
}

pub(crate) fn lines<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("\n  {item}")).collect()
}
