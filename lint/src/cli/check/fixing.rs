//! `--fix`, `--unsafe-fixes` and `--diff`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::cli::Outcome;
use crate::file::SourceFile;
use crate::finding::Applicability;
use crate::fix::{self, FixedFile, Refused, fix_file};
use crate::index::Index;
use crate::output::plural;
use crate::select::Selection;

/// Repairs files in place; standard input comes out repaired.
pub(super) fn fix(
    files: &mut [SourceFile],
    index: &Index<'_>,
    selection: &Selection,
    up_to: Applicability,
    stdin: Option<&str>,
) -> anyhow::Result<()> {
    let (mut repaired, mut changed) = (0, 0);
    for file in files {
        let FixedFile { file: fixed, applied, refused } = fix_file(file, index, selection, up_to);
        say_refused(file, &refused)?;
        if stdin == Some(&*file.name) {
            io::stdout().lock().write_all(fixed.text.as_bytes())?;
        } else if fixed.text != file.text {
            fix::write(Path::new(&*file.name), &file.text, &fixed.text)?;
        }
        if fixed.text != file.text {
            repaired += applied.len();
            changed += 1;
        }
        *file = fixed;
    }
    if changed > 0 {
        writeln!(io::stderr(), "repaired {} in {}", plural(repaired, "finding"), plural(changed, "file"))?;
    }
    Ok(())
}

/// Shows what [`fix()`] would change.
pub(super) fn diff(
    files: &[SourceFile],
    index: &Index<'_>,
    selection: &Selection,
    up_to: Applicability,
) -> anyhow::Result<Outcome> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut outcome = Outcome::Clean;
    for file in files {
        let fixed = fix_file(file, index, selection, up_to);
        say_refused(file, &fixed.refused)?;
        if fixed.file.text != file.text {
            outcome = Outcome::Found;
            let (before, after) = (format!("a/{}", file.name), format!("b/{}", file.name));
            let diff = similar::TextDiff::from_lines(&*file.text, &*fixed.file.text);
            write!(out, "{}", diff.unified_diff().header(&before, &after))?;
        }
    }
    out.flush()?;
    Ok(outcome)
}

fn say_refused(file: &SourceFile, refused: &[Refused]) -> io::Result<()> {
    for Refused { finding, reason } in refused {
        let (code, path) = (finding.rule.code, &finding.path);
        writeln!(
            io::stderr(),
            "netpol-lint: {}: the fix of {code} at {path} is refused: {reason}",
            file.name
        )?;
    }
    Ok(())
}
