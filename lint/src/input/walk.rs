//! Folders.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ignore::{DirEntry, WalkBuilder, WalkState};

use super::relevant::may_matter;
use super::{InputError, Loaded, display, load};

/// Reads a folder and everything in it with all processors. Returns how many files it looked into.
pub(super) fn walk(
    folder: &Path,
    default_namespace: &Arc<str>,
    loaded: &mut Vec<Loaded>,
) -> Result<usize, InputError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let walker = WalkBuilder::new(folder).require_git(false).threads(threads).build_parallel();
    let all = Mutex::new(Vec::new());
    let failed = Mutex::new(None);
    let seen = AtomicUsize::new(0);
    walker.run(|| {
        let mut found = Found { mine: Vec::new(), all: &all };
        let (failed, seen) = (&failed, &seen);
        Box::new(move |entry| match read_entry(folder, entry) {
            Ok(None) => WalkState::Continue,
            Ok(Some(file)) => {
                seen.fetch_add(1, Ordering::Relaxed);
                found.mine.extend(file.map(|(name, bytes)| load(name, bytes, false, default_namespace)));
                WalkState::Continue
            }
            Err(error) => {
                failed.lock().expect("no panic while held").get_or_insert(error);
                WalkState::Quit
            }
        })
    });
    if let Some(error) = failed.into_inner().expect("no panic while held") {
        return Err(error);
    }
    loaded.extend(all.into_inner().expect("no panic while held"));
    Ok(seen.into_inner())
}

/// What one thread has read; handed over when the thread is done.
struct Found<'a> {
    mine: Vec<Loaded>,
    all: &'a Mutex<Vec<Loaded>>,
}

impl Drop for Found<'_> {
    fn drop(&mut self) {
        if let Ok(mut all) = self.all.lock() {
            all.append(&mut self.mine);
        }
    }
}

/// The name and the bytes of a file.
type Named = (String, Vec<u8>);

/// `None` for what is no manifest by its name; `Some(None)` for a file that doesn't matter.
fn read_entry(
    folder: &Path,
    entry: Result<DirEntry, ignore::Error>,
) -> Result<Option<Option<Named>>, InputError> {
    let entry = entry.map_err(|error| walk_error(folder, error))?;
    let path = entry.path();
    let manifest =
        path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e));
    if !manifest || entry.file_type().is_none_or(|kind| kind.is_dir()) {
        return Ok(None);
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        // A link that leads nowhere, or to a folder.
        Err(_) if entry.path_is_symlink() => return Ok(None),
        Err(source) => return Err(InputError { path: path.to_owned(), source }),
    };
    Ok(Some(may_matter(&bytes).then(|| (display(path), bytes))))
}

fn walk_error(folder: &Path, error: ignore::Error) -> InputError {
    let path = match &error {
        ignore::Error::WithPath { path, .. } => path.clone(),
        ignore::Error::WithDepth { err, .. } => match &**err {
            ignore::Error::WithPath { path, .. } => path.clone(),
            _ => folder.to_owned(),
        },
        _ => PathBuf::from(folder),
    };
    let message = error.to_string();
    InputError { path, source: error.into_io_error().unwrap_or_else(|| io::Error::other(message)) }
}
