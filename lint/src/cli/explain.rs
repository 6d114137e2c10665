//! `netpol-lint explain`

use std::io::{self, BufWriter, Write};

use anyhow::bail;
use netpol_policy::source::nearest;

use super::given::{Given, Manifests};
use super::{Outcome, Terminal};
use crate::check::check;
use crate::explain::{self, Entry, Explainer};
use crate::finding::Finding;

/// Say in plain words what policies do
///
/// For each policy: which pods it isolates and in which direction, who may connect on which ports, what is still open, and
/// what is often misread. Workloads, namespaces and other policies among the files make the answer concrete.
///
/// Exit status: 0, or 2 when the command could not run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    given: Given,
    /// Only the policies of this name; all others are context
    #[arg(long, value_name = "[NS/]NAME", value_delimiter = ',')]
    policy: Vec<String>,
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    output_format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Sentences and lists
    Text,
    /// A JSON list with an object for each policy
    Json,
}

pub(super) fn run(args: &Args, terminal: Terminal) -> anyhow::Result<Outcome> {
    let Manifests { cluster, files, config, beside } = match args.given.read()? {
        Ok(manifests) => manifests,
        Err(outcome) => return Ok(outcome),
    };
    let report = check(files, &beside.index(&cluster), &config.settings);
    let explainer = Explainer::new(&cluster);
    let (mut entries, mut names) = (Vec::new(), Vec::new());
    for (number, file) in report.files.iter().enumerate().filter(|(_, file)| !file.context) {
        for (_, policy) in file.policies() {
            let of_policy =
                |finding: &&Finding| finding.place.file == number && policy.span.contains(finding.place.span);
            let findings = report.findings.iter().filter(of_policy).collect();
            let explanation = explainer.explain(policy);
            let entry = Entry { file, policy, explanation, findings };
            if args.wants(&entry) {
                entries.push(entry);
            } else {
                names.push(entry.title());
            }
        }
    }
    if entries.is_empty() {
        if !args.policy.is_empty() {
            bail!("no policy of that name in these files: {}{}", args.policy.join(", "), args.hint(&names));
        }
        writeln!(io::stderr(), "netpol-lint: no policy found")?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    match args.output_format {
        Format::Text => explain::write_text(&entries, terminal.look(), &mut out)?,
        Format::Json => explain::write_json(&entries, &mut out)?,
    }
    out.flush()?;
    Ok(Outcome::Clean)
}

impl Args {
    /// The name that was probably meant, with its namespace if one was written.
    fn hint(&self, names: &[String]) -> String {
        let near = self.policy.iter().find_map(|wanted| {
            if wanted.contains('/') {
                return nearest(wanted, names.iter().map(String::as_str));
            }
            nearest(wanted, names.iter().filter_map(|name| Some(name.rsplit_once('/')?.1)))
        });
        near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
    }

    fn wants(&self, entry: &Entry<'_>) -> bool {
        let name = entry.policy.metadata.name.as_ref().map_or("", |name| &*name.value);
        let full = entry.title();
        self.policy.is_empty() || self.policy.iter().any(|wanted| wanted == name || *wanted == full)
    }
}
