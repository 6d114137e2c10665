//! `netpol-lint check`

mod change;
mod format;
mod known;
mod rules;
mod watch;

use std::io::{self, Write};
use std::path::PathBuf;

use self::change::Change;
use self::known::Known;
use self::rules::Rules;
use super::inputs::Inputs;
use super::{Outcome, Terminal, complain};
use crate::check::{Report, check};
use crate::config::Options;
use crate::finding::{Applicability, Severity};
use crate::input::{self, Input};
use crate::output::printable::one_line;
use crate::output::{Counts, plural};
use crate::rules::unused_suppression;
use crate::select::Selection;
use crate::suppress::Suppressions;

/// Check policies and say what is wrong with them
///
/// Files are read as YAML or JSON, with any number of documents. Workloads, namespaces and Services among them tell which
/// pods a policy means. Exit status: 0 when nothing was found, 1 when something was, 2 when the command could not run.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    inputs: Inputs,
    /// Write the findings to a file instead of standard output
    #[arg(long, value_name = "FILE", conflicts_with = "diff")]
    output_file: Option<PathBuf>,
    /// Count the findings of each rule instead of showing them
    #[arg(long, conflicts_with = "diff")]
    statistics: bool,
    /// Exit with status 0 whatever was found
    #[arg(long)]
    exit_zero: bool,
    #[command(flatten)]
    known: Known,
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
    /// Check again whenever something changes, until Ctrl-C
    #[arg(long, conflicts_with_all = ["diff", "add_ignores", "write_baseline"])]
    watch: bool,
    #[command(flatten)]
    rules: Rules,
}

pub(super) fn run(args: &Args, terminal: Terminal) -> anyhow::Result<Outcome> {
    if args.watch { watch::run(args, terminal) } else { once(args, terminal) }
}

fn once(args: &Args, terminal: Terminal) -> anyhow::Result<Outcome> {
    let config = match args.inputs.config(args.options())? {
        Ok(config) => config,
        Err(outcome) => return Ok(outcome),
    };
    format::possible(args, config.output_format)?;
    if config.settings.selection.rules().next().is_none() {
        anyhow::bail!("no rule is on, so there is nothing to check: see `select` and `ignore`");
    }
    let mut settings = config.settings.clone();
    if args.disregard_suppressions {
        settings.selection = settings.selection.disregarding_suppressions();
    }
    settings.baseline = args.known.read(&config)?;
    let change = args.change();
    if change.is_some() && args.inputs.is_about_cluster() {
        anyhow::bail!("policies in a cluster can't be repaired in place: name the files that they come from");
    }
    let mut beside = args.inputs.cluster.read(args.inputs.is_about_cluster())?;
    let input = input::read(&args.inputs.sources(&config));
    let Input { mut files, templates, patches, excluded, seen, unreadable } = input;
    let mut complete = unreadable.is_empty();
    for error in unreadable {
        complain(&error.into());
    }
    beside.join(&mut files, args.inputs.is_about_cluster());
    let mut cluster = beside.around(&files, input::surroundings(&files));
    let stdin = args.inputs.stdin();
    if let Some(change) = change {
        let index = beside.index(&cluster);
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
        cluster = beside.around(&files, input::surroundings(&files));
    }
    let index = beside.index(&cluster);
    let mut report = check(files, &index, &settings);
    args.known.write(&mut report, complete)?;
    if format::tells_effects(args, config.output_format) {
        report.tell_effects(&index);
    }
    // A changed text takes standard output.
    let taken = stdin.is_some() && change.is_some();
    format::show(args, config.output_format, terminal, &report, taken)?;
    if args.unsafe_fixes && change.is_none() {
        writeln!(
            io::stderr(),
            "netpol-lint: --unsafe-fixes alone changes nothing; add --fix to apply the fixes, --diff to see them"
        )?;
    }
    skipped(&templates, &patches, &excluded)?;
    mistaken_suppressions(&report, &settings.selection)?;
    args.known.tell_stale(&report, &config, &settings)?;
    if config.output_format.has_summary() {
        let place = match args.inputs.is_about_cluster() {
            true => "the cluster".to_owned(),
            false => plural(seen, "file"),
        };
        summary(&report, &place)?;
    }
    let outcome = if complete { args.outcome(&report, config.fail_on) } else { Outcome::Incomplete };
    if !args.watch {
        // The process ends here; giving back every small piece of memory first would only take time.
        std::mem::forget((report, index));
        std::mem::forget(cluster);
    }
    Ok(outcome)
}

impl Args {
    /// The keys of the configuration that are given.
    fn options(&self) -> Options {
        Options { baseline: self.known.baseline.clone(), ..self.rules.options() }
    }

    fn outcome(&self, report: &Report, fail_on: Severity) -> Outcome {
        let fails = report.findings.iter().any(|finding| finding.severity >= fail_on);
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

/// Says which files were passed over: because they are no manifests yet, or by a pattern although they were named.
fn skipped(templates: &[Box<str>], patches: &[Box<str>], excluded: &[Box<str>]) -> io::Result<()> {
    let some = |files: &[Box<str>]| {
        let (first, rest) = files.split_first()?;
        let more = if rest.is_empty() {
            String::new()
        } else {
            format!(" and {}", plural(rest.len(), "other file"))
        };
        Some(format!("{}{more}", one_line(first)))
    };
    let mut err = io::stderr().lock();
    if let Some(files) = some(templates) {
        writeln!(
            err,
            "netpol-lint: skipped {files}: a Helm template is no manifest before it is rendered; \
             try `helm template CHART | netpol-lint check -`"
        )?;
    }
    if let Some(files) = some(patches) {
        writeln!(
            err,
            "netpol-lint: skipped {files}: a patch is a part of an object; \
             try `kustomize build OVERLAY | netpol-lint check -`"
        )?;
    }
    if let Some(files) = some(excluded) {
        writeln!(err, "netpol-lint: left out {files}: `exclude` names it")?;
    }
    Ok(())
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
            write!(
                err,
                "netpol-lint: {}:{}:{}: {}",
                one_line(&file.name),
                at.line,
                at.column,
                one_line(&message)
            )?;
            match suggestion {
                Some(word) => writeln!(err, "; did you mean `{word}`?")?,
                None => writeln!(err)?,
            }
        }
    }
    Ok(())
}

fn summary(report: &Report, place: &str) -> io::Result<()> {
    let policies: usize =
        report.files.iter().filter(|file| !file.context).map(|file| file.policies().count()).sum();
    let checked = format!(
        "checked {} in {place}",
        if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") },
    );
    let counts = Counts::of(report);
    let known = report.suppressed.iter().filter(|suppressed| suppressed.is_known()).count();
    let mut suppressed = String::new();
    for (count, what) in [(report.suppressed.len() - known, "suppressed"), (known, "in the baseline")] {
        if count > 0 {
            suppressed.push_str(&format!("; {} {what}", plural(count, "finding")));
        }
    }
    let mut err = io::stderr().lock();
    if counts.total() == 0 && policies == 0 {
        return writeln!(err, "checked {place}: no policy found");
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
