//! `netpol-enforcer monitor`.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};

use super::is_closed_pipe;
use crate::cli::{Monitor, Output};
use crate::monitor::{Notice, Subscription, socket, text};

/// Shows verdicts until the agent or the reader ends.
pub(super) fn monitor(monitor: &Monitor) -> Result<()> {
    let path = socket(&monitor.places.state_dir);
    let mut stream = UnixStream::connect(&path).with_context(|| {
        format!(
            "connecting to {}: does the agent run, and is --state-dir the one that it was given?",
            path.display()
        )
    })?;
    let mut request = serde_json::to_vec(&Subscription { allowed: monitor.allowed })?;
    request.push(b'\n');
    stream.write_all(&request)?;

    let colour = io::stdout().is_terminal();
    for line in BufReader::new(stream).lines() {
        let line = line.context("reading from the agent")?;
        let shown = match monitor.output_format {
            Output::Json => line,
            Output::Text => text(&serde_json::from_str::<Notice>(&line)?, colour),
        };
        let mut out = io::stdout().lock();
        match writeln!(out, "{shown}").and_then(|()| out.flush()) {
            Err(error) if is_closed_pipe(&error) => return Ok(()),
            result => result?,
        }
    }
    bail!("the agent ended")
}
