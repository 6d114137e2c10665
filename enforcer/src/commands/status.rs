//! `netpol-enforcer status`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::print;
use super::table::table;
use crate::cli::{Output, Status};
use crate::kernel::{Counted, LostEvents, MapUsage, Pins, counters, usage};
use crate::monitor::LostCounts;
use crate::report::{IsolationReport, Report};

/// All that is shown.
#[derive(Serialize)]
struct Shown {
    /// Whether the agent runs; if not, the rest is what it left.
    running: bool,
    #[serde(flatten)]
    report: Report,
    maps: Vec<MapUsage>,
    counters: Vec<Counted>,
    /// Events that were not told.
    lost: LostCounts,
}

/// Shows what is enforced.
pub(super) fn status(status: &Status) -> Result<()> {
    let pins = Pins::at(&status.places.bpffs);
    if !pins.exist() {
        bail!(
            "nothing is enforced: no agent ever ran here, or `cleanup` removed everything (looked under {})",
            status.places.bpffs.display()
        );
    }
    let report = Report::read(&status.places.state_dir).with_context(|| {
        format!(
            "reading the agent's state from {}; is it the agent's --state-dir?",
            status.places.state_dir.display()
        )
    })?;
    let shown = Shown {
        running: Path::new("/proc").join(report.pid.to_string()).exists(),
        report,
        maps: usage(&pins)?,
        counters: counters(&pins)?,
        lost: LostEvents::open(&pins)?.read(),
    };
    let text = match status.output_format {
        Output::Json => serde_json::to_string_pretty(&shown)? + "\n",
        Output::Text => text(&shown, io::stdout().is_terminal()),
    };
    print(text.as_bytes())
}

fn text(shown: &Shown, colour: bool) -> String {
    let report = &shown.report;
    let paint = |text: &str, code: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut out = String::new();
    let state = if shown.running {
        paint("running", "32")
    } else {
        paint("not running; what it left is enforced", "33")
    };
    let _ = writeln!(out, "Agent {} on node {}: {state} (pid {})", report.version, report.node, report.pid);
    match &report.synced {
        Some(time) => _ = writeln!(out, "Objects of {time}, epoch {}", report.epoch),
        None => _ = writeln!(out, "{}", paint("No objects could be read since it started", "31")),
    }
    let ready = if report.unready.is_empty() {
        paint("ready", "32")
    } else {
        paint(&format!("not ready ({})", report.unready.len()), "31")
    };
    let _ = writeln!(out, "{ready}, attached by {}, pinned with layout {}", report.attached, report.layout);
    if let Some(source) = &report.source {
        let state = if source.connected { paint("connected", "32") } else { paint("away", "31") };
        let heard = source.heard.as_ref().map_or_else(
            || "never heard of".into(),
            |heard| match lag(heard) {
                Some(lag) => format!("last heard of {lag} s ago"),
                None => format!("last heard of at {heard}"),
            },
        );
        let _ = writeln!(out, "API server {}: {state} since {}, {heard}", source.server, source.since);
        for refused in &source.refused {
            let _ = writeln!(out, "  {} the API server refuses {refused}", paint("problem:", "31"));
        }
    }
    if report.audit {
        let _ = writeln!(
            out,
            "{}",
            paint("Audit: policies are not enforced, what they deny passes and is told", "33")
        );
    }
    for complaint in report.refused.iter().chain(&report.unready) {
        let _ = writeln!(out, "  {} {complaint}", paint("problem:", "31"));
    }

    let _ = writeln!(out, "\n{}", paint("Links", "1"));
    let rows = report.links.iter().map(|link| {
        let hooks = link.problem.clone().unwrap_or_else(|| link.hooks.join(" "));
        vec![link.index.to_string(), link.name.clone(), link.role.clone(), hooks]
    });
    table(&mut out, &["INDEX", "NAME", "ROLE", "HOOKS"], rows.collect());

    let _ = writeln!(out, "\n{}", paint("Endpoints", "1"));
    let rows = report.endpoints.iter().map(|endpoint| {
        let addresses: Vec<String> = endpoint.addresses.iter().map(ToString::to_string).collect();
        vec![
            match &endpoint.pod {
                Some(pod) if endpoint.audited => format!("{pod} (audited)"),
                Some(pod) => pod.clone(),
                None => format!("({})", endpoint.state),
            },
            endpoint.name.clone(),
            isolation(&endpoint.ingress),
            isolation(&endpoint.egress),
            addresses.join(" "),
        ]
    });
    table(&mut out, &["POD", "LINK", "INGRESS", "EGRESS", "ADDRESSES"], rows.collect());

    let _ = writeln!(out, "\n{}", paint("Policy sets", "1"));
    let rows = report
        .sets
        .iter()
        .map(|set| vec![set.id.to_string(), set.entries.to_string(), set.users.to_string()]);
    table(&mut out, &["SET", "ENTRIES", "USERS"], rows.collect());

    let _ = writeln!(out, "\n{}", paint("Maps", "1"));
    let rows = shown.maps.iter().map(|map| vec![map.map.clone(), map.used.to_string(), map.size.to_string()]);
    table(&mut out, &["MAP", "USED", "SIZE"], rows.collect());

    if shown.lost.any() {
        let LostCounts { rate_limited, buffer_full, .. } = shown.lost;
        let _ = writeln!(
            out,
            "\nEvents not told: {rate_limited} beyond the limit of a pod, {buffer_full} for want of a reader"
        );
    }
    let _ = writeln!(out, "\n{}", paint("Packets", "1"));
    let rows = shown.counters.iter().map(|counted| {
        vec![
            counted.verdict.clone(),
            counted.direction.clone(),
            counted.reason.clone(),
            counted.packets.to_string(),
            counted.bytes.to_string(),
        ]
    });
    table(&mut out, &["VERDICT", "DIRECTION", "REASON", "PACKETS", "BYTES"], rows.collect());
    out
}

/// Seconds since a time that the agent wrote down.
fn lag(time: &str) -> Option<u64> {
    let time = crate::log::parse_timestamp(time)?;
    Some(SystemTime::now().duration_since(time).unwrap_or_default().as_secs())
}

fn isolation(isolation: &IsolationReport) -> String {
    match (&*isolation.state, isolation.set) {
        ("isolated", Some(set)) if isolation.policies.is_empty() => format!("set {set}"),
        ("isolated", Some(set)) => format!("set {set}: {}", isolation.policies.join(", ")),
        (state, _) => state.into(),
    }
}
