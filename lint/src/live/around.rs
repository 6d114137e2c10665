//! Files beside a cluster: as if they had just been applied to it.

use std::collections::{BTreeSet, HashSet};

use netpol_policy::model::{Cluster, ObjectName, WorkloadKind, WorkloadName};
use netpol_policy::source::{self, Content, Manifest, WorkloadSource};

use super::Live;
use crate::file::SourceFile;

impl Live {
    /// Adds the cluster's policies to some files, except those that the files have a new version of: as
    /// [`SourceFile::context`], unless the policies of the cluster are what is asked about. Chooses where to say what is
    /// wrong with the whole cluster.
    pub fn join(&mut self, files: &mut Vec<SourceFile>, asked: bool) {
        let mut policies = std::mem::take(&mut self.policies);
        let given = Given::of(files);
        policies.retain(|file| {
            let mut models = file.policies().filter_map(|(_, policy)| policy.model.as_ref());
            !models.any(|policy| given.policies.contains(&policy.name))
        });
        for file in &mut policies {
            file.context = !asked;
        }
        files.append(&mut policies);
        self.facts.tell_at_first(files);
    }

    /// The cluster's objects other than policies, and those of some files in the place of the same ones. `of_files` is
    /// what the files say together. Pods of a workload that is among the files are those of its new template.
    pub fn around(&self, files: &[SourceFile], of_files: Cluster) -> Cluster {
        let mut all = source::cluster(&self.others);
        let given = Given::of(files);
        let replaced: HashSet<_> = self.others.iter().flat_map(|manifest| given.owned(manifest)).collect();
        all.pods.retain(|pod| !given.workloads.contains(&pod.name) && !replaced.contains(&pod.name));
        all.services.retain(|service| !given.services.contains(&service.name));
        all.endpoint_slices.retain(|slice| !given.services.contains(&slice.service));
        let nodes: BTreeSet<_> = of_files.nodes.iter().map(|node| node.name.clone()).collect();
        all.nodes.retain(|node| !nodes.contains(&node.name));
        all.namespaces.extend(of_files.namespaces);
        all.nodes.extend(of_files.nodes);
        all.pods.extend(of_files.pods);
        all.services.extend(of_files.services);
        all.endpoint_slices.extend(of_files.endpoint_slices);
        let entries: HashSet<_> =
            of_files.entry_points.iter().map(|entry| (entry.kind, &entry.namespace, &entry.name)).collect();
        all.entry_points.retain(|entry| !entries.contains(&(entry.kind, &entry.namespace, &entry.name)));
        all.entry_points.extend(of_files.entry_points);
        all.policies.extend(of_files.policies);
        all
    }
}

/// The names of what is in files.
#[derive(Default)]
struct Given<'f> {
    policies: HashSet<&'f ObjectName>,
    services: HashSet<&'f ObjectName>,
    workloads: HashSet<&'f WorkloadName>,
}

impl<'f> Given<'f> {
    fn of(files: &'f [SourceFile]) -> Self {
        let mut given = Self::default();
        for object in files.iter().flat_map(|file| &file.manifest.objects) {
            match &object.content {
                Content::Policy(policy) => {
                    given.policies.extend(policy.model.as_ref().map(|policy| &policy.name));
                }
                Content::Service(service) => _ = given.services.insert(&service.name),
                Content::Workload(workload) => _ = given.workloads.insert(&workload.pod.name),
                _ => {}
            }
        }
        given
    }

    /// The workloads of a manifest that belong to one of these.
    fn owned(&self, manifest: &Manifest) -> Vec<WorkloadName> {
        if self.workloads.is_empty() {
            return Vec::new();
        }
        let workloads = manifest.objects.iter().filter_map(|object| match &object.content {
            Content::Workload(workload) => Some(&**workload),
            _ => None,
        });
        workloads.filter(|workload| self.owns(workload)).map(|workload| workload.pod.name.clone()).collect()
    }

    /// By its reference, or past a ReplicaSet or a Job, whose name is its owner's with a suffix.
    fn owns(&self, workload: &WorkloadSource) -> bool {
        let Some((kind, name)) = &workload.owner else { return false };
        let Some(kind) = WorkloadKind::parse(kind) else { return false };
        let named = |kind, name: &str| {
            self.workloads.contains(&WorkloadName::new(workload.pod.name.namespace.clone(), kind, name))
        };
        let above = match kind {
            WorkloadKind::ReplicaSet => Some(WorkloadKind::Deployment),
            WorkloadKind::Job => Some(WorkloadKind::CronJob),
            _ => None,
        };
        let stem = name.rsplit_once('-').map(|(stem, _)| stem);
        named(kind, name) || above.zip(stem).is_some_and(|(kind, stem)| named(kind, stem))
    }
}
