//! From many texts to a cluster.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Cluster, WorkloadKind, WorkloadName};

use super::generated::distinguish;
use super::manifest::{Content, Manifest, WorkloadSource};

/// Some texts and the cluster that they describe together.
#[derive(Debug)]
pub struct Loaded<N> {
    /// The texts, each with the name it was given.
    pub manifests: Vec<(N, Manifest)>,
    /// What they say together. Policies that the API server would reject are not in it.
    pub cluster: Cluster,
}

/// Reads texts and puts their objects together.
pub fn load<N, T: AsRef<str>>(texts: impl IntoIterator<Item = (N, T)>, default_namespace: &str) -> Loaded<N> {
    let mut manifests: Vec<_> = texts
        .into_iter()
        .map(|(name, text)| (name, Manifest::read(text.as_ref(), default_namespace)))
        .collect();
    distinguish(manifests.iter_mut().map(|(_, manifest)| manifest));
    let cluster = cluster(manifests.iter().map(|(_, manifest)| manifest));
    Loaded { manifests, cluster }
}

/// Puts the objects of several texts together, sorted by name.
///
/// Of two objects of one kind and name the last counts, as if applied in order; [`distinguish`] tells apart those whose
/// names are yet to be made. A workload whose pods are given too
/// is only there as those pods; one that another given workload controls is only there as that one.
pub fn cluster<'m>(manifests: impl IntoIterator<Item = &'m Manifest>) -> Cluster {
    let mut cluster = Cluster::default();
    let mut workloads = BTreeMap::new();
    let (mut nodes, mut services, mut policies) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut entry_points = BTreeMap::new();
    for object in manifests.into_iter().flat_map(|manifest| &manifest.objects) {
        match &object.content {
            Content::Policy(source) => {
                if let Some(policy) = &source.model {
                    policies.insert(&policy.name, policy);
                }
            }
            Content::Workload(workload) => _ = workloads.insert(workload.pod.name.clone(), &**workload),
            Content::Namespace(namespace) => cluster.add_namespace(namespace.clone()),
            Content::Node(node) => _ = nodes.insert(&node.name, node),
            Content::Service(service) => _ = services.insert(&service.name, &**service),
            Content::EntryPoint(source) => {
                let entry = &source.entry;
                entry_points.insert((entry.kind, &entry.namespace, &entry.name), entry);
            }
            Content::EndpointSlice(slice) => cluster.endpoint_slices.push(slice.clone()),
            Content::Broken => {}
        }
    }
    let covered = covered(&workloads);
    let pods = workloads.iter().filter(|(name, _)| !covered.contains(name));
    cluster.pods = pods.map(|(_, workload)| workload.pod.clone()).collect();
    cluster.nodes = nodes.into_values().cloned().collect();
    cluster.services = services.into_values().cloned().collect();
    cluster.entry_points = entry_points.into_values().cloned().collect();
    cluster.policies = policies.into_values().cloned().collect();
    cluster
}

/// Templates that would say the same pods twice.
fn covered(workloads: &BTreeMap<WorkloadName, &WorkloadSource>) -> BTreeSet<WorkloadName> {
    // Templates that another one stands for, and those whose pods are here.
    let (mut owned, mut running) = (BTreeSet::new(), BTreeSet::new());
    for (name, workload) in workloads {
        let mut above = owner(workloads, workload);
        if name.kind != WorkloadKind::Pod {
            if above.is_some_and(|above| above != *name) {
                owned.insert(name.clone());
            }
        } else if !workload.pod.finished {
            // A pod that is over says nothing about those that its workload starts next. Each owner is marked once,
            // so a circle ends.
            while let Some(name) = above.filter(|name| running.insert(name.clone())) {
                above = workloads.get(&name).and_then(|workload| owner(workloads, workload));
            }
        }
    }
    owned.append(&mut running);
    owned
}

/// The workload among the given that controls one: by its reference, or past a ReplicaSet or a Job that isn't
/// given, whose name is the owner's and a suffix as their controllers make it.
fn owner(
    workloads: &BTreeMap<WorkloadName, &WorkloadSource>,
    workload: &WorkloadSource,
) -> Option<WorkloadName> {
    let (kind, name) = workload.owner.as_ref()?;
    let kind = WorkloadKind::parse(kind)?;
    let namespace = &workload.pod.name.namespace;
    let direct = WorkloadName::new(namespace.clone(), kind, name.clone());
    if workloads.contains_key(&direct) {
        return Some(direct);
    }
    let (above, is_suffix): (_, fn(&str) -> bool) = match kind {
        WorkloadKind::ReplicaSet => (WorkloadKind::Deployment, is_template_hash),
        WorkloadKind::Job => (WorkloadKind::CronJob, is_time),
        _ => return None,
    };
    let (stem, _) = name.rsplit_once('-').filter(|(_, suffix)| is_suffix(suffix))?;
    let above = WorkloadName::new(namespace.clone(), above, stem);
    workloads.contains_key(&above).then_some(above)
}

/// The hash of a Deployment's template: a number of 32 bits, written in the characters of `rand.SafeEncodeString`.
fn is_template_hash(suffix: &str) -> bool {
    const CHARACTERS: &str = "bcdfghjklmnpqrstvwxz2456789";
    (1..=10).contains(&suffix.len()) && suffix.chars().all(|c| CHARACTERS.contains(c))
}

/// When a CronJob started a Job: the minutes since 1970, or seconds in old versions.
fn is_time(suffix: &str) -> bool {
    (8..=10).contains(&suffix.len()) && suffix.bytes().all(|c| c.is_ascii_digit())
}
