//! What the evaluator says of a flow.

use std::fs;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::Path;

use anyhow::{Context as _, Result};
use netpol_policy::evaluate::{Endpoint, Evaluator, Flow as PolicyFlow};
use netpol_policy::model::{Cluster, Protocol, Traffic};
use netpol_policy::source::{self, Content, Manifest};

use super::Verdict;
use super::flow::{Destination, Flow, Source};
use crate::cluster;
use crate::cluster::layout::Layout;
use crate::lab::address::{self, Family};
use crate::probe::server::{Port, Transport};

/// Objects as `policy/` reads them.
#[derive(Debug)]
pub struct Loaded {
    /// What counts.
    pub cluster: Cluster,
    /// The names of files that can't be read, or hold a policy that is none.
    pub refused: Vec<String>,
}

/// Reads a directory of manifests.
///
/// # Errors
/// When a file can't be opened.
pub fn load(directory: &Path) -> Result<Loaded> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let entry = entry?;
        texts.push((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?));
    }
    Ok(loaded(texts))
}

/// Reads texts: name and content of each.
#[must_use]
pub fn loaded<N: Into<String>>(texts: Vec<(N, String)>) -> Loaded {
    let mut texts = texts.into_iter().map(|(name, text)| (name.into(), text)).collect::<Vec<(String, _)>>();
    texts.sort();
    let loaded = source::load(texts, "default");
    let refused =
        loaded.manifests.into_iter().filter(|(_, manifest)| is_refused(manifest)).map(|(name, _)| name);
    Loaded { cluster: loaded.cluster, refused: refused.collect() }
}

fn is_refused(manifest: &Manifest) -> bool {
    let broken = manifest.objects.iter().any(|object| match &object.content {
        Content::Policy(policy) => policy.model.is_none(),
        Content::Broken => true,
        _ => false,
    });
    broken || !manifest.errors.is_empty()
}

/// The evaluator's verdict; `None` for a Service whose endpoints don't share one, because chance decides there.
///
/// `objects` and `layout` say where the flow goes; `cluster` is what the programs under test read: the objects with their
/// addresses, and the policies.
#[must_use]
pub fn verdict(
    objects: &cluster::Cluster,
    layout: &Layout,
    cluster: &Cluster,
    flow: &Flow,
    family: Family,
) -> Option<Verdict> {
    let evaluator = Evaluator::new(cluster);
    let legs = legs(objects, layout, flow, family);
    let mut verdicts = legs.iter().map(|leg| {
        let traffic = traffic(leg.port);
        let destination = Endpoint::at(cluster, leg.to);
        let decide = |source| evaluator.verdict(&PolicyFlow::new(source, destination, traffic));
        let sender = decide(Endpoint::at(cluster, leg.from));
        // What the destination sees is the address that arrives, which is another one after source translation.
        let arrives = if leg.arrives_from == leg.from {
            sender.clone()
        } else {
            decide(Endpoint::at(cluster, leg.arrives_from))
        };
        let itself = layout.pods.values().any(|pod| pod.address.of(family) == leg.from) && leg.from == leg.to;
        let open = itself || (sender.egress.allows() && arrives.ingress.allows());
        if open { Verdict::Open } else { Verdict::Closed }
    });
    let first = verdicts.next()?;
    verdicts.all(|verdict| verdict == first).then_some(first)
}

/// One way that a flow can go after translation.
struct Leg {
    from: IpAddr,
    /// The source address that the destination sees.
    arrives_from: IpAddr,
    to: IpAddr,
    port: Option<Port>,
}

fn legs(objects: &cluster::Cluster, layout: &Layout, flow: &Flow, family: Family) -> Vec<Leg> {
    let from = |to_pod: Option<&str>| match &flow.source {
        Source::Pod(pod) => layout.pods[pod].address.of(family),
        Source::Node => {
            let node = to_pod.map_or(0, |pod| layout.pods[pod].node);
            layout.node_address(node).of(family)
        }
        Source::Outside(number) => address::outside(9 + number).of(family),
    };
    match &flow.destination {
        Destination::Outside(number) | Destination::PingOutside(number) => {
            let port = matches!(flow.destination, Destination::Outside(_))
                .then(|| Port::tcp(crate::lab::OUTSIDE_PORT));
            let (from, to) = (from(None), address::outside(9 + number).of(family));
            vec![Leg { from, arrives_from: from, to, port }]
        }
        destination => {
            let legs = flow.pods_behind(objects).into_iter().map(|(pod, port)| {
                let from = from(Some(&pod));
                let to = layout.pods[&pod].address.of(family);
                // A node port translates the source to the node's address on the link to the pod.
                let translator = match &flow.source {
                    Source::Pod(source) => layout.pods[source].node,
                    _ => 0,
                };
                let translated = matches!(destination, Destination::NodePort(_)) && from != to;
                let speaks_from = layout.speaks_from(translator, layout.pods[&pod].node);
                let arrives_from = if translated { speaks_from.of(family) } else { from };
                Leg { from, arrives_from, to, port }
            });
            legs.collect()
        }
    }
}

fn traffic(port: Option<Port>) -> Traffic {
    let Some(Port { transport, number }) = port else { return Traffic::Icmp };
    let protocol = match transport {
        Transport::Tcp => Protocol::Tcp,
        Transport::Udp => Protocol::Udp,
        Transport::Sctp => Protocol::Sctp,
    };
    NonZeroU16::new(number).map_or(Traffic::Icmp, |number| Traffic::Port(protocol, number))
}
