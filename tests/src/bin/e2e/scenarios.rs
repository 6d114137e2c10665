//! Scenarios, stage by stage, on the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use netpol_tests::cluster::Cluster;
use netpol_tests::scenario::flow::{Flow, Source};
use netpol_tests::scenario::{Scenario, Stage, Verdict};
use serde_json::{Value, json};

use crate::kubectl::Kubectl;
use crate::nodes::Nodes;
use crate::objects::{self, LABEL};
use crate::outside::Outside;
use crate::reach::{self, Outcome, Places};
use crate::said;

/// How long a change may take to show: pods start, kube-proxy and agents follow.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// The cluster and what is on it.
#[derive(Debug)]
pub(crate) struct World<'k> {
    pub(crate) kubectl: &'k Kubectl,
    pub(crate) nodes: Nodes,
    outside: Option<Outside>,
    image: String,
    /// What was applied, by kind, namespace and name.
    present: BTreeSet<[String; 3]>,
    /// The nodes of a scenario's pods, by `namespace/name`: a pod stays where it is when others come.
    placed: BTreeMap<String, String>,
}

/// Fails where the scenarios' names are taken.
pub(crate) fn refuse_a_cluster_in_use(kubectl: &Kubectl) -> Result<()> {
    let foreign = format!("--selector=!{LABEL}");
    for namespace in ["prod", "dev"] {
        let taken = kubectl.run(&["get", "namespace", namespace, "--ignore-not-found", "-oname"]);
        ensure!(
            taken.is_ok_and(|name| name.trim().is_empty()),
            "the namespace {namespace} exists: these tests are for a cluster that can be thrown away"
        );
    }
    let used = kubectl.run(&["-n", "default", "get", "pods,networkpolicies", "-oname", &foreign])?;
    ensure!(
        used.trim().is_empty(),
        "the namespace default is in use ({}): these tests are for a cluster that can be thrown away",
        used.lines().next().unwrap_or_default()
    );
    Ok(())
}

impl<'k> World<'k> {
    pub(crate) fn new(kubectl: &'k Kubectl, nodes: Nodes, outside: Option<Outside>, image: String) -> Self {
        Self { kubectl, nodes, outside, image, present: BTreeSet::new(), placed: BTreeMap::new() }
    }

    /// Runs all stages; how many flows were checked.
    pub(crate) fn check(&mut self, scenario: &Scenario) -> Result<usize> {
        let mut checked = 0;
        self.remove();
        for stage in &scenario.expected.stages {
            let what = format!("{}, {}", scenario.name, stage.name);
            let start = Instant::now();
            let flows = self.stage(scenario, stage).with_context(|| what.clone())?;
            let (count, left_out) = self.expect(&flows).with_context(|| what.clone())?;
            checked += count;
            let left_out =
                if left_out == 0 { String::new() } else { format!(", {left_out} from outside left out") };
            said(&format!("{what}: {count} flows{left_out} ({})", crate::seconds(start.elapsed())));
        }
        Ok(checked)
    }

    /// Makes the cluster what a stage says; its flows.
    pub(crate) fn stage(&mut self, scenario: &Scenario, stage: &Stage) -> Result<Vec<(Flow, Verdict)>> {
        let cluster = scenario.cluster(stage)?;
        for (key, pod) in &cluster.pods {
            if !self.placed.contains_key(key) {
                let node = self.nodes.place(pod.node.as_deref(), self.placed.len()).name.clone();
                self.placed.insert(key.clone(), node);
            }
        }
        let mut objects = objects::of(&cluster, &self.placed, &self.image);
        let flows = scenario.flows(stage, &cluster)?;
        if flows.iter().any(|(flow, _)| flow.source == Source::Node) {
            objects.extend(self.nodes.iter().map(|node| objects::host_pod(&node.name, &self.image)));
        }
        // A policy is looked at in a namespace that is there.
        self.kubectl.apply(&namespaces(&objects))?;
        let policies = self.policies(scenario, stage)?;
        self.become_exactly(&objects, &policies)?;
        self.wait_for_pods()?;
        Ok(flows)
    }

    /// Waits until every flow does at the same time what is expected; how many were tried, and how many left out.
    pub(crate) fn expect(&self, flows: &[(Flow, Verdict)]) -> Result<(usize, usize)> {
        let deadline = Instant::now() + SETTLES_WITHIN;
        let only = flows.iter().map(|(flow, _)| flow.clone()).collect::<Vec<_>>();
        loop {
            let outcomes = Places::ask(self.kubectl).and_then(|places| {
                reach::try_all(self.kubectl, &places, &self.nodes, self.outside.as_ref(), &only)
            });
            let wrong = match outcomes {
                Ok(outcomes) => {
                    let pairs = flows.iter().zip(&outcomes);
                    let wrong = pairs.filter_map(|((flow, expected), outcome)| {
                        let outcome = outcome.as_ref()?;
                        let fits = matches!(
                            (expected, outcome),
                            (Verdict::Open, Outcome::Connected) | (Verdict::Closed, Outcome::Silence)
                        );
                        (!fits).then(|| format!("{flow}: expected {expected}, but {outcome:?}"))
                    });
                    let wrong = wrong.collect::<Vec<_>>();
                    if wrong.is_empty() {
                        let tried = outcomes.iter().flatten().count();
                        return Ok((tried, flows.len() - tried));
                    }
                    wrong.join("\n  ")
                }
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() >= deadline {
                bail!("not as expected after {}:\n  {wrong}", crate::seconds(SETTLES_WITHIN));
            }
        }
    }

    /// The policies of a stage as the cluster takes them.
    fn policies(&self, scenario: &Scenario, stage: &Stage) -> Result<Vec<Value>> {
        let mut accepted = Vec::new();
        for (name, text) in scenario.policies(stage)? {
            let refused = self.kubectl.with_input(&["apply", "--dry-run=server", "-f", "-"], &text);
            let stays_out = scenario.expected.refused.iter().any(|refused| refused == name);
            match refused {
                Ok(_) if stays_out => bail!("{name} should have been refused"),
                Ok(_) => accepted.extend(read(&text)?),
                Err(_) if stays_out => {}
                // What the linter finds may be refused. What it would do is tried all the same: the glass is broken.
                Err(error) => {
                    let said = format!("{error:#}");
                    let found = scenario.expected.lint.iter().filter(|line| line.starts_with(name));
                    let mut codes = found.filter_map(|line| line.split(' ').nth(1));
                    ensure!(codes.any(|code| said.contains(code)), "{name} was refused: {said}");
                    for mut policy in read(&text)? {
                        policy["metadata"]["annotations"]["netpol.dev/break-glass"] =
                            json!("what it enforces is tried");
                        accepted.push(policy);
                    }
                }
            }
        }
        Ok(accepted)
    }

    /// Applies what is to be there and deletes what was there and is not to be any more.
    fn become_exactly(&mut self, objects: &[Value], policies: &[Value]) -> Result<()> {
        let wanted = objects.iter().chain(policies).map(name_of).collect();
        let before = std::mem::replace(&mut self.present, wanted);
        for [kind, namespace, name] in before.difference(&self.present) {
            let mut arguments =
                vec!["delete", kind, name, "--ignore-not-found", "--wait=true", "--timeout=120s"];
            if !namespace.is_empty() {
                arguments.extend(["--namespace", namespace]);
            }
            self.kubectl.run(&arguments)?;
        }
        let others =
            objects.iter().filter(|object| object["kind"] != "Namespace").cloned().collect::<Vec<_>>();
        self.kubectl.apply(&namespaces(objects))?;
        self.kubectl.apply(policies)?;
        // A new namespace has its ServiceAccount, without which no pod can be made, after a moment.
        let deadline = Instant::now() + SETTLES_WITHIN;
        while let Err(error) = self.kubectl.apply(&others) {
            ensure!(Instant::now() < deadline, error);
        }
        Ok(())
    }

    /// Waits until all pods are ready.
    pub(crate) fn wait_for_pods(&self) -> Result<()> {
        let selector = format!("--selector={LABEL}");
        let arguments =
            ["wait", "pods", "--all-namespaces", &selector, "--for=condition=Ready", "--timeout=120s"];
        self.kubectl.run(&arguments).map(drop)
    }

    /// Removes everything that was applied.
    pub(crate) fn remove(&mut self) {
        let _ = self.become_exactly(&[], &[]);
        self.placed.clear();
    }

    /// The objects of a stage as the scenario says them.
    pub(crate) fn cluster(scenario: &Scenario, stage: &Stage) -> Result<Cluster> {
        scenario.cluster(stage)
    }
}

fn namespaces(objects: &[Value]) -> Vec<Value> {
    objects.iter().filter(|object| object["kind"] == "Namespace").cloned().collect()
}

fn read(text: &str) -> Result<Vec<Value>> {
    netpol_tests::cluster::manifest::documents(text)
}

fn name_of(object: &Value) -> [String; 3] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    let kind = text(&object["kind"]);
    let namespaced = kind != "Namespace";
    let namespace = if namespaced { text(&metadata["namespace"]) } else { String::new() };
    let namespace = if namespaced && namespace.is_empty() { "default".into() } else { namespace };
    [kind.to_lowercase(), namespace, text(&metadata["name"])]
}
