//! `netpol-lint config-schema`

use std::io::{self, Write};

use super::Outcome;
use crate::config::schema;

/// Print the JSON schema of netpol-lint.toml, for editors
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args) -> anyhow::Result<Outcome> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &schema())?;
    writeln!(out)?;
    Ok(Outcome::Clean)
}
