//! Flows as real connections: from within pods, from nodes, from outside.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use netpol_tests::probe::Target;
use netpol_tests::probe::server::Port;
use netpol_tests::scenario::flow::{Destination, Flow, Source};
use serde_json::Value;

use crate::kubectl::Kubectl;
use crate::nodes::Nodes;
use crate::objects::{LABEL, host_pod_name};
use crate::outside::{self, Outside};

/// How long an attempt waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where pods and Services are.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Pods by `namespace/name`: address and node.
    pub(crate) pods: BTreeMap<String, (IpAddr, String)>,
    /// Services by `namespace/name`.
    services: BTreeMap<String, IpAddr>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There was an answer.
    Connected,
    /// There was none.
    Silence,
    /// Something else, in the words of the program that tried.
    Other(String),
}

/// Where an attempt is made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// In a pod.
    Pod { namespace: String, name: String },
    /// On a host outside.
    Outside(u8),
}

impl Places {
    /// Asks the API server.
    pub(crate) fn ask(kubectl: &Kubectl) -> Result<Self> {
        let mut places = Self::default();
        let selector = format!("--selector={LABEL}");
        let list = kubectl.get(&["pods,services", "--all-namespaces", &selector])?;
        for item in list["items"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let metadata = &item["metadata"];
            let key = format!(
                "{}/{}",
                metadata["namespace"].as_str().unwrap_or_default(),
                metadata["name"].as_str().unwrap_or_default()
            );
            if item["kind"] == "Service" {
                let address = item["spec"]["clusterIP"].as_str().and_then(|address| address.parse().ok());
                places.services.insert(key, address.context("a Service has no address")?);
            } else {
                let address = item["status"]["podIP"].as_str().and_then(|address| address.parse().ok());
                let node = text(&item["spec"]["nodeName"]).unwrap_or_default();
                places.pods.insert(key, (address.context("a pod has no address")?, node));
            }
        }
        Ok(places)
    }
}

/// Tries every flow once, all side by side. `None`: there is no host outside to try it from.
pub(crate) fn try_all(
    kubectl: &Kubectl,
    places: &Places,
    nodes: &Nodes,
    outside: Option<&Outside>,
    flows: &[Flow],
) -> Result<Vec<Option<Outcome>>> {
    let mut groups: BTreeMap<Origin, Vec<(usize, Target)>> = BTreeMap::new();
    for (index, flow) in flows.iter().enumerate() {
        if needs_outside(flow) && outside.is_none() {
            continue;
        }
        let (origin, target) =
            resolve(flow, places, nodes).with_context(|| format!("where does {flow} lead?"))?;
        groups.entry(origin).or_default().push((index, target));
    }
    let mut outcomes = vec![None; flows.len()];
    thread::scope(|scope| -> Result<()> {
        let running = groups.iter().map(|(origin, probes)| {
            scope.spawn(move || match origin {
                Origin::Pod { namespace, name } => in_pod(kubectl, namespace, name, probes),
                Origin::Outside(number) => from_outside(outside, *number, probes),
            })
        });
        for group in running.collect::<Vec<_>>() {
            for (index, outcome) in group.join().expect("no attempt panics")? {
                outcomes[index] = Some(outcome);
            }
        }
        Ok(())
    })?;
    Ok(outcomes)
}

/// Whether a host outside has a part in it.
pub(crate) fn needs_outside(flow: &Flow) -> bool {
    matches!(flow.source, Source::Outside(_))
        || matches!(flow.destination, Destination::Outside(_) | Destination::PingOutside(_))
}

fn resolve(flow: &Flow, places: &Places, nodes: &Nodes) -> Result<(Origin, Target)> {
    let pod = |key: &String| places.pods.get(key).with_context(|| format!("there is no pod {key}"));
    let (origin, own_node) = match &flow.source {
        Source::Pod(key) => {
            let (namespace, name) = key.split_once('/').context("a pod's key is namespace/name")?;
            let origin = Origin::Pod { namespace: namespace.to_owned(), name: name.to_owned() };
            (origin, nodes.named(&pod(key)?.1)?)
        }
        Source::Outside(number) => (Origin::Outside(*number), nodes.place(None, 0)),
        Source::Node => {
            let node = match &flow.destination {
                Destination::Pod(key, _) | Destination::Ping(key) => nodes.named(&pod(key)?.1)?,
                _ => nodes.place(None, 0),
            };
            (Origin::Pod { namespace: "default".into(), name: host_pod_name(&node.name) }, node)
        }
    };
    let target = match &flow.destination {
        Destination::Pod(key, port) => Target::Port(pod(key)?.0, *port),
        Destination::Ping(key) => Target::Echo(pod(key)?.0),
        Destination::Service(key, port) => {
            let address = places.services.get(key).with_context(|| format!("there is no Service {key}"))?;
            Target::Port(*address, *port)
        }
        Destination::NodePort(port) => Target::Port(own_node.address, *port),
        Destination::Outside(number) => {
            Target::Port(outside::address(*number), Port::tcp(netpol_tests::lab::OUTSIDE_PORT))
        }
        Destination::PingOutside(number) => Target::Echo(outside::address(*number)),
    };
    Ok((origin, target))
}

/// The command line that tries it within a pod.
pub(crate) fn connect_command(to: IpAddr, port: Port, patience: Duration) -> String {
    let to = SocketAddr::new(to, port.number);
    format!("/agnhost connect {to} --protocol={} --timeout={}ms", port.transport, patience.as_millis())
}

fn in_pod(
    kubectl: &Kubectl,
    namespace: &str,
    name: &str,
    probes: &[(usize, Target)],
) -> Result<Vec<(usize, Outcome)>> {
    let mut script = String::new();
    for (index, target) in probes {
        let command = match target {
            Target::Port(to, port) => connect_command(*to, *port, PATIENCE),
            Target::Echo(to) => format!("ping -c1 -W{} {to} >/dev/null", PATIENCE.as_secs()),
        };
        // One line each, whole: they run side by side.
        script.push_str(&format!("{{ said=$({command} 2>&1); echo \"{index} $? $said\"; }} &\n"));
    }
    script.push_str("wait\n");
    let said = kubectl.run(&["-n", namespace, "exec", name, "--", "sh", "-c", &script])?;
    let outcomes = said.lines().filter_map(|line| {
        let mut words = line.splitn(3, ' ');
        let index = words.next()?.parse().ok()?;
        let status = words.next()?;
        let said = words.next().unwrap_or_default().trim();
        let silent =
            matches!(probes.iter().find(|(at, _)| *at == index)?.1, Target::Echo(_)) || said == "TIMEOUT";
        let outcome = match status {
            "0" => Outcome::Connected,
            _ if silent => Outcome::Silence,
            _ => Outcome::Other(said.to_owned()),
        };
        Some((index, outcome))
    });
    Ok(outcomes.collect())
}

fn from_outside(
    outside: Option<&Outside>,
    number: u8,
    probes: &[(usize, Target)],
) -> Result<Vec<(usize, Outcome)>> {
    let outside = outside.context("no host outside")?;
    let from = outside::address(number);
    thread::scope(|scope| {
        let attempts = probes.iter().map(|(index, target)| {
            scope.spawn(move || {
                let answered = outside.reaches(from, *target, PATIENCE)?;
                Ok((*index, if answered { Outcome::Connected } else { Outcome::Silence }))
            })
        });
        let attempts = attempts.collect::<Vec<_>>().into_iter();
        attempts.map(|attempt| attempt.join().expect("no attempt panics")).collect()
    })
}
