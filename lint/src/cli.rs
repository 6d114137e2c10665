//! The command `netpol-lint`. A subcommand is one file.

mod check;
mod cluster;
mod completions;
mod config_schema;
mod explain;
mod given;
mod inputs;
mod man;
mod matrix;
mod mistakes;
mod reach;
mod rule;
mod rules;
mod server;
mod terminal;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::ConfigError;
use crate::output::printable::drawing;

pub use terminal::{Color, Terminal};

/// Finds NetworkPolicies that don't mean what they should.
///
/// Exit status: 0 when nothing was found, 1 when something was, 2 when the command could not run.
#[derive(Debug, Parser)]
#[command(name = "netpol-lint", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// Colour the output
    #[arg(long, value_enum, global = true, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Explain(explain::Args),
    Reach(reach::Args),
    Matrix(matrix::Args),
    Rule(rule::Args),
    Rules(rules::Args),
    ConfigSchema(config_schema::Args),
    Server(server::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// How a command ended when it could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing found; allowed.
    Clean,
    /// Something found; denied.
    Found,
    /// Not everything could be read or written, whatever the rest is like; what, is said already.
    Incomplete,
}

/// Runs the command of this process.
pub fn main() -> ExitCode {
    let cli = parse();
    match run(cli) {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Ok(Outcome::Incomplete) => ExitCode::from(2),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

/// Says what could not be done.
fn complain(error: &anyhow::Error) {
    if let Some(ConfigError::Invalid(invalid)) = error.downcast_ref() {
        let _ = mistakes::show(invalid);
        return;
    }
    // Nothing can be done when even this fails.
    let _ = writeln!(io::stderr(), "netpol-lint: {}", drawing(&format!("{error:#}"), false));
}

/// Reads the arguments of this process. Under the name of a kubectl plugin, help calls the command as it was called.
fn parse() -> Cli {
    let mut command = Cli::command();
    let called = env::args_os().next().map(PathBuf::from);
    if called.as_deref().and_then(Path::file_stem).is_some_and(|name| name == "kubectl-netpol_lint") {
        command = command.bin_name("kubectl netpol-lint");
    }
    Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let terminal = Terminal::of_process(cli.color);
    match cli.command {
        Command::Check(args) => check::run(&args, terminal),
        Command::Explain(args) => explain::run(&args, terminal),
        Command::Reach(args) => reach::run(args, terminal),
        Command::Matrix(args) => matrix::run(&args, terminal),
        Command::Rule(args) => rule::run(&args, terminal),
        Command::Rules(args) => rules::run(&args),
        Command::ConfigSchema(args) => config_schema::run(&args),
        Command::Server(args) => server::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// The reader of a pipe had enough, such as `head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}
