//! Where programs, links and maps are pinned so that they outlive the agent.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::clsact;
use super::hook::Hook;

/// Changes whenever what is pinned changes its shape: an agent only adopts what it understands.
pub const LAYOUT: u32 = netpol_enforcer_common::LAYOUT_VERSION;

/// The directories of pinned objects on a BPF file system.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
}

/// Why objects can't be pinned.
#[derive(Debug, Error)]
pub enum PinsError {
    /// The path is on some other file system.
    #[error(
        "{} is not on a BPF file system; mount one there with `mount -t bpf bpf {}`, let the agent do it with \
         --mount-bpffs, or name another place with --bpffs",
        .0.display(), .0.display()
    )]
    NotMounted(PathBuf),
    /// A file operation failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

impl Pins {
    /// Prepares the directories under `bpffs`, mounting a BPF file system there first if told to and needed.
    ///
    /// # Errors
    /// When the path is on no BPF file system, or can't be created or mounted.
    pub fn prepare(bpffs: &Path, mount: bool) -> Result<Self, PinsError> {
        if !is_bpffs(bpffs)? {
            if !mount {
                return Err(PinsError::NotMounted(bpffs.to_owned()));
            }
            create(bpffs)?;
            mount_bpffs(bpffs)?;
        }
        let pins = Self::at(bpffs);
        create(&pins.maps())?;
        create(&pins.links())?;
        create(&pins.filters())?;
        Ok(pins)
    }

    /// Names the directories under `bpffs` without looking at them.
    #[must_use]
    pub fn at(bpffs: &Path) -> Self {
        Self { root: bpffs.join("netpol").join(format!("v{LAYOUT}")) }
    }

    /// What is pinned in a directory as [`Self::root`] is one.
    pub(super) fn in_directory(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory of everything of this layout.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The version of the layout.
    pub(super) fn version(&self) -> Option<u32> {
        self.root.file_name()?.to_str()?.strip_prefix('v')?.parse().ok()
    }

    /// Removes all maps, and leaves the directories.
    pub(super) fn empty(&self) -> Result<(), PinsError> {
        self.list(&self.maps())?.iter().try_for_each(|name| remove(&self.map(name)))
    }

    /// Whether an agent has pinned anything here.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.maps().is_dir()
    }

    /// The directory of maps.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.root.join("maps")
    }

    /// The directory of TCX links.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// Where one map is pinned.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// Where one hook's link is pinned.
    #[must_use]
    pub fn link(&self, hook: Hook) -> PathBuf {
        self.links().join(hook.to_string())
    }

    /// The directory that remembers which hooks have a filter.
    #[must_use]
    pub fn filters(&self) -> PathBuf {
        self.root.join("filters")
    }

    /// The hooks that have a pinned link or a filter.
    ///
    /// # Errors
    /// When a directory can't be listed.
    pub fn hooks(&self) -> Result<Vec<Hook>, PinsError> {
        let mut hooks = BTreeSet::new();
        for directory in [self.links(), self.filters()] {
            hooks.extend(self.list(&directory)?.iter().filter_map(|name| name.parse::<Hook>().ok()));
        }
        Ok(hooks.into_iter().collect())
    }

    /// Remembers that a hook has a filter.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn note_filter(&self, hook: Hook) -> Result<(), PinsError> {
        let path = self.filters().join(hook.to_string());
        // A BPF file system has no files, but symbolic links.
        match std::os::unix::fs::symlink("clsact", &path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(PinsError::Io { doing: "writing", path, source })
            }
            _ => Ok(()),
        }
    }

    /// Removes one hook's filter, if it is remembered that it has one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_filter(&self, hook: Hook) -> Result<(), PinsError> {
        let path = self.filters().join(hook.to_string());
        if path.symlink_metadata().is_err() {
            return Ok(());
        }
        if let Err(source) = clsact::detach(hook, self.version().unwrap_or(LAYOUT)) {
            return Err(PinsError::Io { doing: "removing the filter of", path, source });
        }
        remove(&path)
    }

    /// Removes one hook's pin, which detaches its program.
    ///
    /// # Errors
    /// When the file can't be removed for another reason than that it is gone.
    pub fn remove_link(&self, hook: Hook) -> Result<(), PinsError> {
        remove(&self.link(hook))
    }

    /// Removes everything: links first, so that no program is left with half of its maps.
    ///
    /// Returns how many links and maps were removed.
    ///
    /// # Errors
    /// When a file or directory can't be removed.
    pub fn remove_all(&self) -> Result<(usize, usize), PinsError> {
        let mut removed = [0, 0];
        for name in self.list(&self.filters())? {
            if let Ok(hook) = name.parse() {
                self.remove_filter(hook)?;
                removed[0] += 1;
            }
        }
        remove_directory(&self.filters())?;
        for (count, directory) in removed.iter_mut().zip([self.links(), self.maps()]) {
            for name in self.list(&directory)? {
                remove(&directory.join(name))?;
                *count += 1;
            }
            remove_directory(&directory)?;
        }
        remove_directory(&self.root)?;
        if let Some(parent) = self.root.parent() {
            // Another layout version's pins may still be there: then it stays.
            let _ = fs::remove_dir(parent);
        }
        Ok(removed.into())
    }

    fn list(&self, directory: &Path) -> Result<Vec<String>, PinsError> {
        let failed = |source| PinsError::Io { doing: "listing", path: directory.to_owned(), source };
        match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
            Ok(entries) => entries
                .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<_>>()
                .map_err(failed),
        }
    }
}

fn create(path: &Path) -> Result<(), PinsError> {
    fs::create_dir_all(path).map_err(|source| PinsError::Io {
        doing: "creating",
        path: path.to_owned(),
        source,
    })
}

fn remove(path: &Path) -> Result<(), PinsError> {
    ignoring_absence(fs::remove_file(path), path)
}

fn remove_directory(path: &Path) -> Result<(), PinsError> {
    ignoring_absence(fs::remove_dir(path), path)
}

fn ignoring_absence(result: io::Result<()>, path: &Path) -> Result<(), PinsError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(PinsError::Io { doing: "removing", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Whether a path, or what it would be created in, is on a BPF file system.
fn is_bpffs(path: &Path) -> Result<bool, PinsError> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    let name = c_path(existing)?;
    let mut answer = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `name` is a NUL-terminated path and `answer` has room for the struct that the kernel writes.
    #[allow(unsafe_code)]
    let result = unsafe { libc::statfs(name.as_ptr(), answer.as_mut_ptr()) };
    if result != 0 {
        let source = io::Error::last_os_error();
        return Err(PinsError::Io { doing: "looking at", path: existing.to_owned(), source });
    }
    // SAFETY: statfs succeeded, so it filled the struct.
    #[allow(unsafe_code)]
    let answer = unsafe { answer.assume_init() };
    // The C types of both differ from one platform to another; the magic number has 32 bits.
    Ok(answer.f_type as u32 == libc::BPF_FS_MAGIC as u32)
}

fn mount_bpffs(path: &Path) -> Result<(), PinsError> {
    let target = c_path(path)?;
    // SAFETY: all three strings are NUL-terminated; no data is passed.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::mount(
            c"bpf".as_ptr(),
            target.as_ptr(),
            c"bpf".as_ptr(),
            libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
            std::ptr::null(),
        )
    };
    if result != 0 {
        let source = io::Error::last_os_error();
        return Err(PinsError::Io { doing: "mounting a BPF file system at", path: path.to_owned(), source });
    }
    Ok(())
}

fn c_path(path: &Path) -> Result<CString, PinsError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| PinsError::Io {
        doing: "using",
        path: path.to_owned(),
        source: error.into(),
    })
}
