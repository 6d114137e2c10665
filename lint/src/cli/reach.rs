//! `netpol-lint reach`

use std::io::{self, BufWriter, Write};

use netpol_policy::evaluate::Evaluator;

use super::given::{Given, Manifests};
use super::{Outcome, Terminal};
use crate::reach::{self, Ask, Passes, Question};

/// Ask whether somebody reaches somebody, and why
///
/// Names are `namespace/name` for a pod, a workload or a Service, `namespace/Kind/name`, or an address. A Service is decided after
/// translation, for each of its endpoints. Without --port the answer is everything that passes.
///
/// Exit status: 0 when it is allowed (for a Service: at every endpoint; without --port: something is), 1 when it is
/// denied, 2 when the command could not run or the answer depends on an address that isn't given.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    given: Given,
    /// Who opens the connection
    #[arg(long, value_name = "NS/POD|IP")]
    from: String,
    /// To whom
    #[arg(long, value_name = "NS/POD|IP|NS/SERVICE")]
    to: String,
    /// What is asked for: 3306/TCP, 53/UDP, the name of a port, or icmp
    #[arg(long, value_name = "PORT")]
    port: Option<Ask>,
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output_format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The verdict with the rules that decide it
    Text,
    /// A JSON object
    Json,
}

pub(super) fn run(args: Args, terminal: Terminal) -> anyhow::Result<Outcome> {
    let Manifests { cluster, files, config, .. } = match args.given.read()? {
        Ok(manifests) => manifests,
        Err(outcome) => return Ok(outcome),
    };
    let evaluator = Evaluator::new(&cluster);
    let namespace = config.namespace.as_str().to_owned();
    let question = Question { from: args.from, to: args.to, port: args.port, namespace };
    let answer = reach::ask(&evaluator, &question)?;
    let mut out = BufWriter::new(io::stdout().lock());
    match args.output_format {
        Format::Text => reach::write_text(&answer, &files, terminal.look(), &mut out)?,
        Format::Json => reach::write_json(&answer, &files, &mut out)?,
    }
    out.flush()?;
    Ok(match answer.passes() {
        Passes::Yes => Outcome::Clean,
        Passes::No => Outcome::Found,
        // The answer says of what.
        Passes::Depends => Outcome::Incomplete,
    })
}
