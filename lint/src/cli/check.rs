//! `netpol-lint check`

mod change;
mod format;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use self::change::Change;
use super::{Outcome, Terminal, complain};
use crate::check::{Report, check};
use crate::finding::{Applicability, Severity};
use crate::index::Index;
use crate::input::{self, Input, Source};
use crate::output::printable::one_line;
use crate::output::{Counts, Format, plural};
use crate::rules::unused_suppression;
use crate::select::Selection;
use crate::settings::Settings;
use crate::suppress::Suppressions;

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
    /// Write the findings to a file instead of standard output
    #[arg(long, value_name = "FILE", conflicts_with = "diff")]
    output_file: Option<PathBuf>,
    /// Count the findings of each rule instead of showing them
    #[arg(long, conflicts_with = "diff")]
    statistics: bool,
    /// Only findings of at least this severity make the exit status 1
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = Severity::Info)]
    fail_on: Severity,
    /// Exit with status 0 whatever was found
    #[arg(long)]
    exit_zero: bool,
    /// Only these rules: codes (NP101), names (split-peer-selectors), groups (NP1) or ALL
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    select: Vec<String>,
    /// Not these rules
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    ignore: Vec<String>,
    /// Report also what comments and annotations in the manifests suppress
    #[arg(long)]
    disregard_suppressions: bool,
    /// Apply the fixes that keep the meaning of every policy
    #[arg(long)]
    fix: bool,
    /// With --fix or --diff: also fixes that change the meaning, presumably to what was meant
    #[arg(long)]
    unsafe_fixes: bool,
    /// Write a suppression for everything that is found; with a reason when one is given
    #[arg(
        long,
        value_name = "REASON",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_parser = reason,
        conflicts_with_all = ["fix", "unsafe_fixes", "disregard_suppressions"]
    )]
    add_ignores: Option<String>,
    /// Show what would change and write nothing; status 1 when there is something
    #[arg(long)]
    diff: bool,
    /// The namespace of objects that name none
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// What to call standard input in the output
    #[arg(long, value_name = "NAME", default_value = "<stdin>")]
    stdin_filename: String,
}

pub(super) fn run(args: &Args, terminal: Terminal) -> anyhow::Result<Outcome> {
    format::possible(args)?;
    let mut selection = Selection::new(&args.select, &args.ignore)?;
    if args.disregard_suppressions {
        selection = selection.disregarding_suppressions();
    }
    let settings = Settings::from(selection);
    let sources: Vec<_> = args.paths.iter().map(|path| args.source(path)).collect();
    let input = input::read(&sources, &args.namespace);
    let mut cluster = input.surroundings();
    let Input { mut files, templates, seen, unreadable } = input;
    let mut complete = unreadable.is_empty();
    for error in unreadable {
        complain(&error.into());
    }
    let from_stdin = sources.iter().any(|source| matches!(source, Source::Stdin(_)));
    let stdin = from_stdin.then_some(args.stdin_filename.as_str());
    let change = args.change();
    if let Some(change) = change {
        let index = Index::new(&cluster);
        let changed = change.of(&mut files, &index, &settings)?;
        if args.diff {
            return Ok(match change::diff(&changed, &files, terminal)? {
                _ if !complete => Outcome::Incomplete,
                _ if args.exit_zero => Outcome::Clean,
                outcome => outcome,
            });
        }
        complete &= change.write(changed, &mut files, stdin)?;
        // Policies mean something else now.
        cluster = input::surroundings(&files);
    }
    let index = Index::new(&cluster);
    let report = check(files, &index, &settings);
    // A changed text takes standard output.
    format::show(args, terminal, &report, from_stdin && change.is_some())?;
    if args.unsafe_fixes && change.is_none() {
        writeln!(
            io::stderr(),
            "netpol-lint: --unsafe-fixes alone changes nothing; add --fix to apply the fixes, --diff to see them"
        )?;
    }
    skipped(&templates)?;
    mistaken_suppressions(&report, &settings.selection)?;
    if args.output_format.has_summary() {
        summary(&report, seen)?;
    }
    let outcome = if complete { args.outcome(&report) } else { Outcome::Incomplete };
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

    fn outcome(&self, report: &Report) -> Outcome {
        let fails = report.findings.iter().any(|finding| finding.severity >= self.fail_on);
        if fails && !self.exit_zero { Outcome::Found } else { Outcome::Clean }
    }

    /// What to do to files, if anything.
    fn change(&self) -> Option<Change<'_>> {
        if let Some(reason) = &self.add_ignores {
            let reason = Some(&**reason).filter(|reason| !reason.is_empty());
            return Some(Change::AddIgnores { reason });
        }
        let up_to = if self.unsafe_fixes { Applicability::Unsafe } else { Applicability::Safe };
        (self.fix || self.diff).then_some(Change::Fix(up_to))
    }
}

/// A reason fits on a line.
fn reason(text: &str) -> Result<String, &'static str> {
    if text.contains(char::is_control) {
        Err("a reason is one line of text")
    } else {
        Ok(text.trim().to_owned())
    }
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

/// Says which suppressions can never work, unless that is among the findings.
fn mistaken_suppressions(report: &Report, selection: &Selection) -> io::Result<()> {
    if selection.contains(&unused_suppression::RULE) || !selection.honours_suppressions() {
        return Ok(());
    }
    let mut err = io::stderr().lock();
    for file in &report.files {
        let Some(suppressions) = Suppressions::of(file) else { continue };
        for (at, message, suggestion) in suppressions.mistakes() {
            let at = file.position(at);
            write!(err, "netpol-lint: {}:{}:{}: {}", file.name, at.line, at.column, one_line(&message))?;
            match suggestion {
                Some(word) => writeln!(err, "; did you mean `{word}`?")?,
                None => writeln!(err)?,
            }
        }
    }
    Ok(())
}

fn summary(report: &Report, seen: usize) -> io::Result<()> {
    let policies: usize = report.files.iter().map(|file| file.policies().count()).sum();
    let checked = format!(
        "checked {} in {}",
        if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") },
        plural(seen, "file"),
    );
    let counts = Counts::of(report);
    let suppressed = match report.suppressed.len() {
        0 => String::new(),
        count => format!("; {} suppressed", plural(count, "finding")),
    };
    let mut err = io::stderr().lock();
    if counts.total() == 0 && policies == 0 {
        return writeln!(err, "checked {}: no policy found", plural(seen, "file"));
    }
    if counts.total() == 0 {
        return writeln!(err, "{checked}: all clean{suppressed}");
    }
    let fixes = |applicability| {
        let fixes = report.findings.iter().filter_map(|finding| finding.fix.as_ref());
        fixes.filter(|fix| fix.applicability == applicability).count()
    };
    let mut line = format!("{checked}: {counts}");
    match (fixes(Applicability::Safe), fixes(Applicability::Unsafe)) {
        (0, 0) => {}
        (safe, 0) => line.push_str(&format!("; --fix repairs {safe}")),
        (0, changing) => line.push_str(&format!("; --fix --unsafe-fixes repairs {changing}")),
        (safe, changing) => {
            line.push_str(&format!("; --fix repairs {safe}, with --unsafe-fixes {changing} more"));
        }
    }
    writeln!(err, "{line}{suppressed}")
}
