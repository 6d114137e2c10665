//! The agent under test, as a process on a node of a lab.

use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use serde::Deserialize;

use crate::cluster::running::RunningCluster;
use crate::lab::netns::NetNs;
use crate::programs;

/// Where an agent finds its bpf file system: the one of its node's mount namespace.
const BPFFS: &str = "/sys/fs/bpf";

/// An agent that runs; it is killed when this is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Agent {
    /// What it writes to standard output and standard error.
    pub log: PathBuf,
    pid: Pid,
    node: usize,
    state: PathBuf,
    ended: Mutex<Receiver<ExitStatus>>,
}

impl Agent {
    /// Starts the agent on a node, watching the cluster's manifests.
    ///
    /// # Errors
    /// When it can't be built or started.
    pub fn start(running: &RunningCluster, index: usize) -> Result<Self> {
        let node = &running.lab.nodes[index];
        let state = running.files.directory(&format!("state-{}", node.name))?;
        let log = running.files.path().join(format!("agent-{}.log", node.name));
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(programs::enforcer()?);
        command
            .args(["run", "--source", "files", "--node-name", &node.name, "--bpffs", BPFFS])
            .arg("--manifests")
            .arg(running.manifests())
            .arg("--state-dir")
            .arg(&state)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let (pid, ended) = spawn(&node.namespace, command).context("starting netpol-enforcer")?;
        Ok(Self { log, pid, node: index, state, ended: Mutex::new(ended) })
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
        self.pid.as_raw_nonzero().get()
    }

    /// Kills it as nothing else can: it gets no chance to say goodbye.
    ///
    /// # Errors
    /// When it had already ended by itself.
    pub fn kill(self) -> Result<()> {
        kill_process(self.pid, Signal::KILL)?;
        let status = self.wait(Duration::from_secs(10))?;
        ensure!(status.signal() == Some(Signal::KILL.as_raw()), "the agent had ended before: {status}");
        Ok(())
    }

    /// Asks it to end, and waits for it.
    ///
    /// # Errors
    /// When it doesn't end, or not well.
    pub fn stop(self) -> Result<()> {
        kill_process(self.pid, Signal::TERM)?;
        let status = self.wait(Duration::from_secs(10))?;
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
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines = log.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn wait(&self, patience: Duration) -> Result<ExitStatus> {
        let ended = self.ended.lock().expect("nobody panics with the lock");
        ended.recv_timeout(patience).context("the agent goes on running")
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

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already; its process id is not given to another as long as its thread waits for it.
        if self.check().is_ok() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.wait(Duration::from_secs(10));
        }
    }
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

/// Starts a process inside a namespace, on a thread that waits for its end: the kernel kills the process when that
/// thread goes, and the thread goes only with this whole process.
#[allow(unsafe_code)]
fn spawn(namespace: &NetNs, mut command: Command) -> Result<(Pid, Receiver<ExitStatus>)> {
    // SAFETY: between fork and exec only one system call is made; it neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    let (started, start) = mpsc::channel();
    let (ended, end) = mpsc::channel();
    let entered = namespace.enterer();
    thread::Builder::new().name("agent".into()).spawn(move || {
        let child = entered().and_then(|()| Ok(command.spawn()?));
        match child {
            Ok(mut child) => {
                let _ = started.send(Ok(child.id()));
                if let Ok(status) = child.wait() {
                    let _ = ended.send(status);
                }
            }
            Err(error) => drop(started.send(Err(error))),
        }
    })?;
    let pid = start.recv().context("the agent's thread ended")??;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id is positive")?;
    Ok((pid, end))
}
