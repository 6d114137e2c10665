//! Pods that are alike, as replicas are: one of them speaks for all.

use netpol_policy::model::{LabelSelector, Pod, Requirement, Service};

use super::labels::ByLabel;
use crate::hash::HashMap;

/// The pods of a namespace by their labels and ports. Kinds are numbered in the order of their first pods.
#[derive(Default)]
pub(super) struct Kinds<'c> {
    firsts: Vec<&'c Pod>,
    /// The numbers of these pods.
    first_ids: Vec<u32>,
    /// The kind of each pod.
    of: Vec<u32>,
    counts: Vec<usize>,
    by_label: ByLabel<'c>,
}

impl<'c> Kinds<'c> {
    pub(super) fn new(pods: &[&'c Pod]) -> Self {
        let mut kinds = Self::default();
        let mut known = HashMap::default();
        for (id, pod) in (0..).zip(pods) {
            let next = u32::try_from(kinds.firsts.len()).expect("fewer kinds than bytes of text");
            let kind = *known.entry((&pod.labels, &pod.ports)).or_insert(next);
            if kind == next {
                kinds.firsts.push(pod);
                kinds.first_ids.push(id);
                kinds.counts.push(0);
                kinds.by_label.add(kind, &pod.labels, |_, _| {});
            }
            kinds.of.push(kind);
            kinds.counts[kind as usize] += 1;
        }
        kinds
    }

    /// The first pod of a kind.
    pub(super) fn first(&self, kind: u32) -> &'c Pod {
        self.firsts[kind as usize]
    }

    /// The number of that pod.
    pub(super) fn first_id(&self, kind: u32) -> u32 {
        self.first_ids[kind as usize]
    }

    /// The kind of a pod.
    pub(super) fn of(&self, pod: u32) -> u32 {
        self.of[pod as usize]
    }

    /// How many kinds there are.
    pub(super) fn len(&self) -> usize {
        self.firsts.len()
    }

    /// How many pods are of a kind.
    pub(super) fn count(&self, kind: u32) -> usize {
        self.counts[kind as usize]
    }

    /// The kinds that a selector matches, looked for among those that meet one of its requirements.
    pub(super) fn matching<'i>(
        &'i self,
        selector: &'i LabelSelector,
        one: Option<&Requirement>,
    ) -> Box<dyn Iterator<Item = u32> + 'i> {
        let matches = move |kind: &u32| selector.matches(&self.first(*kind).labels);
        match one.and_then(|one| self.by_label.meeting(one)) {
            Some(lists) => Box::new(lists.into_iter().flatten().copied().filter(matches)),
            None => Box::new((0..self.firsts.len() as u32).filter(matches)),
        }
    }
}

/// Kinds of pods with the same ports behind the same Services: they say the same about where they listen.
pub(super) struct Listeners {
    /// For each kind.
    of: Vec<u32>,
    /// How many different ones there are.
    count: usize,
    /// The numbers of the Services in front of each kind.
    services: Vec<Vec<u32>>,
}

impl Listeners {
    pub(super) fn new(kinds: &Kinds<'_>, services: &[&Service]) -> Self {
        let mut in_front = vec![Vec::new(); kinds.firsts.len()];
        for (number, service) in (0..).zip(services) {
            let selector = service.selector.iter();
            for kind in
                selector.flat_map(|selector| kinds.matching(selector, kinds.by_label.rarest(selector)))
            {
                in_front[kind as usize].push(number);
            }
        }
        let mut known = HashMap::default();
        let of = kinds.firsts.iter().zip(&in_front).map(|(pod, services)| {
            let next = known.len() as u32;
            *known.entry((&pod.ports, services)).or_insert(next)
        });
        let of = of.collect();
        Self { of, count: known.len(), services: in_front }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The one that a kind belongs to.
    pub(super) fn of(&self, kind: u32) -> usize {
        self.of[kind as usize] as usize
    }

    /// The numbers of the Services in front of a kind.
    pub(super) fn services(&self, kind: u32) -> &[u32] {
        &self.services[kind as usize]
    }
}
