//! `netpol-lint check`

mod fixing;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Outcome, Terminal};
use crate::check::{Report, check};
use crate::finding::Applicability;
use crate::index::Index;
use crate::input::{self, Input, Source};
use crate::output::{self, Counts, plural};
use crate::select::Selection;

/// Check policies and say what is wrong with them
///
/// Files are read as YAML or JSON, with any number of documents. Workloads, namespaces and Services among them tell which
/// pods a policy means. Exit status: 0 when nothing was found, 1 when something was, 2 when the command could not run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files and folders; `-` reads standard input
    ///
    /// In folders, *.yaml, *.yml and *.json count; hidden files and those that .gitignore names don't.
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Full)]
    output_format: Format,
    /// Only these rules: codes (NP101), names (split-peer-selectors), groups (NP1) or ALL
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    select: Vec<String>,
    /// Not these rules
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Apply the fixes that keep the meaning of every policy
    #[arg(long)]
    fix: bool,
    /// Apply also fixes that change the meaning, presumably to what was meant
    #[arg(long)]
    unsafe_fixes: bool,
    /// Show what fixes would change and write nothing; status 1 when there is something
    #[arg(long)]
    diff: bool,
    /// The namespace of objects that name none
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// What to call standard input in the output
    #[arg(long, value_name = "NAME", default_value = "<stdin>")]
    stdin_filename: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The text around each finding, with explanations
    Full,
    /// One line for each finding
    Concise,
    /// A JSON list
    Json,
}

pub(super) fn run(args: &Args, terminal: Terminal) -> anyhow::Result<Outcome> {
    let selection = Selection::new(&args.select, &args.ignore)?;
    let sources: Vec<_> = args.paths.iter().map(|path| args.source(path)).collect();
    let input = input::read(&sources, &args.namespace)?;
    let cluster = input.surroundings();
    let Input { mut files, templates, seen } = input;
    let index = Index::new(&cluster);
    let from_stdin = sources.iter().any(|source| matches!(source, Source::Stdin(_)));
    let stdin = from_stdin.then_some(args.stdin_filename.as_str());
    if let Some(up_to) = args.applicability() {
        if args.diff {
            return fixing::diff(&files, &index, &selection, up_to);
        }
        fixing::fix(&mut files, &index, &selection, up_to, stdin)?;
    }
    let report = check(files, &index, &selection);
    if from_stdin && args.applicability().is_some() {
        // The fixed text takes standard output.
        show(args, terminal, &report, &mut io::stderr().lock())?;
    } else {
        show(args, terminal, &report, &mut io::stdout().lock())?;
    }
    skipped(&templates)?;
    if args.output_format == Format::Full {
        summary(&report, seen)?;
    }
    let outcome = if report.findings.is_empty() { Outcome::Clean } else { Outcome::Found };
    // The process ends here; giving back every small piece of memory first would only take time.
    std::mem::forget((report, index));
    std::mem::forget(cluster);
    Ok(outcome)
}

impl Args {
    fn source(&self, path: &Path) -> Source {
        if path.as_os_str() == "-" {
            Source::Stdin(self.stdin_filename.as_str().into())
        } else {
            Source::Path(path.to_owned())
        }
    }

    /// Which fixes to apply or to show, if any.
    fn applicability(&self) -> Option<Applicability> {
        match (self.unsafe_fixes, self.fix || self.diff) {
            (true, _) => Some(Applicability::Unsafe),
            (false, true) => Some(Applicability::Safe),
            (false, false) => None,
        }
    }
}

fn show(args: &Args, terminal: Terminal, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    match args.output_format {
        Format::Full => output::full::write(report, terminal.look(), &mut out)?,
        Format::Concise => output::concise::write(report, &mut out)?,
        Format::Json => output::json::write(report, &mut out)?,
    }
    out.flush()
}

/// Says which files were passed over because they are no manifests yet.
fn skipped(templates: &[Box<str>]) -> io::Result<()> {
    let Some(first) = templates.first() else { return Ok(()) };
    let more = match templates.len() - 1 {
        0 => String::new(),
        more => format!(" and {}", plural(more, "other file")),
    };
    writeln!(
        io::stderr(),
        "netpol-lint: skipped {first}{more}: a Helm template is no manifest before it is rendered; \
         try `helm template CHART | netpol-lint check -`"
    )
}

fn summary(report: &Report, seen: usize) -> io::Result<()> {
    let policies: usize = report.files.iter().map(|file| file.policies().count()).sum();
    let checked = format!(
        "checked {} in {}",
        if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") },
        plural(seen, "file"),
    );
    let counts = Counts::of(report);
    let mut err = io::stderr().lock();
    if counts.total() == 0 && policies == 0 {
        return writeln!(err, "checked {}: no policy found", plural(seen, "file"));
    }
    if counts.total() == 0 {
        return writeln!(err, "{checked}: all clean");
    }
    let fixes = |applicability| {
        let fixes = report.findings.iter().filter_map(|finding| finding.fix.as_ref());
        fixes.filter(|fix| fix.applicability == applicability).count()
    };
    let mut line = format!("{checked}: {counts}");
    match (fixes(Applicability::Safe), fixes(Applicability::Unsafe)) {
        (0, 0) => {}
        (safe, 0) => line.push_str(&format!("; --fix repairs {safe}")),
        (0, changing) => line.push_str(&format!("; --unsafe-fixes repairs {changing}")),
        (safe, changing) => line.push_str(&format!("; --fix repairs {safe}, --unsafe-fixes {changing} more")),
    }
    writeln!(err, "{line}")
}
