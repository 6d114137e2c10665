//! A leaf in files that someone else renews.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::Error;
use crate::leaf::Leaf;

/// The chain's file, as in a Secret of the type `kubernetes.io/tls`.
pub const CERTIFICATE_FILE: &str = "tls.crt";

/// The key's file, as in a Secret of the type `kubernetes.io/tls`.
pub const KEY_FILE: &str = "tls.key";

/// The link that the kubelet moves to show all files of a volume anew in one step.
const KUBELET_DATA: &str = "..data";

/// A directory with `tls.crt` and `tls.key`, read again whenever it is asked.
///
/// It compares contents, not times: a file written twice in a second, a link that moved and a clock that jumped
/// are all seen. The two files are a few kilobytes, so asking every few seconds costs nothing.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    accepted: u64,
    reported: Option<String>,
}

impl Directory {
    /// Reads the pair for the first time.
    ///
    /// # Errors
    /// When the files can't be read, or the pair is one that [`Leaf::from_pem`] refuses.
    pub fn open(path: impl Into<PathBuf>, now: SystemTime) -> Result<(Self, Leaf), Error> {
        let path = path.into();
        let files = Files::read(&path)?;
        let leaf = files.leaf(now)?;
        Ok((Self { path, accepted: files.fingerprint(), reported: None }, leaf))
    }

    /// Reads the pair again: a leaf if there is a new, good one.
    ///
    /// # Errors
    /// When a new pair is refused; the one given last stays the one to serve. The same refusal is an error once, then
    /// `None` until something changes; the pair is tried again every time, since time alone may make it good.
    pub fn refresh(&mut self, now: SystemTime) -> Result<Option<Leaf>, Error> {
        match self.read_new(now) {
            Ok(leaf) => {
                self.reported = None;
                Ok(leaf)
            }
            Err(error) => {
                let text = error.to_string();
                if self.reported.as_ref() == Some(&text) {
                    return Ok(None);
                }
                self.reported = Some(text);
                Err(error)
            }
        }
    }

    /// Where the files are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read_new(&mut self, now: SystemTime) -> Result<Option<Leaf>, Error> {
        let files = Files::read(&self.path)?;
        if files.fingerprint() == self.accepted {
            return Ok(None);
        }
        let leaf = files.leaf(now)?;
        self.accepted = files.fingerprint();
        Ok(Some(leaf))
    }
}

#[derive(Hash)]
struct Files {
    chain: String,
    key: String,
}

impl Files {
    fn read(directory: &Path) -> Result<Self, Error> {
        // Both files through one resolved link, so that they are of the same write even if the link moves now.
        let data = std::fs::canonicalize(directory.join(KUBELET_DATA));
        let directory = data.as_deref().unwrap_or(directory);
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).map_err(|source| Error::Read { path, source })
        };
        Ok(Self { chain: read(CERTIFICATE_FILE)?, key: read(KEY_FILE)? })
    }

    fn leaf(&self, now: SystemTime) -> Result<Leaf, Error> {
        Leaf::from_pem(&self.chain, &self.key, now)
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
