//! The command `netpol-webhook`.

mod audit;
mod certificate;
mod certs;
mod config;
mod connect;
mod namespaces;
mod render;
mod serve;
mod validation;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory, Parser, Subcommand};

/// An admission webhook for Kubernetes NetworkPolicies.
///
/// Checks NetworkPolicies with the rules of netpol-lint before they are stored, and labels new Namespaces so that they
/// are isolated from their first packet.
#[derive(Debug, Parser)]
#[command(name = "netpol-webhook", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer the API server until SIGTERM.
    Serve(Box<serve::Serve>),
    /// Check the policies that a cluster holds; exit 1 if something is found, 2 if it can't be looked at.
    Audit(audit::Audit),
    /// Check a configuration, or print its schema.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make certificates, or show what a directory holds.
    #[command(subcommand)]
    Certs(certs::Certs),
    /// Print admission policies that do the same in the API server, as far as it goes in CEL.
    Render(render::Render),
    /// Print completions for a shell.
    Completions {
        /// Which.
        shell: clap_complete::Shell,
    },
}

/// Runs the command; 0 when all went well, 1 when something is wrong with what was asked for, 2 for a wrong call.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Audit(audit) => Ok(audit.run()),
        Command::Config(config) => config.run(),
        Command::Certs(certs) => certs.run(),
        Command::Render(render) => render.run(),
        Command::Completions { shell } => {
            // It panics when it can't write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "netpol-webhook", &mut script);
            print(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Writes to standard output. A macro would panic when that fails.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// A DNS name or an IP address, as certificates carry it.
fn server_name(text: &str) -> Result<rustls::pki_types::ServerName<'static>, String> {
    text.to_owned().try_into().map_err(|_| format!("{text:?} is neither a DNS name nor an IP address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_certificate_has_one_source() {
        for (arguments, good) in [
            (&["--cert-dir", "d"][..], true),
            (&["--self-signed", "localhost,127.0.0.1"], true),
            (&["--self-signed", "localhost", "--ca-file", "f"], true),
            (&[], false),
            (&["--cert-dir", "d", "--self-signed", "localhost"], false),
            (&["--cert-dir", "d", "--ca-file", "f"], false),
            (&["--self-signed", "not a name"], false),
            (&["--tls-secret", "a/b", "--server-name", "a.b.svc", "--webhook-configuration", "c"], true),
            (&["--tls-secret", "a/b", "--server-name", "a.b.svc"], false),
            (&["--tls-secret", "a/b", "--webhook-configuration", "c"], false),
            (&["--tls-secret", "b", "--server-name", "a.b.svc", "--webhook-configuration", "c"], false),
            (&["--tls-secret", "a/b/c", "--server-name", "a.b.svc", "--webhook-configuration", "c"], false),
            (&["--cert-dir", "d", "--webhook-configuration", "c"], false),
            (&["--self-signed", "d", "--server-name", "c"], false),
            (&["--cert-dir", "d", "--max-concurrent", "0"], false),
            (&["--cert-dir", "d", "--drain-time", "5"], false),
        ] {
            let command = ["netpol-webhook", "serve"].iter().chain(arguments);
            assert_eq!(Cli::try_parse_from(command).is_ok(), good, "{arguments:?}");
        }
    }
}
