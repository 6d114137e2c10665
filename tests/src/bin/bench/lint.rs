//! `netpol-lint check` against plain text searches of the same files, and against other linters where they are installed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::corpus::large::Size;
use crate::corpus::{large, policies, tree};
use crate::memory::peak;
use crate::sample::{Sample, print};

/// What to measure with.
pub(crate) struct Plan<'a> {
    pub(crate) netpol_lint: &'a Path,
    pub(crate) files: usize,
    pub(crate) apps: usize,
    pub(crate) runs: usize,
}

impl Plan<'_> {
    pub(crate) fn run(&self) -> Result<()> {
        self.policies()?;
        println!();
        self.tree()?;
        println!();
        self.large()
    }

    /// Every file matters: the cost of understanding them.
    fn policies(&self) -> Result<()> {
        let tree = tempfile::tempdir()?;
        let bytes = policies::write(tree.path(), self.files)?;
        let mut commands = searches(tree.path(), &["-r"], &[]);
        commands.push(self.check(tree.path()));
        let title = format!("Every file a policy: {} files, {} KiB", self.files, bytes / 1024);
        print(&format!("{title}, {} runs", self.runs), &measure(&mut commands, self.runs)?);
        self.memory(tree.path())
    }

    /// One file in ten is a policy: what a repository costs.
    fn tree(&self) -> Result<()> {
        let tree = tempfile::tempdir()?;
        let bytes = tree::write(tree.path(), self.apps)?;
        let title = format!("A repository: {} files, {} KiB", self.apps * tree::PER_APP, bytes / 1024);
        let mut commands = searches(tree.path(), &["-rl"], &["-l"]);
        commands.reverse();
        commands.push(self.check(tree.path()));
        print(&format!("{title}, {} runs", self.runs), &measure(&mut commands, self.runs)?);
        self.memory(tree.path())?;

        let mut commands = vec![self.check(tree.path())];
        commands.extend(other_linters(tree.path())?);
        println!();
        if commands.len() == 1 {
            println!("Neither kube-linter nor kube-score is on the PATH: no other linter to compare with.");
            return Ok(());
        }
        let runs = self.runs.min(5);
        print(
            &format!("Other linters over the same repository, {runs} runs"),
            &measure(&mut commands, runs)?,
        );
        Ok(())
    }

    /// Rules that look across documents, on a whole cluster.
    fn large(&self) -> Result<()> {
        let mut samples = Vec::new();
        let mut last = None;
        let many = [25, 50, 100].map(|namespaces| Size { namespaces, pods: 1000, policies: 100 });
        let few = [5, 10, 20].map(|namespaces| Size { namespaces, pods: 5000, policies: 500 });
        for size in many.into_iter().chain(few) {
            let tree = tempfile::tempdir()?;
            let Size { namespaces, .. } = size;
            large::write(tree.path(), size)?;
            let mut all = self.check(tree.path());
            all.name = format!(
                "{} pods, {} policies in {namespaces} namespaces",
                namespaces * size.pods,
                namespaces * size.policies
            );
            all.command.args(["--select", "ALL", "--exit-zero", "--statistics"]);
            samples.extend(measure(std::slice::from_mut(&mut all), self.runs.min(3))?);
            last = Some(tree);
        }
        print("A cluster in files, with every rule there is", &samples);
        last.map_or(Ok(()), |tree| self.memory(tree.path()))
    }

    fn check(&self, tree: &Path) -> Measured {
        let mut command = Command::new(self.netpol_lint);
        command.arg("check").arg(tree);
        Measured { name: "netpol-lint check".to_owned(), command }
    }

    fn memory(&self, tree: &Path) -> Result<()> {
        let mut check = self.check(tree).command;
        println!("\nMost memory that the check held: {} MiB", peak(&mut check)? >> 20);
        Ok(())
    }
}

struct Measured {
    name: String,
    command: Command,
}

/// `grep`, then `rg` where it is installed.
fn searches(tree: &Path, grep: &[&str], rg: &[&str]) -> Vec<Measured> {
    let search = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).arg("NetworkPolicy").arg(tree);
        let words: Vec<_> = std::iter::once(program).chain(arguments.iter().copied()).collect();
        Measured { name: words.join(" "), command }
    };
    let mut searches = vec![search("grep", grep)];
    if is_installed("rg") {
        searches.push(search("rg", rg));
    }
    searches
}

/// Other linters, with what they know about network policies and nothing else.
fn other_linters(tree: &Path) -> Result<Vec<Measured>> {
    let mut others = Vec::new();
    if is_installed("kube-linter") {
        let mut command = Command::new("kube-linter");
        command.args(["lint", "--do-not-auto-add-defaults"]);
        for check in ["dangling-networkpolicy", "dangling-networkpolicypeer-podselector", "non-isolated-pod"]
        {
            command.args(["--include", check]);
        }
        command.arg(tree);
        others.push(Measured { name: "kube-linter, 3 checks".to_owned(), command });
    }
    if is_installed("kube-score") {
        let mut command = Command::new("kube-score");
        command.args(["score", "--output-format", "ci"]).args(kube_score_ignores()?).args(manifests(tree)?);
        others.push(Measured { name: "kube-score, 2 checks".to_owned(), command });
    }
    Ok(others)
}

/// Turns everything else off.
fn kube_score_ignores() -> Result<Vec<OsString>> {
    let list = Command::new("kube-score").arg("list").output().context("cannot run kube-score")?;
    let list = String::from_utf8_lossy(&list.stdout);
    let checks = list.lines().filter_map(|line| line.split(',').next());
    let others = checks.filter(|check| !matches!(*check, "pod-networkpolicy" | "networkpolicy-targets-pod"));
    Ok(others.flat_map(|check| ["--ignore-test".into(), check.into()]).collect())
}

/// The objects of Kubernetes: it takes files, and no others.
fn manifests(tree: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(tree)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(manifests(&path)?);
        } else if !path.ends_with("values.yaml") && !path.ends_with("kustomization.yaml") {
            found.push(path);
        }
    }
    Ok(found)
}

fn is_installed(program: &str) -> bool {
    let quiet = Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok()
}

/// Interleaved, so that a busy moment of the machine meets all of them; the first round only warms the cache.
fn measure(commands: &mut [Measured], runs: usize) -> Result<Vec<Sample>> {
    let mut times = vec![Vec::new(); commands.len()];
    for run in 0..=runs {
        for (measured, times) in commands.iter_mut().zip(&mut times) {
            let time = run_once(measured)?;
            if run > 0 {
                times.push(time);
            }
        }
    }
    Ok(commands.iter().zip(times).map(|(measured, times)| Sample::new(&*measured.name, times)).collect())
}

fn run_once(measured: &mut Measured) -> Result<Duration> {
    let name = &measured.name;
    let start = Instant::now();
    // The output is collected as a shell's pipe would: writing it is part of the work.
    let output = measured.command.output().with_context(|| format!("cannot run {name}"))?;
    let time = start.elapsed();
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(time)
}
