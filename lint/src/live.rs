//! A live cluster, read through its API: lists only, page by page, nothing is ever written. (Feature `cluster`.)
//!
//! What comes back is turned into documents and read as files are, so that rules see no difference: a policy of the
//! cluster is the file `cluster:NAMESPACE/NetworkPolicy/NAME`.

mod around;
mod connect;
mod kinds;
mod pages;
mod piece;
mod prune;
mod yaml;

use std::path::PathBuf;

use netpol_policy::source::Manifest;
use serde_json::{Value, json};
use thiserror::Error;

pub use self::kinds::{KINDS, Kind};
pub use self::piece::{Piece, assemble};
pub use self::yaml::write as to_yaml;
use crate::facts::{ClusterFacts, Evidence, Readable};
use crate::file::SourceFile;

/// Which cluster.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The kubeconfig; without it those of `KUBECONFIG`, or `~/.kube/config`, or the pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig; without it the current one.
    pub context: Option<String>,
}

/// What was read from a cluster.
#[derive(Debug)]
pub struct Live {
    /// Its policies, each a file of its own.
    pub policies: Vec<SourceFile>,
    /// Everything else.
    pub others: Vec<Manifest>,
    /// What it says about itself.
    pub facts: ClusterFacts,
    /// Kinds that may not be read, in the plural and in lower case as in the API.
    pub forbidden: Vec<&'static str>,
}

/// Why a cluster can't be read.
#[derive(Debug, Error)]
pub enum LiveError {
    /// The kubeconfig can't be used.
    #[error("can't use the kubeconfig: {0}")]
    Kubeconfig(String),
    /// Nobody answers, or somebody else.
    #[error("can't reach the API server at {server}: {why}")]
    Unreachable {
        /// Its address.
        server: String,
        /// The innermost cause.
        why: String,
    },
    /// The API server doesn't know who is asking.
    #[error(
        "the API server at {server} doesn't accept who is asking: {why}; log in again, or choose another --context"
    )]
    Unauthorized {
        /// Its address.
        server: String,
        /// What it says.
        why: String,
    },
    /// The API server answers with something else than a list.
    #[error("the API server's list of {kind} can't be read: {why}")]
    Answer {
        /// The kind, in the plural.
        kind: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads a cluster. `progress` is told what is being read and how many objects of that kind there are so far.
///
/// # Errors
/// See [`LiveError`]. Kinds that may not be read are no error.
pub fn read(target: &Target, progress: &mut dyn FnMut(&str, usize)) -> Result<Live, LiveError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LiveError::Kubeconfig(error.to_string()))?;
    runtime.block_on(async {
        let api = connect::connect(target).await?;
        let groups = api.groups().await?;
        let mut reading = Reading::default();
        for kind in KINDS.iter().filter(|kind| kind.is_served(&groups)) {
            let page = &mut |items: Vec<Value>, so_far: usize| {
                progress(kind.plural, so_far);
                reading.page(kind, items);
            };
            match api.list(kind, page).await? {
                pages::Listed::All => reading.readable(kind),
                pages::Listed::Forbidden => reading.forbidden.push(kind.plural),
                pages::Listed::Unknown => {}
            }
        }
        Ok(reading.conclude())
    })
}

#[derive(Default)]
struct Reading {
    policies: Vec<SourceFile>,
    others: Vec<Manifest>,
    evidence: Evidence,
    readable: Readable,
    forbidden: Vec<&'static str>,
}

impl Reading {
    fn page(&mut self, kind: &Kind, mut items: Vec<Value>) {
        for item in &mut items {
            if let Some(item) = item.as_object_mut() {
                // Items of a typed list leave them to the list.
                item.insert("apiVersion".into(), kind.api_version.into());
                item.insert("kind".into(), kind.kind.into());
            }
            self.evidence.add(kind.kind, item);
            prune::prune(kind.kind, item);
        }
        if kind.kind == "NetworkPolicy" {
            self.policies.extend(items.iter().map(policy));
        } else if kind.is_manifest {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
            self.others.push(Manifest::read(&list.to_string(), "default"));
        }
    }

    fn readable(&mut self, kind: &Kind) {
        self.readable.mark(kind.kind);
    }

    fn conclude(self) -> Live {
        let Self { mut policies, others, evidence, readable, forbidden } = self;
        policies.sort_by(|a, b| a.name.cmp(&b.name));
        Live { policies, others, facts: evidence.conclude(readable), forbidden }
    }
}

fn policy(object: &Value) -> SourceFile {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let name = format!("cluster:{}/NetworkPolicy/{}", text("namespace"), text("name"));
    SourceFile::read(name, yaml::write(object), &"default".into())
}
