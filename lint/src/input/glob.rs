//! Patterns that the shell left as they are.

use std::io;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

/// A pattern of paths.
pub(super) struct Glob {
    /// Where to look.
    pub(super) folder: PathBuf,
    matcher: GlobMatcher,
}

impl Glob {
    /// `None` for a path without any sign of a pattern.
    pub(super) fn new(path: &Path) -> Option<io::Result<Self>> {
        let text = path.to_str().filter(|text| text.contains(SIGNS))?;
        // What is the same for all is no part of the pattern.
        let fixed = path.iter().take_while(|part| !part.to_str().is_some_and(|part| part.contains(SIGNS)));
        let folder: PathBuf = fixed.collect();
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        let glob = GlobBuilder::new(text.trim_start_matches("./")).literal_separator(true).build();
        Some(match glob {
            Ok(glob) => Ok(Self { folder, matcher: glob.compile_matcher() }),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidInput, error.kind().to_string())),
        })
    }

    /// Whether it means a path.
    pub(super) fn matches(&self, path: &Path) -> bool {
        self.matcher.is_match(path.strip_prefix(".").unwrap_or(path))
    }

    /// Whether it means a folder in which a path is.
    pub(super) fn matches_folder_of(&self, path: &Path) -> bool {
        path.ancestors().skip(1).any(|folder| self.matches(folder))
    }
}

const SIGNS: [char; 4] = ['*', '?', '[', '{'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, folder, path, expected) in [
            ("deploy/**/*.yaml", "deploy", "deploy/a/b/c.yaml", true),
            ("deploy/**/*.yaml", "deploy", "deploy/c.yaml", true),
            ("./deploy/*.yaml", "./deploy", "./deploy/c.yaml", true),
            ("deploy/*.yaml", "deploy", "deploy/a/c.yaml", false),
            ("*.{yaml,yml}", ".", "./c.yml", true),
            ("../x/[ab].yaml", "../x", "../x/a.yaml", true),
        ] {
            let glob = Glob::new(Path::new(pattern)).unwrap().unwrap();
            assert_eq!(
                (glob.folder.as_path(), glob.matches(Path::new(path))),
                (Path::new(folder), expected),
                "{pattern}"
            );
        }
        assert!(Glob::new(Path::new("a.yaml")).is_none());
        assert!(Glob::new(Path::new("a[.yaml")).unwrap().is_err());
    }
}
