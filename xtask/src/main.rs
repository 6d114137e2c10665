//! Developer commands.

mod licences;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(about = "Developer commands")]
enum Command {
    /// Check licences and origins of all dependencies, without any network
    Licences,
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Licences => licences::check(),
    }
}
