//! Folders.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ignore::{DirEntry, WalkBuilder, WalkState};

use super::glob::Glob;
use super::identity::{self, Identity};
use super::reading::Reading;
use super::relevant::may_matter;
use super::{InputError, Loaded, display, patches};
use crate::settings::absolute;

/// Reads a folder and everything in it, or what a pattern means in it, with all processors.
pub(super) fn walk(reading: &mut Reading<'_>, folder: &Path, glob: Option<&Glob>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = WalkBuilder::new(folder);
    builder.require_git(false).threads(threads);
    let exclude = &reading.sources.exclude;
    if !reading.context && !exclude.is_empty() {
        let (exclude, root, base) = (exclude.clone(), folder.to_owned(), absolute(folder));
        builder.filter_entry(move |entry| {
            let path = entry
                .path()
                .strip_prefix(&root)
                .map_or_else(|_| absolute(entry.path()), |rest| base.join(rest));
            !exclude.matches(&path)
        });
    }
    let (all, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let kustomizations = Mutex::new(Vec::new());
    let seen = AtomicUsize::new(0);
    let shared = &*reading;
    builder.build_parallel().run(|| {
        let mut found = Found { mine: Vec::new(), all: &all };
        let mut buffer = vec![0; BUFFER];
        let (failed, seen, kustomizations) = (&failed, &seen, &kustomizations);
        Box::new(move |entry| {
            if let Ok(entry) = &entry
                && patches::may_name_some(entry.file_name())
            {
                let folder = entry.path().parent().unwrap_or(folder).to_owned();
                kustomizations.lock().expect("no panic while held").push(folder);
            }
            match read_entry(folder, glob, entry, &mut buffer) {
                Ok(None) => {}
                Ok(Some(file)) => {
                    seen.fetch_add(1, Ordering::Relaxed);
                    found.mine.extend(
                        file.map(|Raw { name, bytes, identity }| shared.load(&name, bytes, false, identity)),
                    );
                }
                Err(error) => failed.lock().expect("no panic while held").push(error),
            }
            WalkState::Continue
        })
    });
    reading.unreadable.extend(failed.into_inner().expect("no panic while held"));
    reading.loaded.extend(all.into_inner().expect("no panic while held"));
    reading.kustomizations.extend(kustomizations.into_inner().expect("no panic while held"));
    reading.seen += seen.into_inner();
}

/// What one thread has read; handed over when the thread is done.
struct Found<'a> {
    mine: Vec<Loaded>,
    all: &'a Mutex<Vec<Loaded>>,
}

impl Drop for Found<'_> {
    fn drop(&mut self) {
        // Each thread its part: putting sorted parts together is quick.
        self.mine.sort_by(identity::order);
        if let Ok(mut all) = self.all.lock() {
            all.append(&mut self.mine);
        }
    }
}

/// A file as it is.
struct Raw {
    name: String,
    bytes: Vec<u8>,
    identity: Option<Identity>,
}

/// `None` for what is no manifest by its name; `Some(None)` for a file that doesn't matter.
fn read_entry(
    folder: &Path,
    glob: Option<&Glob>,
    entry: Result<DirEntry, ignore::Error>,
    buffer: &mut [u8],
) -> Result<Option<Option<Raw>>, InputError> {
    let entry = entry.map_err(|error| walk_error(folder, error))?;
    let path = entry.path();
    let manifest =
        path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|e| extension == *e));
    let meant = match glob {
        Some(glob) => glob.matches(path) || (manifest && glob.matches_folder_of(path)),
        None => manifest,
    };
    if !meant || !is_file(&entry) {
        return Ok(None);
    }
    let error = |source| InputError { path: path.to_owned(), source };
    let file = File::open(path).map_err(error)?;
    let metadata = file.metadata().ok();
    let size = metadata.as_ref().map(Metadata::len);
    let bytes = match read_file(&file, size, buffer).map_err(error)? {
        Contents::Short(length) => may_matter(&buffer[..length]).then(|| buffer[..length].to_vec()),
        Contents::Long(bytes) => may_matter(&bytes).then_some(bytes),
    };
    Ok(Some(bytes.map(|bytes| {
        let identity = metadata.as_ref().and_then(identity::of);
        Raw { name: display(path), bytes, identity }
    })))
}

/// A file or a link to one. Links that lead nowhere don't count, nor does what may never end, such as a pipe.
fn is_file(entry: &DirEntry) -> bool {
    match entry.file_type() {
        Some(kind) if kind.is_symlink() => entry.path().is_file(),
        kind => kind.is_some_and(|kind| kind.is_file()),
    }
}

/// Larger than most manifests.
const BUFFER: usize = 1 << 16;

enum Contents {
    /// So many bytes of the buffer.
    Short(usize),
    Long(Vec<u8>),
}

/// Reads a file, a short one without allocating and with as few system calls as can be: thousands of small files are the
/// usual case. What has given as much as its size isn't asked for more.
fn read_file(mut file: &File, size: Option<u64>, buffer: &mut [u8]) -> io::Result<Contents> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => return Ok(Contents::Short(length)),
            Ok(read) => {
                length += read;
                if size == Some(length as u64) {
                    return Ok(Contents::Short(length));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut bytes = buffer.to_vec();
    file.read_to_end(&mut bytes)?;
    Ok(Contents::Long(bytes))
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
