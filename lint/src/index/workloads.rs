//! The workloads that pods belong to.

use netpol_policy::model::{Pod, WorkloadKind};

use crate::hash::HashMap;

/// Of some pods, which are counted from zero.
pub(super) struct Workloads {
    /// The workload of each pod.
    of: Vec<u32>,
    names: Vec<Box<str>>,
    /// The first pod of each.
    firsts: Vec<u32>,
}

impl Workloads {
    pub(super) fn new(pods: &[&Pod]) -> Self {
        let mut all = Self { of: Vec::with_capacity(pods.len()), names: Vec::new(), firsts: Vec::new() };
        let mut known = HashMap::default();
        for (id, pod) in (0..).zip(pods) {
            let name = Box::<str>::from(name(pod));
            let number = *known.entry(name).or_insert_with_key(|name| {
                all.names.push(name.clone());
                all.firsts.push(id);
                (all.names.len() - 1) as u32
            });
            all.of.push(number);
        }
        all
    }

    /// The name of the workload of a pod.
    pub(super) fn of(&self, pod: u32) -> &str {
        &self.names[self.number(pod) as usize]
    }

    /// The number of the workload of a pod.
    pub(super) fn number(&self, pod: u32) -> u32 {
        self.of[pod as usize]
    }

    /// One pod of each workload.
    pub(super) fn firsts(&self) -> impl Iterator<Item = u32> {
        self.firsts.iter().copied()
    }
}

/// `namespace/name` of the workload that a pod belongs to, as far as its name and labels tell.
fn name(pod: &Pod) -> String {
    let (namespace, name) = (&pod.name.namespace, &*pod.name.name);
    let label = |key: &str| {
        pod.labels.iter().find(|(known, _)| known.as_str() == key).map(|(_, value)| value.as_str())
    };
    let without =
        |suffix: &str| name.rsplit_once('-').filter(|(_, end)| *end == suffix).map(|(stem, _)| stem);
    let stem = if pod.name.kind != WorkloadKind::Pod {
        None
    } else if let Some(hash) = label("pod-template-hash") {
        let stem = name.rsplit_once('-').map(|(stem, _)| stem);
        stem.and_then(|stem| stem.strip_suffix(hash)?.strip_suffix('-'))
    } else if let Some(number) = label("apps.kubernetes.io/pod-index") {
        without(number)
    } else if label("statefulset.kubernetes.io/pod-name").is_some()
        || label("controller-revision-hash").is_some()
    {
        name.rsplit_once('-').map(|(stem, _)| stem)
    } else {
        None
    };
    format!("{namespace}/{}", stem.unwrap_or(name))
}
