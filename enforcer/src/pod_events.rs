//! Kubernetes Events on pods whose traffic is denied often: `kubectl describe pod` shows them.
//!
//! They are for people who have no access to the node, and must never hold up anything: what is too much is counted and dropped.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::Client;
use kube::api::{Api, ListParams};
use kube::runtime::events::{Event as Published, EventType, Recorder, Reporter};
use netpol_enforcer_common::event::{AUDITED, Event};
use netpol_enforcer_common::reason::Reason;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::log;
use crate::metrics::{Published as Result, count_published};
use crate::monitor::{Explainer, Notice, View, end};

/// So many packets of a pod in a direction within [`WINDOW`] are often.
const OFTEN: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// A pod has at most one event in this time, for each direction.
const PER_POD: Duration = Duration::from_secs(600);
/// All pods together: so many at once, and one more in each interval.
const BURST: f64 = 20.0;
const INTERVAL: Duration = Duration::from_secs(3);
/// So many may wait to be written.
const QUEUE: usize = 64;
/// Who reports.
const CONTROLLER: &str = "netpol.dev/enforcer";
/// The API server takes notes of up to 1,024 bytes.
const LONGEST: usize = 1000;

/// What is said about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    namespace: String,
    pod: String,
    audited: bool,
    note: String,
}

/// Looks at every verdict.
pub struct Watcher {
    sender: Sender<Denial>,
    counts: HashMap<(u32, u8), Count>,
    tokens: f64,
    filled: Instant,
}

struct Count {
    since: Instant,
    packets: u32,
    told: Option<Instant>,
}

/// What looks, and what it found.
#[must_use]
pub fn watch() -> (Watcher, Receiver<Denial>) {
    let (sender, receiver) = channel(QUEUE);
    (Watcher { sender, counts: HashMap::new(), tokens: BURST, filled: Instant::now() }, receiver)
}

impl Watcher {
    /// One verdict.
    pub fn see(&mut self, event: &Event, view: &View, explainer: &mut Explainer) {
        self.see_at(event, view, explainer, Instant::now());
    }

    fn see_at(&mut self, event: &Event, view: &View, explainer: &mut Explainer, now: Instant) {
        let policy = [Reason::NotAllowed as u8, Reason::Closed as u8].contains(&event.reason);
        if !policy || !view.generations.contains_key(&event.generation) {
            return;
        }
        let fresh = Count { since: now, packets: 0, told: None };
        let count = self.counts.entry((event.generation, event.direction)).or_insert(fresh);
        if now.saturating_duration_since(count.since) > WINDOW {
            (count.since, count.packets) = (now, 0);
        }
        count.packets += 1;
        let told = count.told.is_some_and(|told| now.saturating_duration_since(told) < PER_POD);
        if count.packets < OFTEN || told {
            return;
        }
        count.told = Some(now);
        self.counts.retain(|(generation, _), _| view.generations.contains_key(generation));
        let notice = explainer.explain(event, view);
        let Some((namespace, pod)) = notice.pod.as_deref().and_then(|pod| pod.split_once('/')) else {
            return;
        };
        let denial = Denial {
            namespace: namespace.into(),
            pod: pod.into(),
            audited: event.flags & AUDITED != 0,
            note: note(&notice),
        };
        if !self.take_token(now) || self.sender.try_send(denial).is_err() {
            count_published(Result::Limited);
        }
    }

    fn take_token(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() / INTERVAL.as_secs_f64();
        (self.tokens, self.filled) = ((self.tokens + gained).min(BURST), now);
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

fn note(notice: &Notice) -> String {
    let what = if notice.verdict == "audit" { "would be denied (audit mode)" } else { "were denied" };
    let mut note = format!(
        "{OFTEN} packets or more {what} within a minute, {direction}; the last: {source} -> {destination} {protocol}.",
        direction = notice.direction,
        source = end(&notice.source),
        destination = end(&notice.destination),
        protocol = notice.protocol,
    );
    if !notice.isolated_by.is_empty() {
        note.push_str(&format!(" Isolated by {}", notice.isolated_by.join(", ")));
        note.push_str(&notice.rule.as_ref().map_or_else(String::new, |rule| format!("; {rule}")));
        note.push('.');
    }
    let end = note.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LONGEST).last();
    note.truncate(end.unwrap_or(0));
    note
}

/// Writes events, one after the other.
pub async fn publish(client: Client, node: String, mut denials: Receiver<Denial>) {
    let reporter =
        Reporter { controller: CONTROLLER.to_owned(), instance: Some(node.chars().take(128).collect()) };
    let recorder = Recorder::new(client.clone(), reporter);
    while let Some(denial) = denials.recv().await {
        match write(&client, &recorder, &denial).await {
            Ok(()) => count_published(Result::Written),
            Err(error) => {
                count_published(Result::Failed);
                let pod = format!("{}/{}", denial.namespace, denial.pod);
                log::debug("an event can't be written", &[("pod", &pod), ("error", &error)]);
            }
        }
    }
}

async fn write(
    client: &Client,
    recorder: &Recorder,
    denial: &Denial,
) -> std::result::Result<(), kube::Error> {
    let (type_, reason) = if denial.audited {
        (EventType::Normal, "TrafficWouldBeDenied")
    } else {
        (EventType::Warning, "TrafficDenied")
    };
    let event = Published {
        type_,
        reason: reason.into(),
        note: Some(denial.note.clone()),
        action: "Enforce".into(),
        secondary: None,
    };
    // `kubectl describe` finds events by the pod's UID. To list is allowed anyway.
    let pods: Api<Pod> = Api::namespaced(client.clone(), &denial.namespace);
    let named = ListParams::default().fields(&format!("metadata.name={}", denial.pod)).limit(1);
    let uid = pods.list_metadata(&named).await?.items.first().and_then(kube::ResourceExt::uid);
    let regarding = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(denial.namespace.clone()),
        name: Some(denial.pod.clone()),
        uid,
        ..ObjectReference::default()
    };
    recorder.publish(&event, &regarding).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use netpol_enforcer_common::Address;
    use netpol_policy::model::{WorkloadKind, WorkloadName};

    fn event(generation: u32) -> Event {
        let address = |last| Address::from_v4([10, 0, 0, last]);
        Event {
            time: 0,
            generation,
            ifindex: 4,
            set: 1,
            identity: 1,
            rule: 0,
            epoch: 3,
            length: 60,
            source: address(2),
            destination: address(3),
            source_port: 40_000,
            destination_port: 22,
            ether_type: 0x0800,
            slot: 1,
            protocol: 6,
            direction: 0,
            reason: Reason::NotAllowed as u8,
            flags: 0,
        }
    }

    fn view(pods: u32) -> View {
        let manifest = netpol_policy::source::Manifest::read(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: closed, namespace: shop}\n\
             spec: {podSelector: {}}\n---\n\
             {apiVersion: v1, kind: Pod, metadata: {name: pod-1, namespace: shop}, status: {podIPs: [{ip: 10.0.0.3}]}}\n",
            "default",
        );
        assert_eq!(manifest.errors, []);
        let name = |number: u32| WorkloadName::new("shop", WorkloadKind::Pod, format!("pod-{number}"));
        View {
            version: 1,
            objects: netpol_policy::source::cluster([&manifest]).into(),
            generations: (1..=pods).map(|number| (number, name(number))).collect(),
            ..View::default()
        }
    }

    #[test]
    fn a_pod_is_told_of_once_in_a_while() {
        let (mut watcher, mut denials) = watch();
        let (view, mut explainer) = (view(1), Explainer::default());
        let start = Instant::now();
        let mut flood = |packets: u32, after: u64| {
            for _ in 0..packets {
                watcher.see_at(&event(1), &view, &mut explainer, start + Duration::from_secs(after));
            }
            std::iter::from_fn(|| denials.try_recv().ok()).collect::<Vec<_>>()
        };
        assert_eq!(flood(OFTEN - 1, 0), []);
        assert_eq!(flood(OFTEN - 1, 100), [], "those were not within a minute");
        let told = flood(1000, 110);
        assert_eq!(told.len(), 1);
        assert_eq!((&*told[0].namespace, &*told[0].pod, told[0].audited), ("shop", "pod-1", false));
        assert_eq!(
            told[0].note,
            "10 packets or more were denied within a minute, ingress; the last: 10.0.0.2:40000 -> shop/pod-1 (10.0.0.3:22) \
             TCP. Isolated by shop/closed; no rule allows anything in this direction."
        );
        assert_eq!(flood(1000, 500), []);
        assert_eq!(flood(1000, 800).len(), 1);
    }

    #[test]
    fn many_pods_at_once_are_too_much() {
        let (mut watcher, mut denials) = watch();
        let (view, mut explainer) = (view(1000), Explainer::default());
        let start = Instant::now();
        watcher.filled = start;
        for pod in 1..=1000 {
            for _ in 0..OFTEN {
                watcher.see_at(&event(pod), &view, &mut explainer, start);
            }
        }
        assert_eq!(std::iter::from_fn(|| denials.try_recv().ok()).count(), BURST as usize);
    }

    #[test]
    fn what_no_policy_denies_is_not_told() {
        let (mut watcher, mut denials) = watch();
        let (view, mut explainer) = (view(1), Explainer::default());
        for _ in 0..1000 {
            let spoofed = Event { reason: Reason::Spoofed as u8, ..event(1) };
            watcher.see(&spoofed, &view, &mut explainer);
            watcher.see(&event(7), &view, &mut explainer);
        }
        assert!(denials.try_recv().is_err());
    }
}
