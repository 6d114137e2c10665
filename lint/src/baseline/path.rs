//! Names of files that don't depend on where the command runs.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The whole path, without links as far as it exists.
pub(super) fn absolute(path: &Path) -> PathBuf {
    if let Ok(path) = fs::canonicalize(path) {
        return path;
    }
    let mut whole = PathBuf::new();
    for component in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match component {
            Component::ParentDir => _ = whole.pop(),
            component => whole.push(component),
        }
    }
    // What doesn't exist is in a folder that may.
    match (whole.parent().map(fs::canonicalize), whole.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => whole,
    }
}

/// A path as seen from a folder, with `/` between its parts; both are whole.
pub(super) fn relative(folder: &Path, path: &Path) -> String {
    let (mut from, mut to) = (folder.components().peekable(), path.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    let up = from.map(|_| "..".to_owned());
    let down = to.map(|component| component.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let relative = |folder, path| relative(Path::new(folder), Path::new(path));
        assert_eq!(relative("/a/b", "/a/b/c/d.yaml"), "c/d.yaml");
        assert_eq!(relative("/a/b", "/a/d.yaml"), "../d.yaml");
        assert_eq!(relative("/a/b", "/x/b/d.yaml"), "../../x/b/d.yaml");
        assert_eq!(relative("/", "/d.yaml"), "d.yaml");
        assert_eq!(absolute(Path::new("/no such folder/../a/./b")), Path::new("/a/b"));
    }
}
