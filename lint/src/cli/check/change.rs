//! `--fix`, `--unsafe-fixes`, `--add-ignores` and `--diff`.

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
use crate::suppress::add::{WithIgnores, add_ignores};

/// What to do to files.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change<'a> {
    /// Apply fixes up to an applicability.
    Fix(Applicability),
    /// Suppress what is found, for a reason.
    AddIgnores(Option<&'a str>),
}

/// What it is done by.
#[derive(Clone, Copy)]
pub(super) struct Changer<'a> {
    pub(super) change: Change<'a>,
    pub(super) index: &'a Index<'a>,
    pub(super) settings: &'a Settings,
}

impl Changer<'_> {
    /// Changes files in place; standard input comes out changed. Files that can't be written stay as they are; returns
    /// whether there was none.
    pub(super) fn write(self, files: &mut [SourceFile], stdin: Option<&str>) -> anyhow::Result<bool> {
        let (mut findings, mut changed, mut complete) = (0, 0, true);
        for file in files.iter_mut().filter(|file| !file.context) {
            let (after, count) = self.changed(file)?;
            if stdin == Some(&*file.name) {
                io::stdout().lock().write_all(after.text.as_bytes())?;
            } else if after.text != file.text
                && let Err(error) = fix::write(Path::new(&*file.name), &file.text, &after.text)
            {
                complain(&error.into());
                complete = false;
                continue;
            }
            if after.text != file.text {
                findings += count;
                changed += 1;
            }
            *file = after;
        }
        if changed > 0 {
            let done = match self.change {
                Change::Fix(_) => "repaired",
                Change::AddIgnores(_) => "suppressed",
            };
            writeln!(io::stderr(), "{done} {} in {}", plural(findings, "finding"), plural(changed, "file"))?;
        }
        Ok(complete)
    }

    /// Shows what [`Self::write`] would change.
    pub(super) fn diff(self, files: &[SourceFile], terminal: Terminal) -> anyhow::Result<Outcome> {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut outcome = Outcome::Clean;
        for file in files.iter().filter(|file| !file.context) {
            let (after, _) = self.changed(file)?;
            if after.text != file.text {
                outcome = Outcome::Found;
                write_diff(&file.name, &file.text, &after.text, terminal, &mut out)?;
            }
        }
        out.flush()?;
        Ok(outcome)
    }

    /// A file as it should be, and how many findings that is about.
    fn changed(self, file: &SourceFile) -> io::Result<(SourceFile, usize)> {
        let Self { change, index, settings } = self;
        match change {
            Change::Fix(up_to) => {
                let FixedFile { file: fixed, applied, refused } = fix_file(file, index, settings, up_to);
                say_refused(file, &refused)?;
                Ok((fixed, applied.len()))
            }
            Change::AddIgnores(reason) => {
                let WithIgnores { file, added } = add_ignores(file, index, settings, reason);
                Ok((file, added))
            }
        }
    }
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
