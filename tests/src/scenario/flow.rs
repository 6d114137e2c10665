//! Flows in words: `frontend, newcomer -> db:3306, service db:3306`.
//!
//! Sources: a pod, `node` (the destination pod's own), `outside-1` and further hosts outside the cluster.
//! Destinations: `POD:PORT`, `POD:PORT/udp`, `service NAME:PORT`, `node port NUMBER`, `ping POD`, `outside-1:80`,
//! `ping outside-1`. Pods and Services outside the namespace `default` are written `namespace/name`.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cluster::{Cluster, ServiceObject};
use crate::lab::{OUTSIDE_ADDRESSES, OUTSIDE_PORT};
use crate::probe::server::{Port, Transport};

/// Something that opens a connection, and what it connects to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// Who opens it.
    pub source: Source,
    /// What it leads to.
    pub destination: Destination,
}

/// Who opens a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A pod, by `namespace/name`.
    Pod(String),
    /// The node on which the destination pod runs.
    Node,
    /// A host outside, counted from 1.
    Outside(u8),
}

/// What a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Destination {
    /// A port of a pod.
    Pod(String, Port),
    /// A pod, by ICMP echo.
    Ping(String),
    /// A port of a Service.
    Service(String, Port),
    /// A node port, at the source's own node; from outside at the first node.
    NodePort(Port),
    /// The port of a host outside, counted from 1.
    Outside(u8),
    /// A host outside, by ICMP echo.
    PingOutside(u8),
}

impl Flow {
    /// Whether it leads from a pod to that same pod, or to a Service with nobody else behind it.
    #[must_use]
    pub fn is_to_itself(&self, cluster: &Cluster) -> bool {
        let Source::Pod(source) = &self.source else { return false };
        match &self.destination {
            Destination::Pod(pod, _) | Destination::Ping(pod) => pod == source,
            _ => {
                let behind = self.pods_behind(cluster);
                !behind.is_empty() && behind.iter().all(|(pod, _)| pod == source)
            }
        }
    }

    /// Where it can arrive: pods with the port there; `None` for ICMP.
    #[must_use]
    pub fn pods_behind(&self, cluster: &Cluster) -> Vec<(String, Option<Port>)> {
        let behind = |service: &ServiceObject, matches: &dyn Fn(&crate::cluster::ServicePort) -> bool| {
            let ports = service.ports.iter().filter(|port| matches(port));
            let pods = ports.flat_map(|port| {
                let pods = cluster.pods_behind(service);
                pods.filter_map(|(key, pod)| {
                    let number = pod.target(&port.target, port.transport)?;
                    Some((key.to_owned(), Some(Port { transport: port.transport, number })))
                })
            });
            pods.collect::<Vec<_>>()
        };
        match &self.destination {
            Destination::Pod(pod, port) => vec![(pod.clone(), Some(*port))],
            Destination::Ping(pod) => vec![(pod.clone(), None)],
            Destination::Service(name, wanted) => behind(&cluster.services[name], &|port| {
                port.number == wanted.number && port.transport == wanted.transport
            }),
            Destination::NodePort(wanted) => {
                let services = cluster.services.values();
                let all = services.flat_map(|service| {
                    behind(service, &|port| {
                        port.node_port == Some(wanted.number) && port.transport == wanted.transport
                    })
                });
                all.collect()
            }
            Destination::Outside(_) | Destination::PingOutside(_) => Vec::new(),
        }
    }
}

/// The flows that a line of `expected.yaml` stands for: every source with every destination.
///
/// # Errors
/// When the line has another shape, or names something that the cluster doesn't have.
pub fn parse(line: &str, cluster: &Cluster) -> Result<Vec<Flow>> {
    let flows = || -> Result<Vec<Flow>> {
        let (sources, destinations) = line.split_once("->").context("a flow is SOURCE -> DESTINATION")?;
        let mut flows = Vec::new();
        for source in sources.split(',') {
            for destination in destinations.split(',') {
                flows.push(Flow {
                    source: parse_source(source.trim(), cluster)?,
                    destination: parse_destination(destination.trim(), cluster)?,
                });
            }
        }
        Ok(flows)
    };
    flows().with_context(|| format!("in the flow {line:?}"))
}

/// From every pod to every declared port of every pod (itself included), and to every Service.
#[must_use]
pub fn between_pods(cluster: &Cluster) -> Vec<Flow> {
    let mut destinations = Vec::new();
    for (key, pod) in &cluster.pods {
        destinations.extend(pod.ports.iter().map(|port| {
            Destination::Pod(key.clone(), Port { transport: port.transport, number: port.number })
        }));
    }
    for (key, service) in &cluster.services {
        destinations.extend(service.ports.iter().map(|port| {
            Destination::Service(key.clone(), Port { transport: port.transport, number: port.number })
        }));
    }
    let from = |source: &String| {
        let source = Source::Pod(source.clone());
        destinations
            .iter()
            .map(move |to| Flow { source: source.clone(), destination: to.clone() })
            .collect::<Vec<_>>()
    };
    cluster.pods.keys().flat_map(from).collect()
}

fn parse_source(text: &str, cluster: &Cluster) -> Result<Source> {
    if text == "node" {
        return Ok(Source::Node);
    }
    match outside(text)? {
        Some(number) => Ok(Source::Outside(number)),
        None => Ok(Source::Pod(pod(text, cluster)?)),
    }
}

fn parse_destination(text: &str, cluster: &Cluster) -> Result<Destination> {
    if let Some(target) = text.strip_prefix("ping ") {
        return match outside(target)? {
            Some(number) => Ok(Destination::PingOutside(number)),
            None => Ok(Destination::Ping(pod(target, cluster)?)),
        };
    }
    if let Some(number) = text.strip_prefix("node port ") {
        return Ok(Destination::NodePort(port(number)?));
    }
    let (name, number) = text.rsplit_once(':').with_context(|| format!("{text:?} has no port"))?;
    let port = port(number)?;
    if let Some(name) = name.strip_prefix("service ") {
        let key = qualified(name);
        ensure!(cluster.services.contains_key(&key), "there is no Service {key}");
        return Ok(Destination::Service(key, port));
    }
    match outside(name)? {
        Some(number) if port == Port::tcp(OUTSIDE_PORT) => Ok(Destination::Outside(number)),
        Some(_) => bail!("outside hosts listen on port {OUTSIDE_PORT} only"),
        None => Ok(Destination::Pod(pod(name, cluster)?, port)),
    }
}

fn pod(name: &str, cluster: &Cluster) -> Result<String> {
    let key = qualified(name);
    ensure!(cluster.pods.contains_key(&key), "there is no pod {key}");
    Ok(key)
}

fn qualified(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("default/{name}") }
}

fn outside(text: &str) -> Result<Option<u8>> {
    let Some(number) = text.strip_prefix("outside-") else { return Ok(None) };
    let number = number.parse::<u8>().with_context(|| format!("{text:?} has no number"))?;
    ensure!((1..=OUTSIDE_ADDRESSES).contains(&number), "there are {OUTSIDE_ADDRESSES} hosts outside");
    Ok(Some(number))
}

fn port(text: &str) -> Result<Port> {
    let (number, transport) = match text.split_once('/') {
        None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Transport::Tcp),
        Some((number, "udp")) => (number, Transport::Udp),
        Some((number, "sctp")) => (number, Transport::Sctp),
        Some((_, other)) => bail!("{other:?} is no protocol with ports"),
    };
    Ok(Port { transport, number: number.parse().with_context(|| format!("{number:?} is no port"))? })
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Pod(pod) => f.write_str(short(pod))?,
            Source::Node => f.write_str("node")?,
            Source::Outside(number) => write!(f, "outside-{number}")?,
        }
        f.write_str(" -> ")?;
        match &self.destination {
            Destination::Pod(pod, port) => write!(f, "{}:{}", short(pod), Suffix(*port)),
            Destination::Ping(pod) => write!(f, "ping {}", short(pod)),
            Destination::Service(name, port) => write!(f, "service {}:{}", short(name), Suffix(*port)),
            Destination::NodePort(port) => write!(f, "node port {}", Suffix(*port)),
            Destination::Outside(number) => write!(f, "outside-{number}:{OUTSIDE_PORT}"),
            Destination::PingOutside(number) => write!(f, "ping outside-{number}"),
        }
    }
}

fn short(key: &str) -> &str {
    key.strip_prefix("default/").unwrap_or(key)
}

struct Suffix(Port);

impl fmt::Display for Suffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.transport {
            Transport::Tcp => write!(f, "{}", self.0.number),
            other => write!(f, "{}/{other}", self.0.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_for_every_pair_and_reads_back() {
        let cluster = crate::scenario::Scenario::read("three-tier").unwrap();
        let cluster = cluster.cluster(&cluster.expected.stages[0]).unwrap();
        let line =
            "frontend, outside-2 -> db:3306, service db:3306, ping db, node port 30001/udp, outside-1:80";
        let flows = parse(line, &cluster).unwrap();
        assert_eq!(flows.len(), 10);
        for flow in flows {
            assert_eq!(parse(&flow.to_string(), &cluster).unwrap(), [flow]);
        }
        for wrong in
            ["frontend", "frontend -> db", "nobody -> db:3306", "outside-9 -> db:3306", "node -> db:x"]
        {
            parse(wrong, &cluster).unwrap_err();
        }
    }
}
