//! How much memory a command takes.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

/// The most memory that a run of a command held, in bytes: the high-water mark that the kernel keeps, looked at until
/// the command has ended.
pub(crate) fn peak(command: &mut Command) -> Result<u64> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait()?.is_none() {
        // Once it is over there is no such line.
        let now = fs::read_to_string(&status).ok().and_then(|status| high_water(&status));
        most = most.max(now.unwrap_or_default());
        std::thread::sleep(Duration::from_micros(200));
    }
    Some(most).filter(|most| *most > 0).context("the command ended before it could be looked at")
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
