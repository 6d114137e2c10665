//! Asking evaluator and kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use netpol_enforcer_common::endpoint::{SET_CLOSED, SET_NONE};
use netpol_enforcer_common::event::{AUDITED, DEFERRED};
use netpol_enforcer_common::programs::{POD_EGRESS, POD_INGRESS, UPLINK_EGRESS};
use netpol_enforcer_common::reason::Reason;
use netpol_enforcer_common::trace;
use netpol_policy::evaluate::{Decision, Endpoint, Evaluator, Flow};
use netpol_policy::model::{Cluster, Protocol, Traffic};

use super::Question;
use super::answer::{Answer, End, Half, KernelSays, Outcome, Path, PolicySays};
use super::packet::opening;
use super::resolve::{Here, Route, routes};
use crate::kernel::{LoadError, Pins, TracedLink, Tracer};
use crate::monitor::{View, isolated_by, rule};
use crate::test_run::{self, Surroundings};

/// How long the kernel may be behind what the agent knows, or ahead of it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(5);
/// A link that always exists. Where a packet leaves makes no difference to its verdict.
const ANY_LINK: u32 = 1;

/// What would become of a packet, by the policies as they are enforced and by the kernel's programs.
#[must_use]
pub fn answer(question: &Question, view: &RwLock<View>, pins: &Pins) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    let mut tracer = match Tracer::load(pins) {
        Ok(tracer) => tracer,
        Err(error) => return failed(&current(view), error.to_string()),
    };
    loop {
        let view = current(view);
        let before = tracer.epoch();
        let asked = ask(question, &view, &mut tracer);
        // What was programmed meanwhile would make both disagree.
        let steady = matches!((before, tracer.epoch()), (Ok(a), Ok(b)) if a == b && b == view.epoch);
        match asked {
            // The objects may be a moment ahead of the kernel. A difference that stays is none of time.
            Ok(answer) if answer.outcome == Outcome::Differ && Instant::now() < deadline => {
                thread::sleep(PAUSE);
            }
            Ok(answer) if steady || answer.outcome == Outcome::Unknown => return answer,
            Ok(answer) if Instant::now() >= deadline => {
                let mut answer = answer;
                answer.notes.push(
                    "policies are being programmed all the time: the two verdicts may be of different states"
                        .into(),
                );
                return answer;
            }
            Ok(_) => thread::sleep(PAUSE),
            Err(error) => return failed(&view, error),
        }
    }
}

fn current(view: &RwLock<View>) -> View {
    view.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn failed(view: &View, error: String) -> Answer {
    Answer {
        node: view.node.clone(),
        epoch: view.epoch,
        outcome: Outcome::Unknown,
        error: Some(error),
        paths: Vec::new(),
        notes: Vec::new(),
    }
}

fn ask(question: &Question, view: &View, tracer: &mut Tracer) -> Result<Answer, String> {
    let Some(cluster) = view.objects.cluster() else {
        return Err("the agent has not read any objects yet".into());
    };
    let (routes, mut notes) = routes(&cluster, question, &ThisNode { view, tracer })?;
    let evaluator = Evaluator::new(&cluster);
    let mut paths = Vec::new();
    for route in routes {
        let path = path(&route, view, &evaluator, tracer, &mut notes).map_err(|error| error.to_string())?;
        paths.push(path);
    }
    let outcome = paths.iter().map(|path| path.outcome).max().unwrap_or(Outcome::Unknown);
    let unknown = outcome == Outcome::Unknown;
    notes.dedup();
    Ok(Answer {
        node: view.node.clone(),
        epoch: view.epoch,
        outcome,
        error: unknown.then(|| elsewhere(&paths, &view.node)),
        paths,
        notes,
    })
}

/// Whom to ask instead.
fn elsewhere(paths: &[Path], here: &str) -> String {
    let mut nodes: Vec<&str> = paths
        .iter()
        .flat_map(|path| [&path.source, &path.destination])
        .filter_map(|end| end.node.as_deref())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    let nodes: Vec<&str> = nodes.into_iter().filter(|node| *node != here).collect();
    if nodes.is_empty() {
        return "neither end is a pod that this node has programmed; `endpoints` lists those".into();
    }
    format!("neither end is a pod of this node: ask the agent of {}", nodes.join(" or "))
}

fn path(
    route: &Route,
    view: &View,
    evaluator: &Evaluator<'_>,
    tracer: &mut Tracer,
    notes: &mut Vec<String>,
) -> Result<Path, LoadError> {
    let cluster = evaluator.cluster();
    let source = Endpoint::at(cluster, route.source);
    let destination = Endpoint::at(cluster, route.destination);
    let verdict = evaluator.verdict(&Flow::new(source, destination, route.arrives));
    let ingress_decision = if route.arrives_from == route.source {
        verdict.ingress
    } else {
        // The node only speaks for somebody: what it may do itself doesn't count.
        let speaker = Endpoint::relay(Some(route.arrives_from));
        evaluator.verdict(&Flow::new(speaker, destination, route.arrives)).ingress
    };
    let (from, to) = (tracer.link(route.source)?, tracer.link(route.destination)?);
    let kernel = Kernel { tracer, route, view, from, to };
    let (egress, ingress) = kernel.ask()?;
    let egress = Half { policy: policy_says(&verdict.egress), kernel: egress };
    let ingress = Half { policy: policy_says(&ingress_decision), kernel: ingress };
    let (source, destination) = (end(cluster, route.source), end(cluster, route.destination));
    for (half, end, what) in [(&egress, &source, "egress"), (&ingress, &destination, "ingress")] {
        if half.kernel.is_none()
            && let Some(node) = end.node.as_ref().filter(|node| **node != view.node)
        {
            notes.push(format!("the {what} of {end} is enforced on {node}: ask the agent there, too"));
        }
    }
    let outcome = if egress.kernel.is_none() && ingress.kernel.is_none() {
        Outcome::Unknown
    } else if egress.differs() || ingress.differs() {
        Outcome::Differ
    } else if egress.passes() && ingress.passes() {
        Outcome::Allowed
    } else {
        Outcome::Denied
    };
    Ok(Path {
        source,
        destination,
        traffic: traffic_text(route.arrives),
        service: (route.sent_to != route.destination || route.sent != route.arrives)
            .then(|| format!("{} {}", route.sent_to, traffic_text(route.sent))),
        arrives_from: (route.arrives_from != route.source).then_some(route.arrives_from),
        egress,
        ingress,
        outcome,
    })
}

fn end(cluster: &Cluster, address: IpAddr) -> End {
    let pod = cluster.owner(address);
    End {
        address,
        pod: pod.map(|pod| format!("{}/{}", pod.name.namespace, pod.name.name)),
        node: pod.and_then(|pod| pod.node.as_deref().map(Into::into)),
    }
}

fn policy_says(decision: &Decision<'_>) -> PolicySays {
    let why = match decision {
        Decision::Exempt(exemption) => exemption.to_string(),
        Decision::NotIsolated => "no policy isolates the pod in this direction".into(),
        Decision::Allowed { .. } | Decision::Denied { .. } => rule(decision).unwrap_or_default(),
    };
    PolicySays { allowed: decision.allows(), isolated_by: isolated_by(decision), why }
}

fn traffic_text(traffic: Traffic) -> String {
    match traffic {
        Traffic::Port(protocol, port) => format!("{} {port}", Protocol::as_str(protocol)),
        Traffic::Icmp => "ICMP echo".into(),
        Traffic::Other(number) => format!("IP protocol {number}"),
    }
}

/// This node, by what the programs and the kernel's routes know.
struct ThisNode<'a> {
    view: &'a View,
    tracer: &'a Tracer,
}

impl Here for ThisNode<'_> {
    fn name(&self) -> &str {
        &self.view.node
    }

    fn owns(&self, address: IpAddr) -> bool {
        self.tracer.is_node(address)
    }

    fn speaks_from(&self, destination: IpAddr) -> Option<IpAddr> {
        // Connecting such a socket chooses a source, as masquerading does, and sends nothing.
        let any: IpAddr =
            if destination.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((destination, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    }
}

/// The kernel's programs, asked along the way of a packet.
struct Kernel<'a> {
    tracer: &'a mut Tracer,
    route: &'a Route,
    view: &'a View,
    from: Option<TracedLink>,
    to: Option<TracedLink>,
}

impl Kernel<'_> {
    /// What they say about egress and ingress, each if its end is here.
    fn ask(self) -> Result<(Option<KernelSays>, Option<KernelSays>), LoadError> {
        let mut mark = 0;
        let mut egress = None;
        if let Some(from) = self.from {
            let surroundings =
                Surroundings { mark: 0, ingress_ifindex: from.index, ifindex: from.index, linear: None };
            let sent = self.frame(self.route.source, self.route.sent_to, self.route.sent);
            let first = self.tracer.run(POD_INGRESS, &sent, surroundings)?;
            mark = first.mark;
            let mut said = self.says(&first, from.index);
            let delivered_here = self.tracer.is_node(self.route.destination);
            if first.passed() && self.tracer.deferred(mark) && !delivered_here {
                // The verdict is given where the packet comes out, for the translated destination.
                let place = self.to.map_or(ANY_LINK, |to| to.index);
                let surroundings =
                    Surroundings { mark, ingress_ifindex: from.index, ifindex: place, linear: None };
                let arriving = self.arriving();
                let last = self.tracer.run(UPLINK_EGRESS, &arriving, surroundings)?;
                said = self.says(&last, place);
            }
            if !first.passed() {
                // What the other end says is of interest all the same.
                mark = self.tracer.forwarded(from.endpoint.slot);
            }
            egress = Some(said);
        }
        let Some(to) = self.to else { return Ok((egress, None)) };
        let from_node = self.from.is_none() && self.tracer.is_node(self.route.source);
        let ingress_ifindex = match self.from {
            Some(from) => from.index,
            None if from_node => 0,
            None => ANY_LINK,
        };
        let arriving = self.arriving();
        let arrive = |mark| Surroundings { mark, ingress_ifindex, ifindex: to.index, linear: None };
        let mut last = self.tracer.run(POD_EGRESS, &arriving, arrive(mark))?;
        // The program begins with the sender's egress; denied there, it says nothing about ingress yet.
        if let Some(from) = self.from
            && last.answer[trace::FLAGS] & u32::from(DEFERRED) != 0
        {
            let decided = self.tracer.forwarded(from.endpoint.slot);
            last = self.tracer.run(POD_EGRESS, &arriving, arrive(decided))?;
        }
        let ingress = self.says(&last, to.index);
        Ok((egress, Some(ingress)))
    }

    /// The packet after translation.
    fn arriving(&self) -> Vec<u8> {
        self.frame(self.route.arrives_from, self.route.destination, self.route.arrives)
    }

    fn frame(&self, source: IpAddr, destination: IpAddr, traffic: Traffic) -> Vec<u8> {
        let mac = self.from.map_or([2, 0, 0, 0, 0, 2], |from| from.endpoint.mac);
        opening(source, destination, traffic, mac).unwrap_or_default()
    }

    fn says(&self, outcome: &test_run::Outcome, link: u32) -> KernelSays {
        let number = outcome.answer[trace::REASON];
        let reason = u8::try_from(number).ok().and_then(Reason::from_number);
        let set = outcome.answer[trace::SET];
        KernelSays {
            allowed: reason.is_some_and(|reason| !reason.is_drop()),
            audited: outcome.answer[trace::FLAGS] & u32::from(AUDITED) != 0,
            reason: reason.map_or_else(|| number.to_string(), |reason| reason.code().into()),
            text: reason.map_or_else(String::new, |reason| reason.text().trim().into()),
            link: self.view.links.get(&link).cloned().unwrap_or_else(|| link.to_string()),
            set: (set != SET_NONE && set != SET_CLOSED).then_some(set),
        }
    }
}
