//! Files that are replaced as a whole.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use netpol_cni::PLUGIN_TYPE;

use super::conflist::Conflist;

/// What runtimes read, in the order in which they look: the first one counts.
pub(super) fn configurations(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("listing {}", directory.display()))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("listing {}", directory.display()))?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("conf" | "conflist" | "json")) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Copies the plugin, unless it is there already.
pub(super) fn copy_program(program: &Path, directory: &Path) -> Result<()> {
    let target = directory.join(PLUGIN_TYPE);
    let ours = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    if fs::read(&target).is_ok_and(|there| there == ours) {
        return Ok(());
    }
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    // Not in place: a runtime may be running it.
    let fresh = directory.join(format!(".{PLUGIN_TYPE}.new"));
    let copy = || -> io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(&ours)?;
        file.set_permissions(fs::Permissions::from_mode(0o755))?;
        file.sync_all()?;
        fs::rename(&fresh, &target)
    };
    copy().with_context(|| format!("copying the plugin to {}", target.display()))
}

/// Removes the plugin.
pub(super) fn remove_program(directory: &Path) -> Result<()> {
    let target = directory.join(PLUGIN_TYPE);
    match fs::remove_file(&target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", target.display()))
        }
        _ => Ok(()),
    }
}

/// Replaces a configuration by what `change` makes of it; returns whether there was something to change.
///
/// If its owner writes it at the same moment, what it wrote is changed instead: nothing of the owner's is lost.
pub(super) fn edit(path: &Path, change: impl Fn(&str) -> Result<Option<String>>) -> Result<bool> {
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
    let mut expected = read(path)?;
    let changing = |text: &str| change(text).with_context(|| path.display().to_string());
    let Some(mut ours) = changing(&expected)? else { return Ok(false) };
    check(&ours)?;
    let mut outcome = Ok(true);
    let fresh = beside(path);
    prepare(&fresh, &ours, path)?;
    for attempt in 0..=LAPS {
        exchange(&fresh, path).with_context(|| format!("replacing {}", path.display()))?;
        let replaced = read(&fresh)?;
        if replaced == expected {
            fs::remove_file(&fresh).with_context(|| format!("removing {}", fresh.display()))?;
            return outcome;
        }
        // Its owner was quicker, and `fresh` is the only copy of what it wrote. That is changed, or put back as it is if it needs no
        // change, can't be changed, or is written again and again.
        expected = ours;
        let again = || {
            if attempt >= TRIES {
                bail!("{} is being written again and again", path.display());
            }
            let Some(again) = changing(&replaced)? else { return Ok(None) };
            check(&again)?;
            prepare(&fresh, &again, path)?;
            Ok(Some(again))
        };
        (ours, outcome) = match again() {
            Ok(Some(again)) => (again, Ok(true)),
            Ok(None) => (replaced, Ok(false)),
            Err(error) => (replaced, Err(error)),
        };
    }
    fs::rename(&fresh, path).with_context(|| format!("replacing {}", path.display()))?;
    outcome
}

/// How often what its owner wrote meanwhile is changed before it is left to the owner for now.
const TRIES: usize = 5;

/// How often what its owner wrote meanwhile is put back. Each takes microseconds, so no owner writes at that rate for that long.
const LAPS: usize = 10_000;

/// Writes a new configuration, with the permissions of another.
pub(super) fn write(path: &Path, text: &str, like: Option<&Path>) -> Result<()> {
    check(text)?;
    let fresh = beside(path);
    prepare(&fresh, text, like.unwrap_or(path))?;
    fs::rename(&fresh, path).with_context(|| format!("writing {}", path.display()))
}

/// Where the configuration of one plugin is kept while a list stands for it.
pub(super) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(KEPT);
    name.into()
}

/// Ends in nothing that a runtime reads.
const KEPT: &str = ".netpol-saved";

/// Puts the configuration of one plugin back in the place of the list that stood for it; returns whether there was one.
pub(super) fn restore(list: &Path) -> Result<bool> {
    for extension in ["conf", "json"] {
        let original = list.with_extension(extension);
        let kept = aside(&original);
        if kept.exists() {
            fs::rename(&kept, &original).with_context(|| format!("restoring {}", original.display()))?;
            fs::remove_file(list).with_context(|| format!("removing {}", list.display()))?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// A name in the same directory that no runtime reads.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".netpol-new");
    path.with_file_name(name)
}

/// What could not be read back is never written.
fn check(text: &str) -> Result<()> {
    Conflist::read(text).map(drop).context("what was to be written is no list of plugins")
}

/// Writes a file that is about to take another's place, as a whole: if that fails, what had its name before is still there.
fn prepare(path: &Path, text: &str, like: &Path) -> Result<()> {
    let part = path.with_extension("netpol-part");
    let write = || -> io::Result<()> {
        let mut file = File::create(&part)?;
        file.set_permissions(
            fs::metadata(like).map_or_else(|_| fs::Permissions::from_mode(0o600), |m| m.permissions()),
        )?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// Lets two files change places, at once.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let [one, other] = [one, other].map(|path| CString::new(path.as_os_str().as_bytes()));
    let (one, other) = (one?, other?);
    // SAFETY: both are paths that end with a NUL and outlive the call.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::renameat2(libc::AT_FDCWD, one.as_ptr(), libc::AT_FDCWD, other.as_ptr(), libc::RENAME_EXCHANGE)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
