//! What reviews cost beside a large cluster, without TLS, HTTP and the log: `reviews TIMES` answers 1,000 reviews so many times
//! and says how long each took, `reviews TIMES answers` prints the answers too. To count instructions, without those of the
//! first 1,000, for which nothing is remembered yet: `valgrind --tool=callgrind --collect-atstart=no
//! --toggle-collect='*counted*' target/release/examples/reviews 1`, of a build with `CARGO_PROFILE_RELEASE_STRIP=none`.

#[path = "../../tests/src/bin/bench/webhook/objects.rs"]
mod objects;

use std::sync::Arc;

use netpol_lint::facts::Readable;
use netpol_lint::live::{KINDS, Piece};
use netpol_webhook::cluster::{Snapshot, Watch};
use netpol_webhook::config::Config;
use netpol_webhook::review::Request;
use netpol_webhook::validate::Validator;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PODS: usize = 10_000;
const POLICIES: usize = 1_000;

fn main() {
    let times = std::env::args().nth(1).and_then(|times| times.parse().ok()).unwrap_or(1);
    let validator = Validator::new(Config::default(), Some(Watch::of(snapshot())));
    let bodies = objects::reviews();
    answer_all(&validator, &bodies, &mut Vec::new());
    let (start, mut answer) = (std::time::Instant::now(), Vec::new());
    for _ in 0..times {
        counted(&validator, &bodies, &mut answer);
    }
    let each = start.elapsed() / (times * bodies.len()).max(1) as u32;
    eprintln!("{each:?} each");
    if std::env::args().nth(2).is_some() {
        answer.clear();
        answer_all(&validator, &bodies, &mut answer);
        answer.iter().for_each(|answer| println!("{}", String::from_utf8_lossy(answer)));
    }
}

#[inline(never)]
fn counted(validator: &Validator, bodies: &[String], answers: &mut Vec<Vec<u8>>) {
    answers.clear();
    answer_all(validator, bodies, answers);
}

fn answer_all(validator: &Validator, bodies: &[String], answers: &mut Vec<Vec<u8>>) {
    for body in bodies {
        let request = Request::parse(body.as_bytes()).expect("a review");
        let verdict = validator.review(&request);
        answers.push(verdict.response.to_json().expect("texts"));
    }
}

fn snapshot() -> Snapshot {
    let pieces = |name: &str, objects: Vec<Value>| {
        let kind = KINDS.iter().find(|kind| kind.kind == name).expect("it is read");
        objects.into_iter().map(|object| Arc::new(Piece::read(kind, object))).collect::<Vec<_>>()
    };
    let in_namespace = |mut object: Value, number: usize| {
        object["metadata"]["namespace"] = objects::namespace(number).into();
        object
    };
    let namespace = |number: usize| {
        let name = objects::namespace(number);
        json!({"metadata": {"name": name, "labels": {"team": format!("team-{}", number % 20), "kubernetes.io/metadata.name": name}}})
    };
    let system = ["default", "kube-system", "kube-public", "kube-node-lease"]
        .map(|name| json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}));
    let namespaces = (0..objects::NAMESPACES).map(namespace).chain(system).collect();
    let pods = (0..PODS).map(|number| in_namespace(objects::pod(number), number)).collect();
    let policies = (0..POLICIES)
        .map(|number| in_namespace(objects::policy(&format!("policy-{number}"), number), number))
        .collect();
    let policies = pieces("NetworkPolicy", policies);
    let mut readable = Readable::default();
    KINDS.iter().for_each(|kind| readable.mark(kind.kind));
    let all = [pieces("Namespace", namespaces), pieces("Pod", pods), policies.clone()].concat();
    Snapshot::new(&all, policies, readable)
}
