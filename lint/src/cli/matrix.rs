//! `netpol-lint matrix`

use std::io::{self, BufWriter, Write};

use netpol_policy::evaluate::Evaluator;

use super::given::{Given, Manifests};
use super::{Outcome, Terminal};
use crate::matrix::{Matrix, html, json, text};
use crate::output::full::Look;

/// Columns of a table that goes to a file or a pipe.
const WIDE: usize = 160;

/// Show who reaches whom
///
/// Rows and columns are the workloads and the world outside, in the blocks that the policies tell apart; a block stands for its addresses that
/// no narrower block and no pod has.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    given: Given,
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output_format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A table, or a list by source where a table is too wide
    Text,
    /// A JSON list of {src, dst, connections}
    Json,
    /// One page for a browser, with the reasons
    Html,
}

pub(super) fn run(args: &Args, terminal: Terminal) -> anyhow::Result<Outcome> {
    let Manifests { cluster, files, .. } = match args.given.read()? {
        Ok(manifests) => manifests,
        Err(outcome) => return Ok(outcome),
    };
    let evaluator = Evaluator::new(&cluster);
    let matrix = Matrix::new(&evaluator)?;
    if matrix.ends().iter().all(|end| end.namespace().is_none()) {
        writeln!(
            io::stderr(),
            "netpol-lint: no workloads given: a matrix needs Pods or workloads such as Deployments"
        )?;
    }
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match args.output_format {
        Format::Text => {
            let look = terminal.look();
            let width = if terminal.interactive { look.width } else { WIDE };
            text::write(&matrix, Look { width, ..look }, &mut out)?;
        }
        Format::Json => json::write(&matrix, &mut out)?,
        Format::Html => html::write(&matrix, &files, &mut out)?,
    }
    out.flush()?;
    Ok(Outcome::Clean)
}
