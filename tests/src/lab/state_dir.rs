//! A directory for the files of one lab, removed with it; and what a killed run left is removed by the next one.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

const PREFIX: &str = "netpol-lab-";

/// Memory where there is some, as `/run` is on a node: to replace a file on a disk can take as long as the disk likes.
const MEMORY: &str = "/dev/shm";

/// A temporary directory whose name carries its owner's process id.
#[derive(Debug)]
pub struct StateDir(TempDir);

impl StateDir {
    /// Makes one, and removes those whose owner is gone.
    ///
    /// # Errors
    /// When the temporary directory can't be written.
    pub fn new() -> Result<Self> {
        remove_left_behind();
        let directory = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", process::id()))
            .tempdir_in(parent())
            .context("making a temporary directory")?;
        Ok(Self(directory))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A directory inside it, made if it isn't there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }
}

fn parent() -> PathBuf {
    let memory = PathBuf::from(MEMORY);
    if memory.is_dir() { memory } else { env::temp_dir() }
}

fn remove_left_behind() {
    let Ok(entries) = fs::read_dir(parent()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new(&format!("/proc/{owner}")).exists()) {
            // Another run may be removing the same one.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
