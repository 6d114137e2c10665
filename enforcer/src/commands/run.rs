//! `netpol-enforcer run`.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tokio::sync::watch;

use crate::agent::{Agent, Event, Options, Shared};
use crate::cli::{Attach, Cni, MetricsAddress, PodEvents, Run, SourceKind, Unknown, WhenAway};
use crate::cni::{self, Entry, Installation};
use crate::kernel::{
    Events, Flows, Handover, Hooks, LostEvents, Manner, Maps, Overlays, Pins, Settings, describe_layout,
    is_shadow, load,
};
use crate::metrics::{self, Scraper, Vitals};
use crate::monitor::{self, Questions, View};
use crate::netlink::{self, Netlink, nftables};
use crate::object::OBJECT;
use crate::report::Report;
use crate::source::{Files, Kube, OwnPod, Source};
use crate::standing::Standing;
use crate::tables::{Programmer, State, Tables as _};
use crate::{lock, log, others, pod_events, preflight, signal, trace};

/// Runs the agent until it is told to stop.
pub(super) fn run(run: Run) -> Result<()> {
    log::set_format(run.log_format);
    log::set_level(run.log_level);
    // Before any thread starts, so that all of them leave these signals to the one that waits for them.
    let signals = signal::block().context("blocking signals")?;
    preflight::check()?;
    let node = match run.node_name {
        Some(name) => name,
        None => host_name()?,
    };
    let state_dir = &run.places.state_dir;
    if run.source == SourceKind::Files && run.manifests.is_empty() {
        bail!("--source files needs at least one --manifests DIR");
    }
    if run.source == SourceKind::Files && run.kubeconfig.is_some() {
        bail!("--kubeconfig is for --source kube");
    }
    if run.source == SourceKind::Kube && !run.manifests.is_empty() {
        bail!("--manifests is for --source files");
    }
    let Some(_lock) = lock::take(state_dir)? else {
        bail!(
            "another agent runs with the state directory {}: stop it first, or give this one its own --state-dir and --bpffs",
            state_dir.display()
        );
    };
    let mut netlink = Netlink::open().context("opening a netlink socket")?;
    if !run.beside_others {
        refuse_others(&mut netlink, &run.cni.places.cni_conf_dir)?;
    }

    let (mut watcher, denials) = pod_events::watch();
    let publishing = run.source == SourceKind::Kube && run.pod_events == PodEvents::On;
    let (standing, _) = watch::channel(Standing::starting());
    let source: Box<dyn Source> = match run.source {
        SourceKind::Files => Box::new(Files::new(run.manifests)),
        SourceKind::Kube => {
            let mut kube = Kube::new(run.kubeconfig.as_deref(), &node)?;
            if run.pod_events == PodEvents::On {
                kube.publish(denials);
            }
            if let (Some(namespace), Some(name)) = (run.pod_namespace, run.pod_name) {
                kube.say(OwnPod { namespace, name }, standing.subscribe());
            }
            Box::new(kube)
        }
    };

    let mask = run.mark_mask.0;
    let mut settings = Settings {
        mark_mask: mask,
        unknown_allowed: run.unknown_endpoint == Unknown::Allow,
        tell_allowed: false,
        overlays: Overlays::default(),
        audit_unknown: run.audit,
        event_limit: run.event_limit,
        shadow: false,
    };
    let manner = match run.attach {
        Attach::Auto => Manner::of_this_kernel(),
        Attach::Tcx => Manner::Tcx,
        Attach::Clsact => Manner::Clsact,
    };
    let pins = Pins::prepare(&run.places.bpffs, run.mount_bpffs)?;
    let network_namespace = network_namespace()?;
    refuse_others_pins(&pins, state_dir, network_namespace)?;
    let handover = Handover::find(&pins, state_dir)?;
    // Either the others are in force alone, or an earlier run did not get further than to shadow them.
    settings.shadow = handover.is_some() && (pins.hooks()?.is_empty() || is_shadow(&pins)?);
    // Objects are read while the kernel checks the programs.
    let (tell, events) = mpsc::channel();
    start_source(source, tell.clone())?;
    let loaded = load(OBJECT, &pins, &run.sizes, settings)?;
    let mut maps = Maps::open(&pins)?;
    let flows = Flows::open(&pins)?;
    let state = adopt(&mut maps, handover.as_ref())?;
    describe_layout(state_dir).context("writing the layout of the maps to the state directory")?;
    let (epoch, endpoints) = (state.epoch, state.endpoints.len());
    let newest = state.endpoints.values().map(|endpoint| endpoint.generation).max().unwrap_or(0);
    let theirs = handover.as_ref().map_or(Ok(0), Handover::newest_generation).unwrap_or_default();
    let next_generation = newest.max(flows.newest_generation()).max(theirs) + 1;
    let settled = tell.clone();
    let over = move || drop(settled.send(Event::Settled));
    maps.tell_of_packets(over).context("starting what waits for packets")?;
    let programmer = Programmer::new(maps, state, next_generation, mask.max_slot());
    log::info("started", &[("node", &node), ("epoch", &epoch), ("endpoints_adopted", &endpoints)]);

    let view: Arc<RwLock<View>> = Arc::default();
    let changed = tell.clone();
    netlink::watch(move || changed.send(Event::Links).is_ok()).context("listening for link changes")?;
    let allowed = tell.clone();
    let tell_allowed = move |wanted| drop(allowed.send(Event::TellAllowed(wanted)));
    let questions = Questions {
        trace: {
            let (view, pins) = (Arc::clone(&view), pins.clone());
            Box::new(move |question| trace::answer(question, &view, &pins))
        },
        witness: Box::new(move |event, view, explainer| {
            if publishing {
                watcher.see(event, view, explainer);
            }
        }),
    };
    let (told, lost) = (Events::open(&pins)?, LostEvents::open(&pins)?);
    monitor::serve(state_dir, told, lost, Arc::clone(&view), questions, tell_allowed)
        .context("opening the socket")?;
    serve_cni(&run.cni, state_dir, tell.clone())?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        signals.wait();
        drop(tell.send(Event::Stop));
    })?;

    let vitals = Arc::new(Vitals::new(node.clone()));
    if let MetricsAddress::At(address) = run.metrics_address {
        metrics::serve(address, Arc::clone(&vitals), Scraper::open(&pins)?)
            .context("starting the server of metrics")?;
    }
    let options = Options {
        node,
        network_namespace,
        pod_ranges: run.pod_cidr,
        settings,
        max_identities: run.sizes.identities,
        audit: run.audit,
        state_dir: state_dir.clone(),
        standing,
    };
    let hooks = Hooks::new(pins, manner);
    Agent::new(options, netlink, loaded, hooks, programmer, flows, Shared { view, vitals })
        .taking_over(handover)
        .run(&events)?;
    log::info("stopped", &[("enforcement", &"what is programmed stays enforced")]);
    Ok(())
}

/// What the maps hold; if nothing yet, and another version is in force, what that knows of endpoints.
fn adopt(maps: &mut Maps, handover: Option<&Handover>) -> Result<State> {
    let own = maps.read()?;
    maps.renew_briefs()?;
    let Some(handover) = handover.filter(|_| own.epoch == 0) else { return Ok(own) };
    log::info("taking over from another version", &[("readable", &handover.can_read())]);
    let state = match handover.state() {
        Ok(state) => state,
        Err(error) => {
            log::warn("the former version's maps can't be read: its flows begin anew", &[("error", &error)]);
            return Ok(own);
        }
    };
    for (slot, link) in &state.slots {
        maps.set_slot(*slot, *link)?;
    }
    for (link, endpoint) in &state.endpoints {
        maps.set_endpoint(*link, endpoint)?;
    }
    Ok(state)
}

/// Listens to the CNI plugin, and installs it if that is wanted.
fn serve_cni(options: &Cni, state_dir: &Path, tell: Sender<Event>) -> Result<()> {
    // Told first, so that nothing is installed if it can't be.
    let program =
        options.install_cni.then(|| Installation::program(options.cni_plugin.clone())).transpose()?;
    cni::serve(state_dir, move |asked| tell.send(Event::Cni(asked)).is_ok())
        .context("opening the CNI plugin's socket")?;
    if let Some(program) = program {
        let allow = options.cni_when_away == WhenAway::Allow;
        let entry = Entry::new(state_dir, options.cni_timeout, allow);
        Installation { program, places: options.places.clone(), entry }.keep()?;
    }
    Ok(())
}

fn start_source(source: Box<dyn Source>, tell: Sender<Event>) -> Result<()> {
    let tell = Box::new(move |update| tell.send(Event::Source(update, Instant::now())).is_ok());
    thread::Builder::new().name("source".into()).spawn(move || source.run(tell))?;
    Ok(())
}

/// Pinned links are found by interface index, which means something else in another network namespace.
fn refuse_others_pins(pins: &Pins, state_dir: &Path, network_namespace: u64) -> Result<()> {
    let elsewhere = Report::read(state_dir).is_ok_and(|report| report.network_namespace != network_namespace);
    let others = pins.others()?;
    let hooks = others.iter().chain([pins]).map(Pins::hooks).collect::<Result<Vec<_>, _>>()?;
    if elsewhere && !hooks.concat().is_empty() {
        bail!(
            "what is pinned belongs to an agent of another network namespace: run this one there, give it its own \
             --state-dir and --bpffs, or remove what that agent left with `netpol-enforcer cleanup`"
        );
    }
    Ok(())
}

fn network_namespace() -> Result<u64> {
    let path = "/proc/self/ns/net";
    Ok(fs::metadata(path).with_context(|| format!("looking at {path}"))?.ino())
}

/// Two enforcers on one node would each drop what it denies, and each would be blamed for the other's drops.
fn refuse_others(netlink: &mut Netlink, configurations: &Path) -> Result<()> {
    let links = netlink.links().context("listing the node's links")?;
    let tables = nftables::tables().context("listing the node's nftables")?;
    let other = others::find(&links)
        .or_else(|| others::find_configured(configurations))
        .or_else(|| others::find_table(&tables));
    if let Some(other) = other {
        bail!(
            "{} enforces NetworkPolicies on this node already ({}): remove one of the two, or start this one with \
             --beside-others",
            other.enforcer,
            other.trace
        );
    }
    Ok(())
}

fn host_name() -> Result<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .and_then(|name| match name.trim() {
            "" => Err(io::Error::other("it is empty")),
            name => Ok(name.to_lowercase()),
        })
        .context("reading the host's name; give the node's with --node-name")?;
    Ok(name)
}
