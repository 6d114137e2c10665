//! Processes that end with this one.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// A process that runs. It is killed when this is dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    ended: Mutex<Receiver<ExitStatus>>,
}

impl Process {
    /// Starts it on a thread of its own, after `enter` has put that thread where the process is to be.
    ///
    /// The kernel kills the process when that thread goes, and the thread goes only with this whole process.
    ///
    /// # Errors
    /// When it can't be started.
    #[allow(unsafe_code)]
    pub fn spawn(mut command: Command, enter: impl FnOnce() -> Result<()> + Send + 'static) -> Result<Self> {
        // SAFETY: between fork and exec only one system call is made; it neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
        }
        let (started, start) = mpsc::channel();
        let (ended, end) = mpsc::channel();
        thread::Builder::new().name("process".into()).spawn(move || {
            let child = enter().and_then(|()| Ok(command.spawn()?));
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
        let pid = start.recv().context("the process's thread ended")??;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id is positive")?;
        Ok(Self { pid, ended: Mutex::new(end) })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }

    /// Waits for its end; `None` when it goes on running.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> Option<ExitStatus> {
        let ended = self.ended.lock().expect("nobody panics with the lock");
        ended.recv_timeout(patience).ok()
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let ended = self.ended.lock().expect("nobody panics with the lock");
        !matches!(ended.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; its process id is not given to another as long as its thread waits for it.
        if !self.has_ended() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.wait(Duration::from_secs(10));
        }
    }
}

/// The last lines of a log.
#[must_use]
pub fn last_words(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines = log.lines().collect::<Vec<_>>();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
