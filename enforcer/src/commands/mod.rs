//! The commands, one a file.

mod cleanup;
mod dump;
mod endpoints;
mod monitor;
mod run;
mod status;
mod table;
mod trace;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command, Places};
use crate::monitor::socket;

/// Runs the program: parses the command line, does what it says, and tells what went wrong.
///
/// The exit code is 0 if all went well, 1 if not, and 2 for a wrong command line; `trace` has its own.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let failure = if matches!(cli.command, Command::Trace(_)) { 2 } else { 1 };
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            // Nowhere to complain to if standard error is closed.
            let _ = writeln!(io::stderr(), "netpol-enforcer: {error:#}");
            ExitCode::from(failure)
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    let done = match command {
        Command::Trace(trace) => return trace::trace(&trace),
        Command::Run(run) => run::run(*run),
        Command::Endpoints(endpoints) => endpoints::endpoints(&endpoints),
        Command::Dump(dump) => dump::dump(&dump),
        Command::Status(status) => status::status(&status),
        Command::Monitor(monitor) => monitor::monitor(&monitor),
        Command::Cleanup(cleanup) => cleanup::cleanup(&cleanup),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "netpol-enforcer", &mut script);
            print(&script)
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Connects to the agent's socket.
fn connect(places: &Places) -> Result<UnixStream> {
    let path = socket(&places.state_dir);
    UnixStream::connect(&path).with_context(|| {
        format!(
            "connecting to {}: does the agent run, and is --state-dir the one that it was given?",
            path.display()
        )
    })
}

/// Writes to standard output. That nobody reads it any more (`| head`) is the end, not a failure.
fn print(text: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        result => Ok(result?),
    }
}

fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
