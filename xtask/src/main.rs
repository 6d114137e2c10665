//! Developer commands.

mod docs;
mod image;
mod licences;
mod seeds;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(about = "Developer commands")]
enum Command {
    /// Check licences and origins of all dependencies, without any network
    Licences,
    /// Write the pages of the documentation that come from code
    Docs {
        /// Write nothing; fail if they are not current
        #[arg(long)]
        check: bool,
    },
    /// Write a container image: an OCI archive with one static program
    Image {
        /// Of what
        program: image::Program,
        /// Where to; target/images/PROGRAM.tar otherwise
        #[arg(long)]
        out: Option<std::path::PathBuf>,
    },
    /// Write seeds for the fuzzers
    Seeds {
        /// Where to
        folder: std::path::PathBuf,
    },
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Licences => licences::check(),
        Command::Docs { check } => docs::run(check),
        Command::Image { program, out } => image::write(program, out),
        Command::Seeds { folder } => seeds::write(&folder),
    }
}
