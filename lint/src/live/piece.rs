//! One object of a cluster that is watched: kept in little memory, put together with the others when something changed.

use std::borrow::Borrow;
use std::sync::Arc;

use netpol_policy::model::{Cluster, NetworkPolicy};
use netpol_policy::source::{self, Content, Manifest};
use serde_json::Value;

use super::kinds::Kind;
use super::prune::prune;
use crate::facts::{ClusterFacts, Evidence, Readable};
use crate::file::SourceFile;

/// What one object says.
#[derive(Debug)]
pub struct Piece {
    content: Said,
    evidence: Option<Box<Evidence>>,
}

#[derive(Debug)]
enum Said {
    Policy(Box<Policy>),
    Object(Manifest),
    /// What it says is all in the evidence.
    Nothing,
}

#[derive(Debug)]
struct Policy {
    name: Box<str>,
    text: Box<str>,
    model: Option<Arc<NetworkPolicy>>,
}

impl Piece {
    /// Reads an object, as the API gives it. Everything that nobody looks at is dropped: environments of containers,
    /// which may hold secrets, among them.
    pub fn read(kind: &Kind, mut object: Value) -> Self {
        if let Some(object) = object.as_object_mut() {
            // Items of a typed list leave them to the list.
            object.insert("apiVersion".into(), kind.api_version.into());
            object.insert("kind".into(), kind.kind.into());
        }
        let mut evidence = Evidence::default();
        evidence.add(kind.kind, &object);
        prune(kind.kind, &mut object);
        let content = if kind.kind == "NetworkPolicy" {
            let file = super::policy(&object);
            let model = file.policies().next().and_then(|(_, policy)| policy.model.clone());
            Said::Policy(Box::new(Policy { name: file.name, text: file.text, model }))
        } else if kind.is_manifest {
            let mut manifest = Manifest::read(&object.to_string(), "default");
            manifest.objects.shrink_to_fit();
            Said::Object(manifest)
        } else {
            Said::Nothing
        };
        Self { content, evidence: (!evidence.is_empty()).then(|| Box::new(evidence)) }
    }

    /// A policy as a file: `cluster:NAMESPACE/NetworkPolicy/NAME`, in YAML.
    pub fn file(&self) -> Option<SourceFile> {
        let Said::Policy(policy) = &self.content else { return None };
        Some(SourceFile::read(policy.name.clone(), policy.text.clone(), &"default".into()))
    }

    /// Whether the other says the same: nothing has to be put together anew.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let same = match (&self.content, &other.content) {
            (Said::Policy(one), Said::Policy(other)) => one.text == other.text,
            (Said::Nothing, Said::Nothing) => true,
            (Said::Object(one), Said::Object(other)) => {
                one.objects.len() == other.objects.len()
                    && one.objects.iter().zip(&other.objects).all(|(a, b)| is_same(&a.content, &b.content))
            }
            _ => false,
        };
        same && self.evidence == other.evidence
    }
}

fn is_same(one: &Content, other: &Content) -> bool {
    match (one, other) {
        (Content::Workload(a), Content::Workload(b)) => {
            a.pod == b.pod && a.labels == b.labels && a.owner == b.owner
        }
        (Content::Namespace(a), Content::Namespace(b)) => a == b,
        (Content::Node(a), Content::Node(b)) => a == b,
        (Content::Service(a), Content::Service(b)) => a == b,
        (Content::EndpointSlice(a), Content::EndpointSlice(b)) => a == b,
        (Content::EntryPoint(a), Content::EntryPoint(b)) => a.entry == b.entry,
        (Content::Broken, Content::Broken) => true,
        _ => false,
    }
}

/// Puts everything together: the objects, and what they say about the cluster.
pub fn assemble<P: Borrow<Piece>>(pieces: &[P], readable: Readable) -> (Cluster, ClusterFacts) {
    let pieces = || pieces.iter().map(Borrow::borrow);
    let manifests = pieces().filter_map(|piece| match &piece.content {
        Said::Object(manifest) => Some(manifest),
        _ => None,
    });
    let mut cluster = source::cluster(manifests);
    cluster.policies = pieces()
        .filter_map(|piece| match &piece.content {
            Said::Policy(policy) => policy.model.clone(),
            _ => None,
        })
        .collect();
    cluster.policies.sort_by(|a, b| a.name.cmp(&b.name));
    let mut evidence = Evidence::default();
    pieces().filter_map(|piece| piece.evidence.as_deref()).for_each(|some| evidence.join(some));
    (cluster, evidence.conclude(readable))
}
