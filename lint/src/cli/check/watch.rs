//! `--watch`

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use notify::{Event, EventKind, Watcher};

use super::{Args, once};
use crate::cli::{Outcome, Terminal, complain};
use crate::config::FILE_NAME;
use crate::output::printable::shown;
use crate::settings::absolute;

/// An editor that saves several files is left to finish.
const QUIET: Duration = Duration::from_millis(100);

/// What wakes the watch.
enum Signal {
    Changed(PathBuf),
    /// Watching itself went wrong.
    Lost(notify::Error),
    Stop,
}

/// Checks, and again after each change. Ends with the outcome of the last check.
pub(super) fn run(args: &Args, terminal: Terminal) -> anyhow::Result<Outcome> {
    if args.inputs.stdin().is_some() {
        bail!("standard input can't be watched");
    }
    if args.inputs.is_about_cluster() {
        bail!("only files can be watched, no cluster");
    }
    let (sender, signals) = mpsc::channel();
    let stop = sender.clone();
    ctrlc::set_handler(move || _ = stop.send(Signal::Stop)).context("can't wait for Ctrl-C")?;
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
        // Reading is no change; writing is told as such too.
        Ok(Event { kind: EventKind::Access(_), .. }) => {}
        Ok(event) => event.paths.into_iter().for_each(|path| _ = sender.send(Signal::Changed(path))),
        Err(error) => _ = sender.send(Signal::Lost(error)),
    })
    .context("can't watch files")?;
    let mut watched = HashSet::new();
    loop {
        // Before the check: what changes meanwhile counts. The configuration may name other files than before.
        for (path, mode) in args.inputs.watched(args.options()) {
            if watched.insert(path.clone()) {
                watcher.watch(&path, mode).with_context(|| format!("can't watch {}", shown(&path)))?;
            }
        }
        if terminal.interactive {
            // Clears the screen and what scrolled out of it.
            write!(io::stdout(), "\x1b[2J\x1b[3J\x1b[H")?;
        }
        let outcome = once(args, terminal).unwrap_or_else(|error| {
            complain(&error);
            Outcome::Incomplete
        });
        writeln!(io::stderr(), "watching for changes; Ctrl-C ends")?;
        if !changed(args, &signals)? {
            return Ok(outcome);
        }
    }
}

/// Waits for a change and for the quiet after it. `false` when it is time to end.
fn changed(args: &Args, signals: &Receiver<Signal>) -> anyhow::Result<bool> {
    let mut any = false;
    loop {
        let signal = if any {
            signals.recv_timeout(QUIET)
        } else {
            signals.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match signal {
            Ok(Signal::Changed(path)) => any |= args.counts(&path),
            Ok(Signal::Lost(error)) => return Err(error).context("can't watch any more"),
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(false),
            Err(RecvTimeoutError::Timeout) => return Ok(true),
        }
    }
}

impl Args {
    /// Whether a file that changed may change the outcome.
    fn counts(&self, path: &Path) -> bool {
        if self.output_file.as_ref().is_some_and(|output| absolute(output) == absolute(path)) {
            return false;
        }
        let manifest =
            path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        manifest
            || [FILE_NAME, "Kustomization", ".gitignore"].contains(&name)
            || self.inputs.names(path)
            // A folder may come and go with what is in it.
            || (path.extension().is_none() && !path.is_file() && !path.components().any(|part| part.as_os_str() == ".git"))
    }
}
