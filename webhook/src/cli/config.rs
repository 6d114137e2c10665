//! `netpol-webhook config`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use super::print;
use crate::config::{self, Config};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether a configuration can be used; exit 1 if not.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Print the JSON schema of the configuration, for editors.
    Schema,
}

impl ConfigCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Check { file } => {
                Config::read(&file)
                    .with_context(|| format!("the configuration {} doesn't do", file.display()))?;
                print(&format!("{} can be used\n", file.display()))?;
            }
            Self::Schema => print(&format!("{:#}\n", config::schema()))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
