//! The agent's loop: what changes, what follows from it.

mod attach;
mod describe;
mod overlay;
mod takeover;
mod vitals;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use ipnet::IpNet;
use netpol_policy::model::WorkloadName;
use tokio::sync::watch;

use crate::bind::{Behind, Found, bind};
use crate::cni::{Asked, Attachments};
use crate::compile::{Compiler, Isolation, LocalNode};
use crate::kernel::{Attached, Direction, Flows, Handover, Hook, Hooks, Loaded, Maps, Settings, program_for};
use crate::log;
use crate::metrics::Vitals;
use crate::monitor::View;
use crate::netlink::{Link, Netlink};
use crate::objects::Objects;
use crate::report::{LinkReport, Report};
use crate::roles::{PodAddresses, Role, roles};
use crate::source::{Complaint, Update};
use crate::standing::Standing;
use crate::tables::{Gate, Programmer, Target, TargetEndpoint};
use crate::world::World;

/// What wakes the agent.
#[derive(Debug)]
pub enum Event {
    /// A link or an address changed.
    Links,
    /// The source has news, since then.
    Source(Update, Instant),
    /// Someone wants to see allowed flows, or nobody does any more.
    TellAllowed(bool),
    /// The CNI plugin asks for something.
    Cni(Asked),
    /// End, and leave everything in place.
    Stop,
}

/// How the agent was told to work.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node's name.
    pub node: String,
    /// The inode of the network namespace.
    pub network_namespace: u64,
    /// Ranges of pod addresses beside those of the Node object.
    pub pod_ranges: Vec<IpNet>,
    /// Settings of the programs.
    pub settings: Settings,
    /// Policies are not enforced on this node, only tried out.
    pub audit: bool,
    /// Where the report is written.
    pub state_dir: PathBuf,
    /// Who wants to know whether this node enforces.
    pub standing: watch::Sender<Standing>,
}

/// What the loop leaves for others to read.
#[derive(Clone)]
pub struct Shared {
    /// For those who name what happens.
    pub view: Arc<RwLock<View>>,
    /// For those who ask how it is.
    pub vitals: Arc<Vitals>,
}

/// A running agent.
pub struct Agent {
    options: Options,
    netlink: Netlink,
    loaded: Loaded,
    hooks: Hooks,
    programmer: Programmer<Maps>,
    flows: Flows,
    view: Arc<RwLock<View>>,
    vitals: Arc<Vitals>,
    /// When the source had the first news that are not enforced yet.
    changed_at: Option<Instant>,

    /// Whose veths the CNI plugin has told of.
    attachments: Attachments,
    /// Plugins that wait for their pods.
    waiting: Vec<attach::Waiting>,
    /// Another version that is in force still.
    handover: Option<Handover>,

    objects: Objects,
    compiler: Compiler,
    /// What was compiled: the node's part of it is compiled anew only when it changes.
    compiled_for: Option<LocalNode>,
    pod_addresses: PodAddresses,
    bound: BTreeMap<u32, WorkloadName>,
    disputed: BTreeSet<u32>,
    /// Links that are or were pods', while they are there.
    pod_links: BTreeSet<u32>,
    target: Option<Target>,
    report: Report,
    published: Option<Report>,
    retry: bool,
    unbound_since: BTreeMap<u32, Instant>,
    next_collection: Instant,
}

/// How often everything is looked at, whether or not there was an event.
const RECONCILE: Duration = Duration::from_secs(3);
/// How often a new veth is looked at whose pod has no address yet, and for how long.
const UNBOUND_POLL: Duration = Duration::from_millis(20);
const UNBOUND_PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for the other events of a burst: setting up a pod is a dozen of them.
const BURST: Duration = Duration::from_millis(2);
/// How often flows of endpoints that are gone are removed.
const COLLECT: Duration = Duration::from_secs(30);

impl Agent {
    /// An agent with everything that it works on.
    pub fn new(
        options: Options,
        netlink: Netlink,
        loaded: Loaded,
        hooks: Hooks,
        programmer: Programmer<Maps>,
        flows: Flows,
        Shared { view, vitals }: Shared,
    ) -> Self {
        let report = Report {
            version: env!("CARGO_PKG_VERSION").into(),
            node: options.node.clone(),
            pid: std::process::id(),
            network_namespace: options.network_namespace,
            layout: crate::kernel::LAYOUT,
            attached: hooks.manner().to_string(),
            audit: options.audit,
            ..Report::default()
        };
        let pod_addresses = PodAddresses { ranges: options.pod_ranges.clone(), ..PodAddresses::default() };
        let attachments = Attachments::open(&options.state_dir, options.network_namespace);
        Self {
            options,
            attachments,
            waiting: Vec::new(),
            handover: None,
            netlink,
            loaded,
            hooks,
            programmer,
            flows,
            view,
            vitals,
            changed_at: None,
            objects: Objects::default(),
            compiler: Compiler::default(),
            compiled_for: None,
            pod_addresses,
            bound: BTreeMap::new(),
            disputed: BTreeSet::new(),
            pod_links: BTreeSet::new(),
            target: None,
            report,
            published: None,
            retry: false,
            unbound_since: BTreeMap::new(),
            next_collection: Instant::now() + COLLECT,
        }
    }

    /// Works until told to stop. Links and pods are left alone until the source has said something.
    ///
    /// # Errors
    /// When the kernel can't be asked any more. What was enforced stays enforced.
    pub fn run(mut self, events: &Receiver<Event>) -> Result<()> {
        // Only pods' links have a program on ingress.
        let pinned = self.hooks.pinned().context("listing what an earlier run left")?;
        let on_ingress = pinned.iter().filter(|hook| hook.direction == Direction::Ingress);
        self.pod_links = on_ingress.map(|hook| hook.link).collect();
        self.pod_links.extend(self.handed_over_pod_links());
        loop {
            self.vitals.turn();
            let event = match events.recv_timeout(RECONCILE) {
                Err(RecvTimeoutError::Timeout) => continue,
                event => event.context("all that could wake the agent has ended")?,
            };
            match event {
                Event::Stop => return Ok(()),
                Event::Source(update, at) => {
                    // That the source is there says nothing of objects; that it isn't says that there will be none for now.
                    let wait = matches!(&update, Update::Contact(contact) if contact.is_well());
                    self.take(update, at);
                    if !wait {
                        break;
                    }
                    self.publish();
                }
                Event::TellAllowed(tell) => self.tell_allowed(tell),
                Event::Cni(asked) => self.take_call(asked),
                Event::Links => {}
            }
        }
        let mut next_thorough = Instant::now() + RECONCILE;
        loop {
            // What events do not tell is only looked at now and then: it takes the kernel's one lock for all of
            // networking, once for every hook and every pod.
            self.vitals.turn();
            let thorough = Instant::now() >= next_thorough;
            self.hooks.verify(thorough);
            if thorough {
                self.netlink.refresh();
                next_thorough = Instant::now() + RECONCILE;
            }
            self.reconcile()?;
            self.collect_flows();
            match events.recv_timeout(self.patience()) {
                Ok(event) => {
                    // A burst of events is one change. A pod that waits to start comes at the end of one.
                    if !matches!(event, Event::Cni(_)) {
                        std::thread::sleep(BURST);
                    }
                    for event in std::iter::once(event).chain(events.try_iter()) {
                        match event {
                            Event::Stop => return Ok(()),
                            Event::Source(update, at) => self.take(update, at),
                            Event::TellAllowed(tell) => self.tell_allowed(tell),
                            Event::Cni(asked) => self.take_call(asked),
                            Event::Links => {}
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    anyhow::bail!("all that could wake the agent has ended")
                }
            }
        }
    }

    fn patience(&self) -> Duration {
        let polling = self.unbound_since.values().any(|since| since.elapsed() < UNBOUND_PATIENCE);
        if polling { UNBOUND_POLL } else { RECONCILE }
    }

    fn take(&mut self, update: Update, at: Instant) {
        match update {
            Update::Cluster(cluster) => {
                self.report.refused.clear();
                let (policies, pods) = (cluster.policies.len(), cluster.pods.len());
                log::info("objects read", &[("policies", &policies), ("pods", &pods)]);
                self.objects.change(World::default, |world| world.become_cluster(*cluster));
                self.follow();
                self.read_objects(at);
            }
            Update::Changes(changes) => {
                let first = !self.objects.are_known();
                let change = |world: &mut World| {
                    changes.into_iter().fold(false, |changed, change| world.apply(change) | changed)
                };
                if !self.objects.change(World::with_all_namespaces, change) {
                    return;
                }
                let (refused, counts) = self.objects.with(|world| {
                    let world = world.expect("changed a moment ago");
                    (world.complaints().collect::<Vec<_>>(), world.counts())
                });
                for complaint in refused.iter().filter(|complaint| !self.report.refused.contains(complaint)) {
                    log::error(complaint, &[]);
                }
                self.report.refused = refused;
                if first {
                    let count =
                        |kind| counts.iter().find(|(name, _)| *name == kind).map_or(0, |(_, count)| *count);
                    let (policies, pods) = (count("networkpolicy"), count("pod"));
                    log::info("objects read", &[("policies", &policies), ("pods", &pods)]);
                }
                self.follow();
                self.read_objects(at);
            }
            Update::Contact(report) => {
                self.heard_of_source(&report);
                self.report.source = Some(report);
            }
            Update::Refused(complaints) => {
                for complaint in &complaints {
                    log::error(complaint, &[]);
                }
                let stays = match (self.objects.are_known(), self.programmer.state().epoch) {
                    (true, _) => "the objects before this change stay enforced",
                    (false, 0) if self.options.pod_ranges.is_empty() => {
                        "nothing was ever enforced here, and without --pod-cidr pods can't be told from other \
                         containers: nothing is enforced"
                    }
                    (false, 0) => "nothing was ever enforced here: every pod is closed",
                    (false, _) => "what an earlier run programmed stays enforced, and new pods are closed",
                };
                log::error("objects refused", &[("wrong", &complaints.len()), ("until_then", &stays)]);
                self.report.refused = complaints.iter().map(Complaint::to_string).collect();
            }
        }
    }

    fn tell_allowed(&mut self, tell: bool) {
        self.options.settings.tell_allowed = tell;
        if let Err(error) = self.loaded.configure(self.options.settings) {
            log::error(error, &[]);
        }
    }

    /// Looks at everything and brings the kernel up to date.
    fn reconcile(&mut self) -> Result<()> {
        let links = self.netlink.links().context("listing the node's links")?;
        let present: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        self.pod_links.retain(|link| present.contains(link));
        if let Err(error) = self.attachments.find_links(&links) {
            log::error("what the CNI plugin said can't be written down", &[("error", &error)]);
        }
        self.pod_links.extend(self.attachments.by_link().keys());
        self.note_overlays(&links);
        self.pod_addresses.links.clone_from(&self.pod_links);
        let roles = roles(&links, &self.pod_addresses);
        for (link, role) in links.iter().zip(&roles) {
            if matches!(role, Role::Pod { addresses } if !addresses.is_empty()) {
                self.pod_links.insert(link.index);
            }
        }
        let first = self.target.is_none();
        // A new veth is closed before its pod is known. Only at start it is the other way round: pods that run already
        // are not to be closed while their policies are compiled.
        if !first || !self.objects.are_known() {
            self.hook(&links, &roles);
        }
        let bound = if self.objects.are_known() {
            let bound = self.bind(&links, &roles);
            self.program(&links, &bound);
            bound
        } else {
            let pods = links.iter().zip(&roles).filter(|(_, role)| matches!(role, Role::Pod { .. }));
            pods.map(|(link, _)| (link.index, Behind::Unknown)).collect()
        };
        self.report_endpoints(&links, &bound);
        if first && self.objects.are_known() {
            self.hook(&links, &roles);
        }
        self.complete_handover();
        self.answer_waiting(&bound);
        self.publish();
        Ok(())
    }

    /// Follows what changed of the objects.
    fn follow(&mut self) {
        let node = self.compiled_for.get_or_insert_with(|| LocalNode {
            name: self.options.node.as_str().into(),
            ..LocalNode::default()
        });
        let (compiler, pods, options) = (&mut self.compiler, &mut self.pod_addresses, &self.options);
        let changed = self.objects.with(|world| {
            let world = world?;
            let touched = world.take_touched();
            *pods = known_pods(world, options);
            Some(compiler.update(world, &touched, node))
        });
        // Most of what happens in a large cluster is no news to this node.
        if changed == Some(true) || self.report.synced.is_none() {
            self.report.synced = Some(log::timestamp(SystemTime::now()));
        }
    }

    /// Sees to it that every link has the programs that its role asks for, and no other has.
    fn hook(&mut self, links: &[Link], roles: &[Role]) {
        let mut wanted = BTreeMap::new();
        self.report.links.clear();
        for (link, role) in links.iter().zip(roles) {
            let directions: &[Direction] = match role {
                Role::Pod { .. } => &[Direction::Egress, Direction::Ingress],
                Role::Uplink => &[Direction::Egress],
                Role::Ignored(_) => &[],
            };
            let pod = matches!(role, Role::Pod { .. });
            let mut hooks = Vec::new();
            let mut problem = None;
            for direction in directions {
                let hook = Hook { link: link.index, direction: *direction };
                let program = program_for(pod, *direction, link.ethernet);
                wanted.insert(hook, program);
                match self.hooks.attach(&mut self.loaded, hook, &link.name, program) {
                    Ok(Attached::Before) => {}
                    Ok(attached) => {
                        let how = if attached == Attached::New { "attached" } else { "replaced" };
                        log::info(
                            format!("program {how}"),
                            &[("link", &link.name), ("hook", direction), ("program", &program)],
                        );
                    }
                    Err(error) => {
                        // The link may have gone since it was listed; if not, this is told again and again.
                        log::warn(&error, &[("link", &link.name)]);
                        problem = Some(error.to_string());
                        continue;
                    }
                }
                hooks.push(direction.to_string());
            }
            self.report.links.push(LinkReport {
                index: link.index,
                name: link.name.clone(),
                role: describe::role_name(role).into(),
                hooks,
                problem,
            });
        }
        // Before the first objects are read, roles are guesses: only what belongs to no link is removed then.
        let synced = self.objects.are_known();
        let present: BTreeSet<u32> = links.iter().map(|link| link.index).collect();
        let keep = |hook: Hook| wanted.contains_key(&hook) || !synced && present.contains(&hook.link);
        match self.hooks.release_others(keep) {
            Ok(released) => {
                for hook in released {
                    log::info("program removed", &[("link", &hook.link), ("hook", &hook.direction)]);
                }
            }
            Err(error) => log::error(error, &[]),
        }
    }

    fn bind(&mut self, links: &[Link], roles: &[Role]) -> BTreeMap<u32, Behind> {
        let found: Vec<Found> = links
            .iter()
            .zip(roles)
            .filter_map(|(link, role)| match role {
                Role::Pod { addresses } => Some(Found { link: link.index, addresses: addresses.clone() }),
                _ => None,
            })
            .collect();
        let node = LocalNode {
            name: self.options.node.as_str().into(),
            pod_addresses: found.iter().flat_map(|veth| veth.addresses.iter().copied()).collect(),
            attached: self.attachments.addresses(),
        };
        if self.compiled_for.as_ref() != Some(&node) {
            self.compiled_for = Some(node);
            self.follow();
        }
        let bound = bind(&found, self.compiler.desired(), &self.attachments.by_link(), &self.bound);
        let unbound: BTreeSet<u32> =
            found.iter().filter(|veth| veth.addresses.is_empty()).map(|veth| veth.link).collect();
        self.unbound_since.retain(|link, _| unbound.contains(link));
        for link in unbound {
            self.unbound_since.entry(link).or_insert_with(Instant::now);
        }
        self.tell_bindings(links, &bound);
        bound
    }

    fn tell_bindings(&mut self, links: &[Link], bound: &BTreeMap<u32, Behind>) {
        let name = |index: u32| links.iter().find(|link| link.index == index).map_or("", |link| &link.name);
        let pods: BTreeMap<u32, WorkloadName> = bound
            .iter()
            .filter_map(|(link, behind)| match behind {
                Behind::Pod(pod) => Some((*link, pod.clone())),
                _ => None,
            })
            .collect();
        for (link, pod) in &pods {
            if self.bound.get(link) != Some(pod) {
                log::info("pod bound", &[("link", &name(*link)), ("pod", &pod_name(pod))]);
            }
        }
        for (link, behind) in bound {
            if let Behind::Disputed(pod) = behind
                && self.disputed.insert(*link)
            {
                log::warn(
                    "a namespace holds the address of a pod that is elsewhere, or of several pods: it is closed",
                    &[("link", &name(*link)), ("pod", &pod_name(pod))],
                );
            }
        }
        self.disputed.retain(|link| matches!(bound.get(link), Some(Behind::Disputed(_))));
        self.bound = pods;
    }

    /// Writes what is to be enforced, if it differs from what was written last.
    fn program(&mut self, links: &[Link], bound: &BTreeMap<u32, Behind>) {
        let target = self.target(links, bound);
        if self.target.as_ref() == Some(&target) && !self.retry {
            return;
        }
        let started = Instant::now();
        match self.programmer.apply(&target) {
            Ok(outcome) => {
                self.applied(started, outcome.changed, false);
                for problem in &outcome.problems {
                    log::error(problem, &[]);
                }
                if outcome.changed {
                    let (epoch, took) = (self.programmer.state().epoch, started.elapsed().as_micros());
                    let pods = target.endpoints.len();
                    log::info("programmed", &[("epoch", &epoch), ("pods", &pods), ("microseconds", &took)]);
                }
                self.retry = !outcome.problems.is_empty();
                self.report.problems = outcome.problems;
                self.target = Some(target);
            }
            Err(error) => {
                self.applied(started, false, true);
                log::error(&error, &[("until_then", &"what was enforced before stays enforced")]);
                self.report.problems = vec![error.to_string()];
                self.retry = true;
            }
        }
        self.report.epoch = self.programmer.state().epoch;
        self.share_view(links);
    }

    /// Whether what policies deny to a pod passes and is only told.
    fn audited(&self, pod: &WorkloadName) -> bool {
        self.options.audit
            || self.objects.with(|world| world.is_some_and(|world| world.namespace(&pod.namespace).audited()))
    }

    fn target(&self, links: &[Link], bound: &BTreeMap<u32, Behind>) -> Target {
        let gate = |isolation: &Option<Isolation>| {
            isolation.as_ref().map_or(Gate::Open, |isolation| Gate::Set(Arc::clone(&isolation.set)))
        };
        let mut endpoints = BTreeMap::new();
        for link in links {
            if let (Some(Behind::Pod(pod)), Some(peer)) = (bound.get(&link.index), &link.peer)
                && let Some(endpoint) = self.compiler.desired().endpoints.get(pod)
            {
                let link_local = peer.link_local.iter().filter(|address| address.is_ipv6());
                endpoints.insert(
                    link.index,
                    TargetEndpoint {
                        pod: pod.clone(),
                        addresses: endpoint.addresses.iter().chain(link_local).copied().collect(),
                        mac: peer.mac,
                        audited: self.audited(pod),
                        ingress: gate(&endpoint.ingress),
                        egress: gate(&endpoint.egress),
                    },
                );
            }
        }
        Target {
            classes: Arc::clone(&self.compiler.desired().classes),
            endpoints,
            services: Arc::clone(&self.compiler.desired().services),
            node_addresses: links.iter().flat_map(|link| &link.addresses).map(IpNet::addr).collect(),
        }
    }

    /// Lets the monitor name what it shows.
    fn share_view(&mut self, links: &[Link]) {
        let generations = self
            .programmer
            .state()
            .endpoints
            .iter()
            .filter_map(|(link, record)| Some((record.generation, self.bound.get(link)?.clone())))
            .collect();
        let names = links.iter().map(|link| (link.index, link.name.clone())).collect();
        let mut view = self.view.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *view = View {
            version: view.version + 1,
            epoch: self.programmer.state().epoch,
            node: self.options.node.clone(),
            objects: self.objects.clone(),
            generations,
            links: names,
        };
    }

    fn collect_flows(&mut self) {
        if Instant::now() < self.next_collection {
            return;
        }
        self.next_collection = Instant::now() + COLLECT;
        let alive = self.programmer.state().endpoints.values().map(|record| record.generation).collect();
        match self.flows.collect(&alive) {
            Ok(counts) => self.counted_flows(counts),
            Err(error) => log::warn(error, &[]),
        }
    }
}

/// How this node's pods are told from other containers, as far as the objects say it.
fn known_pods(world: &World, options: &Options) -> PodAddresses {
    let mut ranges = options.pod_ranges.clone();
    let own = world.nodes().filter(|node| *node.name == *options.node);
    ranges.extend(own.flat_map(|node| &node.pod_cidrs));
    let here = |node: &Option<Box<str>>| node.as_deref().is_none_or(|node| *node == *options.node);
    let pods = world.pods().filter(|pod| pod.is_subject() && here(&pod.node));
    PodAddresses {
        ranges,
        known: pods.flat_map(|pod| &pod.addresses).copied().collect(),
        links: BTreeSet::new(),
    }
}

/// `namespace/name`.
fn pod_name(pod: &WorkloadName) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}
