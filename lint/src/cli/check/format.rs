//! `--output-format`, `--output-file` and `--statistics`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::Args;
use crate::check::Report;
use crate::cli::Terminal;
use crate::output::printable::shown;
use crate::output::{self as o, Format};
use anyhow::Context as _;

impl Format {
    fn write(self, report: &Report, terminal: Terminal, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Full => o::full::write(report, terminal.look(), out),
            Self::Concise => o::concise::write(report, out),
            Self::Grouped => o::grouped::write(report, out),
            Self::Json => o::json::write(report, out),
            Self::Sarif => o::sarif::write(report, out),
            Self::Github => o::github::write(report, out),
            Self::Gitlab => o::gitlab::write(report, out),
            Self::Junit => o::junit::write(report, out),
            Self::Rdjson => o::rdjson::write(report, out),
        }
    }
}

/// Refuses what can't be shown.
pub(super) fn possible(args: &Args, format: Format) -> anyhow::Result<()> {
    let counts = matches!(format, Format::Full | Format::Concise | Format::Grouped | Format::Json);
    if args.statistics && !counts {
        anyhow::bail!("--statistics has no such format; use it with full, concise, grouped or json");
    }
    Ok(())
}

/// Whether what fixes change will be shown.
pub(super) fn tells_effects(args: &Args, format: Format) -> bool {
    !args.statistics && matches!(format, Format::Full | Format::Json)
}

/// Writes a report where it belongs. `stdout_taken` when standard output already holds a fixed text.
pub(super) fn show(
    args: &Args,
    format: Format,
    terminal: Terminal,
    report: &Report,
    stdout_taken: bool,
) -> anyhow::Result<()> {
    match &args.output_file {
        Some(path) => {
            let mut file = create(path)?;
            let plain = Terminal { interactive: false, colour: false, width: 100 };
            write(args, format, plain, report, &mut file)
                .with_context(|| format!("can't write {}", shown(path)))?;
        }
        None if stdout_taken => write(args, format, terminal, report, &mut io::stderr().lock())?,
        None => write(args, format, terminal, report, &mut io::stdout().lock())?,
    }
    Ok(())
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).with_context(|| format!("can't write {}", shown(path)))
}

fn write(
    args: &Args,
    format: Format,
    terminal: Terminal,
    report: &Report,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    match (args.statistics, format) {
        (true, Format::Json) => o::statistics::write_json(report, &mut out)?,
        (true, _) => o::statistics::write(report, &mut out)?,
        (false, format) => format.write(report, terminal, &mut out)?,
    }
    out.flush()
}
