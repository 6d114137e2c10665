//! Where the configuration is.

use std::path::{Path, PathBuf};

use super::FILE_NAME;
use crate::settings::absolute;

/// The configuration nearest to some paths: in the folder that has them all or in one above, up to the root of the
/// repository.
pub(super) fn find<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Option<PathBuf> {
    let start = paths.into_iter().map(folder).reduce(|a, b| common(&a, &b))?;
    for folder in start.ancestors() {
        let file = folder.join(FILE_NAME);
        if file.is_file() {
            return Some(file);
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    None
}

/// The folder that a path is, or is in.
fn folder(path: &Path) -> PathBuf {
    let mut path = absolute(path);
    if !path.is_dir() {
        path.pop();
    }
    path
}

fn common(a: &Path, b: &Path) -> PathBuf {
    a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(part, _)| part).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_nearest_up_to_the_repository() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for folder in ["repo/.git", "repo/apps/a", "repo/apps/b", "repo/own", "other/.git"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in [FILE_NAME, "repo/netpol-lint.toml", "repo/own/netpol-lint.toml", "repo/own/x.yaml"] {
            fs::write(root.join(file), "").unwrap();
        }
        let found = |paths: &[&str]| {
            let paths: Vec<_> = paths.iter().map(|path| root.join(path)).collect();
            let file = find(paths.iter().map(PathBuf::as_path));
            file.map(|file| file.strip_prefix(root).unwrap().to_str().unwrap().to_owned())
        };
        for (paths, expected) in [
            (&["repo/apps/a"][..], Some("repo/netpol-lint.toml")),
            (&["repo/apps/a", "repo/apps/b/none.yaml"], Some("repo/netpol-lint.toml")),
            (&["repo/own/x.yaml"], Some("repo/own/netpol-lint.toml")),
            (&["repo/own/x.yaml", "repo/apps"], Some("repo/netpol-lint.toml")),
            (&["repo/apps/../own"], Some("repo/own/netpol-lint.toml")),
            (&["other"], None),
            (&["repo", "other"], Some(FILE_NAME)),
        ] {
            assert_eq!(found(paths).as_deref(), expected, "{paths:?}");
        }
    }
}
