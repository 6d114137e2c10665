//! `netpol-lint check` against plain text searches of the same files.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::corpus;
use crate::sample::{Sample, print};

pub(crate) fn measure(netpol_lint: &Path, files: usize, runs: usize) -> Result<()> {
    let tree = tempfile::tempdir()?;
    let bytes = corpus::write(tree.path(), files)?;
    let search = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).arg("NetworkPolicy").arg(tree.path());
        command
    };
    let mut check = Command::new(netpol_lint);
    check.arg("check").arg(tree.path());
    let mut commands = vec![("grep -r".to_owned(), search("grep", &["-r"]))];
    if Command::new("rg").arg("--version").stdout(Stdio::null()).status().is_ok() {
        commands.push(("rg".to_owned(), search("rg", &[])));
    }
    commands.push(("netpol-lint check".to_owned(), check));

    // Interleaved, so that a busy moment of the machine meets all of them; the first round only warms the cache.
    let mut times = vec![Vec::new(); commands.len()];
    for run in 0..=runs {
        for (command, times) in commands.iter_mut().zip(&mut times) {
            let time = run_once(&command.0, &mut command.1)?;
            if run > 0 {
                times.push(time);
            }
        }
    }
    let samples: Vec<_> =
        commands.iter().zip(times).map(|((name, _), times)| Sample::new(name, times)).collect();
    print(&format!("Linter: {files} policy files, {} KiB, {runs} runs", bytes / 1024), &samples);
    Ok(())
}

fn run_once(name: &str, command: &mut Command) -> Result<Duration> {
    let start = Instant::now();
    // The output is collected as a shell's pipe would: writing it is part of the work.
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    let time = start.elapsed();
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(time)
}
