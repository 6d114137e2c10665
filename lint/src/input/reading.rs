//! One source after the other.

use std::fs::Metadata;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::glob::Glob;
use super::identity::{self, Identity};
use super::{InputError, Loaded, Sources, display, walk};
use crate::file::SourceFile;
use crate::settings::absolute;

/// What has been read so far.
pub(super) struct Reading<'s> {
    pub(super) sources: &'s Sources,
    /// What is read now only tells about the cluster.
    pub(super) context: bool,
    /// Of what is read now.
    pub(super) rank: usize,
    pub(super) loaded: Vec<Loaded>,
    pub(super) unreadable: Vec<InputError>,
    pub(super) excluded: Vec<Box<str>>,
    pub(super) seen: usize,
    /// Folders with a `kustomization.yaml` that were met.
    pub(super) kustomizations: Vec<PathBuf>,
}

impl<'s> Reading<'s> {
    pub(super) fn new(sources: &'s Sources) -> Self {
        Self {
            sources,
            context: false,
            rank: 0,
            loaded: Vec::new(),
            unreadable: Vec::new(),
            excluded: Vec::new(),
            seen: 0,
            kustomizations: Vec::new(),
        }
    }

    pub(super) fn stdin(&mut self, name: &str) {
        if self.excludes(Path::new(name)) {
            return self.excluded.push(name.into());
        }
        let mut bytes = Vec::new();
        match io::stdin().lock().read_to_end(&mut bytes) {
            Ok(_) => self.loaded.push(self.load(name, bytes, true, None)),
            Err(source) => self.unreadable.push(InputError { path: PathBuf::from("-"), source }),
        }
        self.seen += 1;
    }

    pub(super) fn path(&mut self, path: &Path) {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => walk::walk(self, path, None),
            Ok(metadata) => self.file(path, &metadata),
            Err(source) => match Glob::new(path) {
                Some(Ok(glob)) => self.glob(path, &glob),
                Some(Err(source)) => self.unreadable.push(InputError { path: path.to_owned(), source }),
                None => self.unreadable.push(InputError { path: path.to_owned(), source }),
            },
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata) {
        if self.excludes(path) {
            return self.excluded.push(display(path).into());
        }
        match std::fs::read(path) {
            Ok(bytes) => {
                let file = self.load(&display(path), bytes, true, identity::of(metadata));
                self.loaded.push(file);
            }
            Err(source) => self.unreadable.push(InputError { path: path.to_owned(), source }),
        }
        self.seen += 1;
    }

    fn glob(&mut self, path: &Path, glob: &Glob) {
        let before = (self.seen, self.unreadable.len());
        walk::walk(self, &glob.folder, Some(glob));
        if before == (self.seen, self.unreadable.len()) {
            let source = io::Error::new(io::ErrorKind::NotFound, "no file matches the pattern");
            self.unreadable.push(InputError { path: path.to_owned(), source });
        }
    }

    pub(super) fn load(&self, name: &str, bytes: Vec<u8>, named: bool, identity: Option<Identity>) -> Loaded {
        let mut file = Box::new(SourceFile::read_bytes(name, bytes, &self.sources.namespace));
        file.context = self.context;
        file.rank = self.rank;
        Loaded { file, named, identity }
    }

    fn excludes(&self, path: &Path) -> bool {
        let exclude = &self.sources.exclude;
        !self.context && !exclude.is_empty() && exclude.matches(&absolute(path))
    }
}
