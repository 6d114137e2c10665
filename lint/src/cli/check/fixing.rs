//! `--fix`, `--unsafe-fixes` and `--diff`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::cli::{Outcome, Terminal, complain};
use crate::file::SourceFile;
use crate::finding::Applicability;
use crate::fix::{self, FixedFile, Refused, fix_file};
use crate::index::Index;
use crate::output::plural;
use crate::output::printable::{drawing, one_line};
use crate::settings::Settings;

/// Repairs files in place; standard input comes out repaired. Files that can't be written stay as they are; returns
/// whether there was none.
pub(super) fn fix(
    files: &mut [SourceFile],
    index: &Index<'_>,
    settings: &Settings,
    up_to: Applicability,
    stdin: Option<&str>,
) -> anyhow::Result<bool> {
    let (mut repaired, mut changed, mut complete) = (0, 0, true);
    for file in files.iter_mut().filter(|file| !file.context) {
        let FixedFile { file: fixed, applied, refused } = fix_file(file, index, settings, up_to);
        say_refused(file, &refused)?;
        if stdin == Some(&*file.name) {
            io::stdout().lock().write_all(fixed.text.as_bytes())?;
        } else if fixed.text != file.text
            && let Err(error) = fix::write(Path::new(&*file.name), &file.text, &fixed.text)
        {
            complain(&error.into());
            complete = false;
            continue;
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
    Ok(complete)
}

/// Shows what [`fix()`] would change.
pub(super) fn diff(
    files: &[SourceFile],
    index: &Index<'_>,
    settings: &Settings,
    up_to: Applicability,
    terminal: Terminal,
) -> anyhow::Result<Outcome> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut outcome = Outcome::Clean;
    for file in files.iter().filter(|file| !file.context) {
        let fixed = fix_file(file, index, settings, up_to);
        say_refused(file, &fixed.refused)?;
        if fixed.file.text != file.text {
            outcome = Outcome::Found;
            write_diff(&file.name, &file.text, &fixed.file.text, terminal, &mut out)?;
        }
    }
    out.flush()?;
    Ok(outcome)
}

/// Writes a patch. One that goes to a file is exact; a terminal gets no command from the text.
fn write_diff(
    name: &str,
    before: &str,
    after: &str,
    terminal: Terminal,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name = one_line(name);
    let diff = similar::TextDiff::from_lines(before, after);
    let patch = diff.unified_diff().header(&format!("a/{name}"), &format!("b/{name}")).to_string();
    if terminal.interactive {
        write!(out, "{}", drawing(&patch.replace("\r\n", "\n"), false))
    } else {
        out.write_all(patch.as_bytes())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_commands() {
        let patch = |interactive| {
            let mut out = Vec::new();
            let terminal = Terminal { interactive, colour: interactive, width: 80 };
            let (before, after) = ("a: 1 # \u{1b}[2J\r\nb: 1\r\n", "a: 1 # \u{1b}[2J\r\nb: 2\r\n");
            write_diff("x\u{1b}.yaml", before, after, terminal, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let shown = patch(true);
        assert!(!shown.contains(['\u{1b}', '\r']), "{shown:?}");
        assert!(shown.contains("--- a/x\\u{1b}.yaml\n") && shown.contains("-b: 1\n+b: 2\n"), "{shown:?}");
        assert!(patch(false).contains(" a: 1 # \u{1b}[2J\r\n-b: 1\r\n+b: 2\r\n"), "a patch is exact");
    }
}
