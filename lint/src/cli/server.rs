//! `netpol-lint server`

use std::io;

use super::Outcome;
use crate::server::{End, serve};

/// Run the language server for editors, on standard input and output
///
/// It shows what `check` finds while manifests are written, explains policies and rules on hovering, and offers fixes.
/// Exit status: 0 when the client shut it down, 1 when it was gone without a word, 2 when the input was no such protocol.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Accepted for editors that say so: there is no other way
    #[arg(long, hide = true)]
    stdio: bool,
}

pub(super) fn run(_args: &Args) -> anyhow::Result<Outcome> {
    let end = serve(io::BufReader::new(io::stdin()), &mut io::stdout().lock())?;
    Ok(match end {
        End::Shutdown => Outcome::Clean,
        End::Lost => Outcome::Found,
    })
}
