//! Where the objects come from.

mod files;
mod kube;

use std::fmt;
use std::path::PathBuf;

use netpol_policy::model::Cluster;

pub use self::files::Files;
pub use self::kube::{Kube, OwnPod};
use crate::report::SourceReport;
use crate::world::Change;

/// Something that knows the cluster's objects and hears of their changes.
pub trait Source: Send {
    /// Tells each new state of all objects, the present one first, until `tell` returns false.
    ///
    /// Runs on a thread of its own and may block there.
    fn run(self: Box<Self>, tell: Box<dyn FnMut(Update) -> bool + Send>);
}

/// News from a source.
#[derive(Debug)]
pub enum Update {
    /// All objects, complete and valid.
    Cluster(Box<Cluster>),
    /// Some objects are other than before; the first time all of them, complete.
    Changes(Vec<Change>),
    /// How it stands between the source and where it reads from.
    Contact(SourceReport),
    /// There is a new state, but it can't be used: what was enforced before stays.
    Refused(Vec<Complaint>),
}

/// Why objects can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file.
    pub path: PathBuf,
    /// Line and column, from 1, when it is about a place in the file.
    pub place: Option<(u32, u32)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// `policies/db.yaml:7:5: what is wrong (what to do)`.
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}
