//! `netpol-lint completions`

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Outcome};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "netpol-lint", &mut script);
    let mut script = String::from_utf8(script)?;
    if args.shell == Shell::Bash {
        // clap_complete 4.6 writes the dash of a command's own name in two ways, so that no subcommand is found.
        script = script.replace("netpol__subcmd__lint", "netpol__lint");
    }
    io::stdout().lock().write_all(script.as_bytes())?;
    Ok(Outcome::Clean)
}
