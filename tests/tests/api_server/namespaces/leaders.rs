//! One leader, whatever happens to it.

use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::DeleteParams;
use netpol_tests::apiserver::block_on;
use netpol_tests::webhook::Webhook;
use rustix::process::Signal;

use super::world::{World, eventually};

const DENY: [&str; 1] = ["netpol-default-deny: Ingress,Egress 0"];
const CREATED: &str = "controller_writes_total{operation=\"create\"}";

/// The Lease's time in these tests.
const TERM: Duration = Duration::from_secs(3);

/// Which of the replicas leads; waits until one does.
pub(super) fn leader(replicas: &[Webhook]) -> usize {
    let leading = || replicas.iter().position(leads);
    eventually(leading).expect("somebody leads")
}

/// How often the Lease has changed hands.
pub(super) fn transitions(world: &World) -> i32 {
    let api = Api::<Lease>::namespaced(world.client(), "netpol-system");
    let lease = block_on(api.get("netpol-webhook")).unwrap();
    lease.spec.unwrap_or_default().lease_transitions.unwrap_or_default()
}

fn leads(replica: &Webhook) -> bool {
    replica.metric("controller_leader").is_ok_and(|leads| leads == 1)
}

#[test]
fn there_is_one_leader() {
    let Some(world) = World::enter("there_is_one_leader") else { return };
    let name = world.isolated("led", "all");
    let mut replicas: Vec<_> = (0..3).map(|_| world.webhook(&[])).collect();
    leader(&replicas);
    world.until(&name, &DENY);
    let before = transitions(&world);

    // Asked to end, it hands over by itself: nobody has to wait for the end of its lease.
    let first = replicas.swap_remove(leader(&replicas));
    first.signal(Signal::TERM).unwrap();
    first.log(|line| line["message"] == "lease released").unwrap();
    let second = leader(&replicas);
    drop(first);
    assert_eq!(transitions(&world), before + 1);

    // Stopped without a word, it is replaced after its time, and not sooner.
    let (second, third) = (&replicas[second], &replicas[1 - second]);
    second.signal(Signal::STOP).unwrap();
    let stopped = Instant::now();
    while !leads(third) {
        assert!(stopped.elapsed() < TERM * 10, "nobody takes over");
        thread::park_timeout(Duration::from_millis(20));
    }
    // The last renewal is at most a pause old when it stops.
    let pause = TERM * 2 / 15 * 2;
    assert!(stopped.elapsed() + pause >= TERM, "taken over after {:?}", stopped.elapsed());
    assert_eq!(transitions(&world), before + 2);
    block_on(world.policies(&name).delete("netpol-default-deny", &DeleteParams::default())).unwrap();
    world.until(&name, &DENY);
    let by_third = third.metric(CREATED).unwrap();
    assert!(by_third > 0);

    // It comes back to itself, and has no more to say.
    second.signal(Signal::CONT).unwrap();
    assert!(!leads(second), "its time is over");
    second.log(|line| line["message"] == "no longer leading").unwrap();
    let by_second = second.metric(CREATED).unwrap();
    for _ in 0..3 {
        block_on(world.policies(&name).delete("netpol-default-deny", &DeleteParams::default())).unwrap();
        world.until(&name, &DENY);
    }
    assert!(eventually(|| (third.metric(CREATED).unwrap() == by_third + 3).then_some(())).is_some());
    assert_eq!(second.metric(CREATED).unwrap(), by_second);
    assert!(!leads(second) && leads(third));
    assert_eq!(transitions(&world), before + 2);
}

#[test]
fn work_goes_on_after_the_api_server_was_away() {
    let Some(world) = World::enter("work_goes_on_after_the_api_server_was_away") else { return };
    let name = world.isolated("away", "all");
    let webhook = world.webhook(&[]);
    world.until(&name, &DENY);
    world.server.stop().unwrap();
    // It can't renew any more, and knows.
    webhook.log(|line| line["message"] == "no longer leading").unwrap();
    assert!(!leads(&webhook));
    world.server.restart().unwrap();
    block_on(world.policies(&name).delete("netpol-default-deny", &DeleteParams::default())).unwrap();
    world.until(&name, &DENY);
    let other = world.isolated("later", "ingress");
    world.until(&other, &["netpol-default-deny: Ingress 0"]);
    assert!(leads(&webhook));
    assert!(webhook.stop().unwrap().success());
}
