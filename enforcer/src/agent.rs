//! The agent's loop: what changes, what follows from it.

mod attach;
mod binding;
mod describe;
mod hooking;
mod overlay;
mod programming;
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

use self::programming::Programmed;
use crate::bind::Behind;
use crate::cni::{Asked, Attachments};
use crate::compile::{Compiler, LocalNode};
use crate::kernel::{Direction, Flows, Handover, Hooks, Loaded, Maps, Settings};
use crate::log;
use crate::metrics::Vitals;
use crate::monitor::View;
use crate::netlink::{Link, Netlink};
use crate::objects::Objects;
use crate::report::Report;
use crate::roles::{PodAddresses, Role, roles};
use crate::source::{Complaint, Update};
use crate::standing::Standing;
use crate::tables::Programmer;
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
    /// No packet is decided any more by what was enforced before the last change.
    Settled,
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
    /// How many entries the table of addresses' classes has room for, in both banks together.
    pub max_identities: u32,
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
    /// The links as they were listed last, whether they may be others now, and the roles that they were hooked for.
    links: Vec<Link>,
    links_changed: bool,
    hooked: Vec<Role>,
    programmed: Option<Programmed>,
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
        // Both banks share the table, and blocks and pods of which something is asked need room, too.
        let compiler = Compiler::with_room(options.max_identities as usize / 4);
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
            compiler,
            compiled_for: None,
            pod_addresses,
            bound: BTreeMap::new(),
            disputed: BTreeSet::new(),
            pod_links: BTreeSet::new(),
            programmed: None,
            links: Vec::new(),
            links_changed: true,
            hooked: Vec::new(),
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
                Event::Links | Event::Settled => {}
            }
        }
        let mut next_thorough = Instant::now() + RECONCILE;
        let mut look = true;
        loop {
            // What events do not tell is only looked at now and then: it takes the kernel's one lock for all of
            // networking, once for every hook and every pod.
            self.vitals.turn();
            let thorough = Instant::now() >= next_thorough;
            self.hooks.verify(thorough);
            if thorough {
                self.netlink.refresh();
                self.links_changed = true;
                next_thorough = Instant::now() + RECONCILE;
            }
            if look || thorough {
                self.reconcile()?;
            }
            self.collect_flows();
            look = match events.recv_timeout(self.patience()) {
                Ok(event) => {
                    // A burst of these is one change. A pod that waits to start comes at the end of one.
                    if matches!(event, Event::Links) {
                        std::thread::sleep(BURST);
                    }
                    let mut look = false;
                    for event in std::iter::once(event).chain(events.try_iter()) {
                        look |= !matches!(event, Event::Settled);
                        match event {
                            Event::Stop => return Ok(()),
                            Event::Source(update, at) => self.take(update, at),
                            Event::TellAllowed(tell) => self.tell_allowed(tell),
                            Event::Cni(asked) => {
                                self.links_changed = true;
                                self.take_call(asked);
                            }
                            Event::Links => self.links_changed = true,
                            Event::Settled => self.settle(),
                        }
                    }
                    look
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.links_changed = true;
                    true
                }
                Err(RecvTimeoutError::Disconnected) => {
                    anyhow::bail!("all that could wake the agent has ended")
                }
            };
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
        let changed = std::mem::take(&mut self.links_changed);
        if changed {
            self.links = self.netlink.links().context("listing the node's links")?;
        }
        let links = std::mem::take(&mut self.links);
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
        let first = self.programmed.is_none();
        let unhooked = changed || roles != self.hooked;
        // A new veth is closed before its pod is known. Only at start it is the other way round: pods that run already
        // are not to be closed while their policies are compiled.
        if unhooked && (!first || !self.objects.are_known()) {
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
        (self.links, self.hooked) = (links, roles);
        Ok(())
    }

    /// Follows what changed of the objects.
    fn follow(&mut self) {
        let node = self.compiled_for.get_or_insert_with(|| LocalNode {
            name: self.options.node.as_str().into(),
            ..LocalNode::default()
        });
        let (compiler, options) = (&mut self.compiler, &self.options);
        let changed = self.objects.with(|world| {
            let world = world?;
            let touched = world.take_touched();
            let own = world.nodes().filter(|node| *node.name == *options.node);
            let ranges: Vec<IpNet> = own.flat_map(|node| &node.pod_cidrs).copied().collect();
            Some((compiler.update(world, &touched, node), ranges))
        });
        let changed = changed.map(|(changed, ranges)| {
            self.pod_addresses.ranges = [self.options.pod_ranges.clone(), ranges].concat();
            self.pod_addresses.known = self.compiler.nearby().collect();
            changed
        });
        // Most of what happens in a large cluster is no news to this node.
        if changed == Some(true) || self.report.synced.is_none() {
            self.report.synced = Some(log::timestamp(SystemTime::now()));
        }
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

/// `namespace/name`.
fn pod_name(pod: &WorkloadName) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}
