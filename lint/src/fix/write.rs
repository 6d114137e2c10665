//! Writing a file in one step.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file that could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The file is not what it was when it was read.
    #[error("{} has changed since it was read; run the command again", crate::output::printable::shown(.0))]
    Changed(PathBuf),
    /// The file is marked as read-only. Putting another in its place would work, but isn't what was asked for.
    #[error("can't write {}: it is read-only", crate::output::printable::shown(.0))]
    ReadOnly(PathBuf),
    /// The system refused.
    #[error("can't write {}", crate::output::printable::shown(.path))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Puts `after` in the place of `before`: a reader sees the one or the other, never a part. Permissions stay, symbolic
/// links are followed.
pub fn write(path: &Path, before: &str, after: &str) -> Result<(), WriteError> {
    let io = |source| WriteError::Io { path: path.to_owned(), source };
    let target = fs::canonicalize(path).map_err(io)?;
    if fs::read(&target).map_err(io)? != before.as_bytes() {
        return Err(WriteError::Changed(path.to_owned()));
    }
    let metadata = fs::metadata(&target).map_err(io)?;
    if metadata.permissions().readonly() {
        return Err(WriteError::ReadOnly(path.to_owned()));
    }
    let folder = target.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new().prefix(".netpol-lint-").tempfile_in(folder).map_err(io)?;
    file.write_all(after.as_bytes()).map_err(io)?;
    file.as_file().set_permissions(metadata.permissions()).map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        // Only root may give files away; for others the file is theirs already, or the group may write it.
        let _ = fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()));
    }
    file.as_file().sync_all().map_err(io)?;
    file.persist(&target).map_err(|error| io(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn permissions_stay_and_links_are_followed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "before").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write(&link, "before", "after").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(matches!(write(&file, "before", "x"), Err(WriteError::Changed(_))));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
        assert!(matches!(write(&file, "after", "x"), Err(WriteError::ReadOnly(_))));
        assert_eq!(fs::read_to_string(&file).unwrap(), "after");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
    }
}
