//! `netpol-enforcer endpoints`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::print;
use super::table::table;
use crate::cli::{Endpoints, Output};
use crate::kernel::{DeniedCounts, Flows, Pins};
use crate::report::{EndpointReport, IsolationReport, Report};

/// An endpoint, and what the kernel counts of it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    report: EndpointReport,
    /// Tracked flows.
    flows: usize,
    /// Packets that were dropped on account of this endpoint.
    dropped: u64,
    /// Packets that would have been dropped, but for audit mode.
    audited_packets: u64,
}

/// Lists the pods of this node and how they are isolated.
pub(super) fn endpoints(options: &Endpoints) -> Result<()> {
    let pins = Pins::at(&options.places.bpffs);
    if !pins.exist() {
        bail!(
            "nothing is enforced: no agent ever ran here, or `cleanup` removed everything (looked under {})",
            options.places.bpffs.display()
        );
    }
    let report = Report::read(&options.places.state_dir)
        .with_context(|| format!("reading the agent's state from {}", options.places.state_dir.display()))?;
    let flows = Flows::open(&pins)?.by_generation();
    let mut denied: BTreeMap<(u32, bool), u64> = BTreeMap::new();
    for (key, counter) in DeniedCounts::open(&pins)?.read() {
        *denied.entry((key.generation, key.audited != 0)).or_default() += counter.packets;
    }
    let wanted = |endpoint: &EndpointReport| {
        let namespace =
            endpoint.pod.as_deref().and_then(|pod| pod.split_once('/')).map(|(namespace, _)| namespace);
        options.namespace.is_empty()
            || namespace.is_some_and(|of| options.namespace.iter().any(|name| name == of))
    };
    let shown: Vec<Shown> = report
        .endpoints
        .into_iter()
        .filter(wanted)
        .map(|report| {
            let generation = report.generation.unwrap_or(0);
            Shown {
                flows: flows.get(&generation).copied().unwrap_or(0),
                dropped: denied.get(&(generation, false)).copied().unwrap_or(0),
                audited_packets: denied.get(&(generation, true)).copied().unwrap_or(0),
                report,
            }
        })
        .collect();
    let text = match options.output_format {
        Output::Json => serde_json::to_string_pretty(&shown)? + "\n",
        Output::Text => text(&shown, io::stdout().is_terminal()),
    };
    print(text.as_bytes())
}

fn text(endpoints: &[Shown], colour: bool) -> String {
    let bold = |text: &str| if colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let mut out = String::new();
    if endpoints.is_empty() {
        out.push_str("no pods of this node\n");
    }
    for Shown { report, flows, dropped, audited_packets } in endpoints {
        let name = report.pod.clone().unwrap_or_else(|| format!("({})", report.state));
        let audited = if report.audited { ", audited: nothing is enforced" } else { "" };
        let _ = writeln!(out, "{}{audited}", bold(&name));
        let addresses: Vec<String> = report.addresses.iter().map(ToString::to_string).collect();
        let mut rows = vec![
            vec!["interface".into(), format!("{} (index {})", report.name, report.link)],
            vec!["addresses".into(), addresses.join(" ")],
            vec!["ingress".into(), isolation(&report.ingress)],
            vec!["egress".into(), isolation(&report.egress)],
            vec!["flows".into(), flows.to_string()],
            vec!["dropped".into(), format!("{dropped} packets")],
        ];
        if report.audited || *audited_packets > 0 {
            rows.push(vec!["audited".into(), format!("{audited_packets} packets would have been dropped")]);
        }
        let body = rows.split_off(1);
        let head: Vec<&str> = rows[0].iter().map(String::as_str).collect();
        table(&mut out, &head, body);
    }
    out
}

fn isolation(isolation: &IsolationReport) -> String {
    match (&*isolation.state, isolation.set) {
        ("isolated", Some(set)) => {
            let by = if isolation.policies.is_empty() {
                "an earlier run".into()
            } else {
                isolation.policies.join(", ")
            };
            format!("isolated by {by} (set {set})")
        }
        ("closed", _) => "closed: nothing passes".into(),
        ("open", _) => "not isolated".into(),
        (state, _) => state.into(),
    }
}
