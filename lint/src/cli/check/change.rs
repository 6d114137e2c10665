//! `--fix`, `--unsafe-fixes`, `--add-ignores` and `--diff`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::check::check;
use crate::cli::{Outcome, Terminal, complain};
use crate::file::SourceFile;
use crate::finding::Applicability;
use crate::fix::{self, FixedFile, MeaningChanged, Refused, fix_file};
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
    /// Suppress what is found.
    AddIgnores {
        /// Why.
        reason: Option<&'a str>,
    },
}

/// A file as it should be.
pub(super) struct Changed {
    /// Its index.
    number: usize,
    after: SourceFile,
    /// How many findings that is about.
    findings: usize,
    /// Fixes among those that change what a policy means.
    changes: Vec<MeaningChanged>,
}

impl Change<'_> {
    /// What it does to some files: those that change.
    pub(super) fn of(
        self,
        files: &mut Vec<SourceFile>,
        index: &Index<'_>,
        settings: &Settings,
    ) -> io::Result<Vec<Changed>> {
        let mut changed = Vec::new();
        match self {
            Change::Fix(up_to) => {
                for (number, file) in files.iter().enumerate().filter(|(_, file)| !file.context) {
                    let fixed = fix_file(file, index, settings, up_to);
                    let FixedFile { file: after, applied, changes, refused } = fixed;
                    say_refused(file, &refused)?;
                    changed.push(Changed { number, after, findings: applied.len(), changes });
                }
            }
            Change::AddIgnores { reason } => {
                let report = check(std::mem::take(files), index, settings);
                for number in 0..report.files.len() {
                    let WithIgnores { file: after, added } = add_ignores(&report, number, reason);
                    changed.push(Changed { number, after, findings: added, changes: Vec::new() });
                }
                *files = report.files;
            }
        }
        changed.retain(|changed| changed.after.text != files[changed.number].text);
        Ok(changed)
    }

    fn done(self) -> &'static str {
        match self {
            Change::Fix(_) => "repaired",
            Change::AddIgnores { .. } => "suppressed",
        }
    }

    /// Writes what changed; standard input comes out changed or not. Files that can't be written stay as they are;
    /// returns whether there was none.
    pub(super) fn write(
        self,
        changed: Vec<Changed>,
        files: &mut [SourceFile],
        stdin: Option<&str>,
    ) -> anyhow::Result<bool> {
        let (mut findings, mut count, mut complete) = (0, 0, true);
        for changed in changed {
            let file = &mut files[changed.number];
            if stdin != Some(&*file.name)
                && let Err(error) = fix::write(Path::new(&*file.name), &file.text, &changed.after.text)
            {
                complain(&error.into());
                complete = false;
                continue;
            }
            say_changes(file, &changed.changes, "", &mut io::stderr().lock())?;
            findings += changed.findings;
            count += 1;
            *file = changed.after;
        }
        if let Some(file) = files.iter().find(|file| stdin == Some(&*file.name)) {
            io::stdout().lock().write_all(file.text.as_bytes())?;
        }
        if count > 0 {
            let done = self.done();
            writeln!(io::stderr(), "{done} {} in {}", plural(findings, "finding"), plural(count, "file"))?;
        }
        Ok(complete)
    }
}

/// Shows what would change.
pub(super) fn diff(changed: &[Changed], files: &[SourceFile], terminal: Terminal) -> io::Result<Outcome> {
    let mut out = BufWriter::new(io::stdout().lock());
    for Changed { number, after, changes, .. } in changed {
        let before = &files[*number];
        // Tools that take patches pass over what stands in front of them.
        say_changes(before, changes, "# ", &mut out)?;
        write_diff(&before.name, &before.text, &after.text, terminal, &mut out)?;
    }
    out.flush()?;
    Ok(if changed.is_empty() { Outcome::Clean } else { Outcome::Found })
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

/// Says what becomes of who may connect.
fn say_changes(
    file: &SourceFile,
    changes: &[MeaningChanged],
    mark: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    for MeaningChanged { finding, effect } in changes {
        let (code, name, file) = (finding.rule.code, finding.rule.name, one_line(&file.name));
        writeln!(out, "{mark}{file}: {code} {name} changes what a policy means")?;
        for line in effect.lines() {
            writeln!(out, "{mark}  {}", one_line(&line))?;
        }
    }
    Ok(())
}

fn say_refused(file: &SourceFile, refused: &[Refused]) -> io::Result<()> {
    for Refused { finding, reason, .. } in refused {
        let (code, path) = (finding.rule.code, &finding.path);
        writeln!(
            io::stderr(),
            "netpol-lint: {}: the fix of {code} at {path} is refused: {reason}",
            one_line(&file.name)
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
