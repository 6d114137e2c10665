//! Where an API server keeps its data.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// A temporary directory that vanishes with this process, also when that is killed: another process waits for the end of a
/// pipe, which the kernel closes, and removes it then.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    janitor: Child,
}

/// Whoever writes to the directory is being killed at the same time and may still put something into it.
const REMOVE: &str =
    "cat >/dev/null; for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf \"$1\" 2>/dev/null && exit; sleep 0.1; done";

impl Directory {
    pub(super) fn new() -> Result<Self> {
        let path = tempfile::Builder::new().prefix("netpol-apiserver-").tempdir()?.keep();
        let mut command = Command::new("sh");
        command.args(["-c", REMOVE, "sh"]).arg(&path);
        // Of a group of its own: an interrupt from the keyboard isn't for it.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let janitor = command.spawn().context("starting sh")?;
        Ok(Self { path, janitor })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}
