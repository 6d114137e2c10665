//! The cluster at one moment, indexed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use netpol_lint::facts::{ClusterFacts, Readable};
use netpol_lint::live::{self, Piece};
use netpol_lint::{Index, SourceFile};
use netpol_policy::model::Cluster;
use self_cell::self_cell;

/// What findings call the object of a request; it is the document at which rules say what is wrong with the whole
/// cluster.
pub(crate) const OBJECT: &str = "object";

/// The cluster at one moment. It never changes; many requests read it at once.
#[derive(Debug)]
pub struct Snapshot {
    indexed: Indexed,
    policies: Vec<Arc<Piece>>,
    /// How long it took to put together.
    pub took: Duration,
}

struct Known {
    cluster: Cluster,
    facts: ClusterFacts,
}

self_cell!(
    struct Indexed {
        owner: Box<Known>,
        #[covariant]
        dependent: Index,
    }
);

impl std::fmt::Debug for Indexed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cluster = &self.borrow_owner().cluster;
        f.debug_struct("Indexed").field("pods", &cluster.pods.len()).finish_non_exhaustive()
    }
}

impl Snapshot {
    /// Puts together and indexes: takes time in proportion to the cluster. `policies` are those among the pieces.
    pub fn new(pieces: &[Arc<Piece>], policies: Vec<Arc<Piece>>, readable: Readable) -> Self {
        let start = Instant::now();
        let (cluster, mut facts) = live::assemble(pieces, readable);
        facts.tell_at(OBJECT, 0);
        let known = Box::new(Known { cluster, facts });
        let indexed = Indexed::new(known, |known| Index::new(&known.cluster).with_facts(&known.facts));
        Self { indexed, policies, took: start.elapsed() }
    }

    /// The index.
    pub fn index(&self) -> &Index<'_> {
        self.indexed.borrow_dependent()
    }

    /// The objects.
    pub fn cluster(&self) -> &Cluster {
        &self.indexed.borrow_owner().cluster
    }

    /// The cluster's policies as files, sorted by name.
    pub fn files(&self) -> Vec<SourceFile> {
        let mut files: Vec<_> = self.policies.iter().filter_map(|piece| piece.file()).collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files
    }

    /// What the cluster says about itself.
    pub fn facts(&self) -> &ClusterFacts {
        &self.indexed.borrow_owner().facts
    }
}
