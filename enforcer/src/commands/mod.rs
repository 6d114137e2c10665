//! The commands, one a file.

mod cleanup;
mod monitor;
mod run;
mod status;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};

/// Runs the program: parses the command line, does what it says, and tells what went wrong.
///
/// The exit code is 0 if all went well, 1 if not, and 2 for a wrong command line.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nowhere to complain to if standard error is closed.
            let _ = writeln!(io::stderr(), "netpol-enforcer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> Result<()> {
    match command {
        Command::Run(run) => run::run(*run),
        Command::Status(status) => status::status(&status),
        Command::Monitor(monitor) => monitor::monitor(&monitor),
        Command::Cleanup(cleanup) => cleanup::cleanup(&cleanup),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "netpol-enforcer", &mut script);
            print(&script)
        }
    }
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
