//! The agent under test, as a process on a node of a lab.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use rustix::thread::{CapabilitySet, capability_is_in_bounding_set, remove_capability_from_bounding_set};
use serde::Deserialize;

use crate::cluster::running::RunningCluster;
use crate::process::{self, Process};
use crate::programs;

/// Where an agent finds its bpf file system: the one of its node's mount namespace.
const BPFFS: &str = "/sys/fs/bpf";

/// An agent that runs; it is killed when this is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Agent {
    /// What it writes to standard output and standard error.
    pub log: PathBuf,
    process: Process,
    node: usize,
    state: PathBuf,
}

impl Agent {
    /// Starts the agent on a node, watching the cluster's manifests.
    ///
    /// # Errors
    /// When it can't be built or started.
    pub fn start(running: &RunningCluster, index: usize) -> Result<Self> {
        Self::start_with(running, index, programs::enforcer()?, &[])
    }

    /// Starts an agent's program with more arguments.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn start_with(
        running: &RunningCluster,
        index: usize,
        program: &Path,
        more: &[&OsStr],
    ) -> Result<Self> {
        let manifests = running.manifests();
        let source = ["--source".as_ref(), "files".as_ref(), "--manifests".as_ref(), manifests.as_os_str()];
        Self::spawn(running, index, program, &[&source, more].concat())
    }

    /// Starts the agent on a node, watching the cluster of a kubeconfig, with more arguments.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn start_in_cluster(
        running: &RunningCluster,
        index: usize,
        kubeconfig: &Path,
        more: &[&OsStr],
    ) -> Result<Self> {
        let source = ["--source".as_ref(), "kube".as_ref(), "--kubeconfig".as_ref(), kubeconfig.as_os_str()];
        Self::spawn(running, index, programs::enforcer()?, &[&source, more].concat())
    }

    fn spawn(running: &RunningCluster, index: usize, program: &Path, arguments: &[&OsStr]) -> Result<Self> {
        let node = &running.lab.nodes[index];
        let state = running.files.directory(&format!("state-{}", node.name))?;
        let log = running.files.path().join(format!("agent-{}.log", node.name));
        let output = File::options().create(true).append(true).open(&log)?;
        let given = arguments.iter().any(|argument| *argument == "--attach");
        let manner = env::var_os("NETPOL_ATTACH").filter(|_| !given);
        let manner = manner.map(|manner| ["--attach".into(), manner]).into_iter().flatten();
        let mut command = Command::new(program);
        command
            .args(["run", "--node-name", &node.name, "--bpffs", BPFFS])
            .arg("--state-dir")
            .arg(&state)
            .args(manner)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        with_the_rights_of_the_daemon_set(&mut command);
        let process =
            Process::spawn(command, node.namespace.enterer()).context("starting netpol-enforcer")?;
        Ok(Self { log, process, node: index, state })
    }

    /// Whether it has programmed its node with the pods that run there now: what it says of itself in its state file.
    #[must_use]
    pub fn has_programmed(&self, running: &RunningCluster) -> bool {
        let report = fs::read_to_string(self.state.join("state.json")).ok();
        let report = report.and_then(|text| serde_json::from_str::<Report>(&text).ok());
        report.is_some_and(|report| {
            let hooked = report.links.iter().all(|link| link.problem.is_none());
            let mut pods = running.lab.pods.iter().filter(|(_, pod)| pod.node == self.node);
            let bound =
                |name: &str| report.endpoints.iter().any(|endpoint| endpoint.pod.as_deref() == Some(name));
            report.pid == self.pid().cast_unsigned() && hooked && pods.all(|(name, _)| bound(name))
        })
    }

    /// Its state directory.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw_nonzero().get()
    }

    /// Kills it as nothing else can: it gets no chance to say goodbye.
    ///
    /// # Errors
    /// When it had already ended by itself.
    pub fn kill(self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        let status = self.wait(Duration::from_secs(60))?;
        ensure!(status.signal() == Some(Signal::KILL.as_raw()), "the agent had ended before: {status}");
        Ok(())
    }

    /// Asks it to end, and waits for it.
    ///
    /// # Errors
    /// When it doesn't end, or not well.
    pub fn stop(self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        let status = self.wait(Duration::from_secs(60))?;
        ensure!(status.success(), "the agent ended with {status}:\n{}", self.last_words());
        Ok(())
    }

    /// An error with its last words if it ended by itself.
    ///
    /// # Errors
    /// See above.
    pub fn check(&self) -> Result<()> {
        match self.wait(Duration::ZERO) {
            Ok(status) => bail!("the agent ended with {status}:\n{}", self.last_words()),
            Err(_) => Ok(()),
        }
    }

    /// The end of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        process::last_words(&self.log)
    }

    fn wait(&self, patience: Duration) -> Result<ExitStatus> {
        self.process.wait(patience).context("the agent goes on running")
    }
}

/// Takes all capabilities from a program that the manifests don't give it.
#[allow(unsafe_code)]
fn with_the_rights_of_the_daemon_set(command: &mut Command) {
    let kept = CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON;
    // SAFETY: between fork and exec only system calls are made; they neither allocate nor take a lock.
    unsafe {
        command.pre_exec(move || {
            // A kernel knows all up to some number.
            let known = |one: &CapabilitySet| capability_is_in_bounding_set(*one).unwrap_or(false);
            let others = CapabilitySet::all().difference(kept).iter();
            Ok(others.filter(known).try_for_each(remove_capability_from_bounding_set)?)
        });
    }
}

/// What the agent's state file says, as far as the harness looks at it.
#[derive(Deserialize)]
struct Report {
    pid: u32,
    links: Vec<Link>,
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Link {
    problem: Option<String>,
}

#[derive(Deserialize)]
struct Endpoint {
    pod: Option<String>,
}

/// Runs another command of the agent's program on a node (`status`, `cleanup`) and waits for it.
///
/// # Errors
/// When it can't be started.
pub fn command(running: &RunningCluster, node: usize, arguments: &[&str]) -> Result<Output> {
    let node = &running.lab.nodes[node];
    let state = running.files.directory(&format!("state-{}", node.name))?;
    let program = programs::enforcer()?;
    let output = node.namespace.run(|| {
        Command::new(program).args(arguments).args(["--bpffs", BPFFS, "--state-dir"]).arg(state).output()
    });
    output.context("running netpol-enforcer")
}
