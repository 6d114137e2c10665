//! `--baseline` and `--write-baseline`.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::baseline::{Baseline, BaselineError};
use crate::check::Report;
use crate::cli::inputs::HEADING;
use crate::config::Config;
use crate::file::SourceFile;
use crate::output::plural;
use crate::output::printable::{one_line, shown};
use crate::registry::find_rule;
use crate::settings::Settings;
use crate::suppress::Suppressed;

/// Where findings that are known are listed.
#[derive(Debug, clap::Args)]
pub(super) struct Known {
    /// Report only what this list of known findings doesn't have
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    pub(super) baseline: Option<PathBuf>,
    /// List everything that is found in a file for --baseline, and report nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = ["baseline", "diff", "add_ignores"])]
    write_baseline: Option<PathBuf>,
}

impl Known {
    /// The list to go by.
    pub(super) fn read(&self, config: &Config) -> Result<Option<Baseline>, BaselineError> {
        // What is written anew lists everything.
        let known = config.baseline.as_deref().filter(|_| self.write_baseline.is_none());
        known.map(Baseline::read).transpose()
    }

    /// Makes a list of everything that a report shows, if that is wanted; from then on it is known.
    pub(super) fn write(&self, report: &mut Report, complete: bool) -> anyhow::Result<()> {
        let Some(path) = &self.write_baseline else { return Ok(()) };
        // Half a list would make everything else look new.
        anyhow::ensure!(
            complete,
            "{} is not written, for something could not be read or written",
            shown(path)
        );
        let baseline = Baseline::of(report, path);
        baseline.write(path)?;
        writeln!(io::stderr(), "wrote {} to {}", plural(baseline.len(), "finding"), shown(path))?;
        report.suppressed.extend(report.findings.drain(..).map(Suppressed::known));
        report.suppressed.sort_by_key(|suppressed| suppressed.finding.place);
        Ok(())
    }

    /// Says what is listed and there no more.
    pub(super) fn tell_stale(&self, report: &Report, config: &Config, settings: &Settings) -> io::Result<()> {
        let (Some(path), Some(baseline)) = (&config.baseline, &settings.baseline) else { return Ok(()) };
        let is_on = |file: &SourceFile, code: &str| match find_rule(code) {
            Some(rule) => settings.selection_for(file).contains(rule),
            None => true,
        };
        let stale = baseline.stale(report, is_on);
        let Some((first, _)) = stale.first() else { return Ok(()) };
        let count: usize = stale.iter().map(|(_, count)| count).sum();
        let more = match stale.len() - 1 {
            0 => String::new(),
            more => format!(" and {}", plural(more, "other file")),
        };
        writeln!(
            io::stderr(),
            "netpol-lint: {} lists {} of {}{more} that {} not there any more; --write-baseline writes it anew",
            shown(path),
            plural(count, "finding"),
            one_line(first),
            if count == 1 { "is" } else { "are" },
        )
    }
}
