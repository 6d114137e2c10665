//! `netpol-lint man`

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::CommandFactory;

use super::{Cli, Outcome};
use crate::output::printable::shown;

/// Print the manual page
///
/// `netpol-lint man | man -l -` shows it. With --dir, the page of every command is written.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write all pages to a folder, such as ~/.local/share/man/man1
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let command = Cli::command();
    match &args.dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            io::stdout().lock().write_all(&page)?;
        }
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .and_then(|()| clap_mangen::generate_to(command, folder))
                .with_context(|| format!("can't write to {}", shown(folder)))?;
        }
    }
    Ok(Outcome::Clean)
}
