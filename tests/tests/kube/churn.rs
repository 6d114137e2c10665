//! Pods, labels, policies and namespaces change while traffic flows: what the API server says is enforced, and nothing
//! that is denied before and after a change passes during it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use netpol_tests::cluster::Cluster;
use netpol_tests::lab::address::Family;
use netpol_tests::lab::{Between, ServiceProxy, Shape, Wiring};
use netpol_tests::probe::Outcome;
use netpol_tests::random::{self, Rng};
use netpol_tests::scenario::flow::{Destination, Flow, Source};
use netpol_tests::scenario::{Verdict, measure};
use netpol_tests::summary;
use serde_json::{Value, json};

use super::InCluster;
use crate::common::lines;
use crate::differential::{number, predicted};

/// How many flows a run checks at least; `NETPOL_FLOWS` asks for another number, 20000 in a full run.
const FLOWS: usize = 3_000;
const POLICIES: usize = 8;
/// How many denied flows are tried over and over while a change is on its way.
const TRIED: usize = 24;
/// How many flows are checked after each change: many changes say more than many flows of a few.
const LOOKED_AT: usize = 400;
const PATIENCE: Duration = Duration::from_millis(150);

type Predicted = Vec<(Flow, Family, Verdict)>;

#[test]
fn the_data_path_follows_the_api_server_through_churn() {
    let shape = Shape::two_nodes(Wiring::PointToPoint, Between::Routes, ServiceProxy::Nftables);
    let Some(mut cluster) = InCluster::new("churn with the API server as the source", shape, "", &[]) else {
        return;
    };
    let seed = number("NETPOL_SEED").unwrap_or_else(|| UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()));
    let wanted = number("NETPOL_FLOWS").and_then(|flows| flows.try_into().ok()).unwrap_or(FLOWS);
    let mut rng = Rng::new(seed);
    let mut policies = Policies::new(&mut rng);
    cluster.enforced.running.apply(&random::cluster(&mut rng)).unwrap();
    cluster.edit(&[("policies.json", &policies.text())]);
    let mut before = predicted(&cluster.enforced);
    let (mut checked, mut tried, mut writes, mut round) = (0, 0, 0, 0);
    while checked < wanted {
        round += 1;
        let what = change(&mut rng, &mut cluster, &mut policies);
        let after = predicted(&cluster.enforced);
        // A change of one object has no state between before and after.
        let denied = if what.is_one_write() { denied(&mut rng, &before, &after) } else { Vec::new() };
        let written = AtomicBool::new(false);
        let running = &cluster.enforced.running;
        let attempts = thread::scope(|scope| {
            let attempts = scope.spawn(|| {
                let mut attempts = Vec::new();
                // Once more after the last write, for what is only programmed then.
                while !denied.is_empty() {
                    let last = written.load(Ordering::SeqCst);
                    attempts.extend(measure::outcomes(running, &denied, PATIENCE));
                    if last {
                        break;
                    }
                }
                attempts
            });
            writes += cluster.mirror.write(&cluster.server, running).unwrap();
            written.store(true, Ordering::SeqCst);
            attempts.join().expect("it does not panic")
        });
        tried += attempts.len();
        let passed: Vec<String> = attempts
            .iter()
            .zip(denied.iter().cycle())
            .filter(|(outcome, _)| matches!(outcome, Outcome::Connected(_) | Outcome::Refused))
            .map(|(outcome, (flow, family))| format!("{flow} over {family}: {outcome:?}"))
            .collect();
        let looked_at = some(&mut rng, &after);
        let wrong = measure::disagreements_within(running, &looked_at, Duration::from_secs(60));
        assert!(
            passed.is_empty() && wrong.is_empty(),
            "seed {seed}, round {round}, {what:?}: {} of {} attempts passed although denied{}\n{} of {} flows differ from the \
             evaluator{}\npolicies: {}{}",
            passed.len(),
            attempts.len(),
            lines(&passed[..passed.len().min(10)]),
            wrong.len(),
            looked_at.len(),
            lines(&wrong[..wrong.len().min(30)]),
            policies.text(),
            cluster.enforced.explain()
        );
        checked += looked_at.len();
        before = after;
    }
    summary::count(
        checked,
        &format!(
            "random flows with the API server as the source, {round} changes by {writes} writes: evaluator and data path \
             agree; {tried} attempts during changes, none passed wrongly (seed {seed})"
        ),
    );
}

fn some(rng: &mut Rng, flows: &Predicted) -> Predicted {
    let mut left = flows.clone();
    (0..LOOKED_AT.min(left.len())).map(|_| left.swap_remove(rng.below(left.len()))).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    OnePolicy,
    PolicyGone,
    LabelsOfPod,
    LabelsOfNamespace,
    PodReplaced,
    Everything,
}

impl What {
    fn is_one_write(self) -> bool {
        !matches!(self, Self::PodReplaced | Self::Everything)
    }
}

fn change(rng: &mut Rng, cluster: &mut InCluster, policies: &mut Policies) -> What {
    let running = &mut cluster.enforced.running;
    let mut objects = running.cluster.clone();
    let other = random::cluster(rng);
    let key = rng.pick(&objects.pods.keys().cloned().collect::<Vec<_>>()).clone();
    let what = *rng.pick(&[
        What::OnePolicy,
        What::OnePolicy,
        What::PolicyGone,
        What::LabelsOfPod,
        What::LabelsOfPod,
        What::LabelsOfNamespace,
        What::PodReplaced,
        What::Everything,
    ]);
    match what {
        What::OnePolicy => policies.replace(rng),
        What::PolicyGone => policies.remove(rng),
        What::LabelsOfPod => relabel(&mut objects, &other, &key),
        What::LabelsOfNamespace => {
            let name = objects.pods[&key].namespace.clone();
            objects.namespaces.insert(name.clone(), other.namespaces[&name].clone());
        }
        What::PodReplaced => {
            let mut fewer = objects.clone();
            fewer.pods.remove(&key);
            running.apply(&fewer).unwrap();
            objects.pods.insert(key.clone(), other.pods[&key].clone());
        }
        What::Everything => {
            objects = other;
            *policies = Policies::new(rng);
        }
    }
    running.apply(&objects).unwrap();
    cluster.enforced.edit(&[("policies.json", &policies.text())]);
    what
}

/// Other labels for a pod that stays behind the Services that it is behind: a Service's endpoints are other objects.
fn relabel(objects: &mut Cluster, other: &Cluster, key: &str) {
    let pod = objects.pods.get_mut(key).expect("it is there");
    let front = pod.labels.remove("front");
    pod.labels = other.pods[key].labels.clone();
    pod.labels.remove("front");
    pod.labels.extend(front.map(|value| ("front".to_owned(), value)));
}

/// Some flows between pods that are denied in both states.
fn denied(rng: &mut Rng, before: &Predicted, after: &Predicted) -> Vec<(Flow, Family)> {
    let closed = |flows: &Predicted| -> BTreeSet<(Flow, Family)> {
        let closed = flows.iter().filter(|(flow, _, verdict)| {
            *verdict == Verdict::Closed
                && matches!(flow.source, Source::Pod(_))
                && matches!(flow.destination, Destination::Pod(..))
        });
        closed.map(|(flow, family, _)| (flow.clone(), *family)).collect()
    };
    let mut both: Vec<_> = closed(before).intersection(&closed(after)).cloned().collect();
    (0..TRIED.min(both.len())).map(|_| both.swap_remove(rng.below(both.len()))).collect()
}

struct Policies {
    items: Vec<Value>,
    next: usize,
}

impl Policies {
    fn new(rng: &mut Rng) -> Self {
        let mut policies = Self { items: Vec::new(), next: 0 };
        for _ in 0..POLICIES {
            policies.add(rng);
        }
        policies
    }

    fn text(&self) -> String {
        json!({ "apiVersion": "v1", "kind": "List", "items": self.items }).to_string()
    }

    fn add(&mut self, rng: &mut Rng) {
        let list: Value = serde_json::from_str(&random::policies(rng, 1)).expect("JSON");
        let mut policy = list["items"][0].clone();
        policy["metadata"]["name"] = json!(format!("policy-{}", self.next));
        self.next += 1;
        self.items.push(policy);
    }

    /// One policy says something else; another namespace's would be another policy.
    fn replace(&mut self, rng: &mut Rng) {
        let at = rng.below(self.items.len().max(1));
        let before = self.items.get(at).map(|policy| policy["metadata"].clone());
        self.add(rng);
        if let Some(metadata) = before {
            let mut policy = self.items.pop().expect("it was added");
            policy["metadata"] = metadata;
            self.items[at] = policy;
        }
    }

    fn remove(&mut self, rng: &mut Rng) {
        if self.items.len() > 2 {
            self.items.swap_remove(rng.below(self.items.len()));
        } else {
            self.add(rng);
        }
    }
}
