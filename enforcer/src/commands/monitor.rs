//! `netpol-enforcer monitor`.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use anyhow::{Context, Result, bail};

use super::{connect, is_closed_pipe};
use crate::cli::{Monitor, Output, VerdictKind, Way};
use crate::monitor::{Filter, Line, Request, lost_text, text};

/// Shows verdicts until the agent or the reader ends.
pub(super) fn monitor(monitor: &Monitor) -> Result<()> {
    let mut stream = connect(&monitor.places)?;
    let mut request = serde_json::to_vec(&Request::Monitor(filter(monitor)))?;
    request.push(b'\n');
    stream.write_all(&request)?;

    let colour = io::stdout().is_terminal();
    for line in BufReader::new(stream).lines() {
        let line = line.context("reading from the agent")?;
        let shown = match monitor.output_format {
            Output::Json => line,
            Output::Text => match serde_json::from_str(&line).context("the agent is of another version")? {
                Line::Notice(notice) => text(&notice, colour),
                Line::Lost(lost) => lost_text(&lost, colour),
            },
        };
        let mut out = io::stdout().lock();
        match writeln!(out, "{shown}").and_then(|()| out.flush()) {
            Err(error) if is_closed_pipe(&error) => return Ok(()),
            result => result?,
        }
    }
    bail!("the agent ended")
}

fn filter(monitor: &Monitor) -> Filter {
    let mut verdicts: Vec<String> = monitor
        .verdict
        .iter()
        .map(|verdict| match verdict {
            VerdictKind::Drop => "drop".into(),
            VerdictKind::Audit => "audit".into(),
            VerdictKind::Allow => "allow".into(),
        })
        .collect();
    if monitor.allowed {
        if verdicts.is_empty() {
            verdicts = vec!["drop".into(), "audit".into()];
        }
        verdicts.push("allow".into());
    }
    Filter {
        verdicts,
        reasons: monitor.reason.iter().map(|reason| reason.code().into()).collect(),
        direction: monitor.direction.map(|way| match way {
            Way::Ingress => "ingress".into(),
            Way::Egress => "egress".into(),
        }),
        namespaces: monitor.namespace.clone(),
        pods: monitor.pod.clone(),
        from: monitor.from.clone(),
        to: monitor.to.clone(),
        ports: monitor.port.clone(),
    }
}
