//! Which policies select a pod, without looking at every policy.

use netpol_policy::model::{Direction, LabelSelector, Labels, NetworkPolicy, Pod, Requirement};

use crate::hash::HashMap;

/// Policies by namespace, then by the rarest label that their selectors ask for.
#[derive(Default)]
pub(super) struct Policies<'c> {
    namespaces: HashMap<&'c str, InNamespace<'c>>,
}

#[derive(Default)]
struct InNamespace<'c> {
    all: Vec<&'c NetworkPolicy>,
    /// Some policy allows everything: to its pods, from its pods.
    open: [bool; 2],
    /// Policies by their selectors: many say the same.
    selectors: Vec<(&'c LabelSelector, Vec<u32>)>,
    /// Selectors that ask for one of some values of a label, by each of them.
    by_label: HashMap<(&'c str, &'c str), Vec<u32>>,
    /// Those that don't.
    others: Vec<u32>,
    /// Indexes of `firsts` by the first requirement of the selector; `None` for policies of every pod.
    by_first: HashMap<Option<&'c Requirement>, usize>,
    /// Policies whose selectors have the same first requirement.
    firsts: Vec<Vec<u32>>,
}

impl<'c> Policies<'c> {
    pub(super) fn new(policies: impl IntoIterator<Item = &'c NetworkPolicy>) -> Self {
        let mut namespaces = HashMap::<_, InNamespace<'_>>::default();
        for policy in policies {
            namespaces.entry(&*policy.name.namespace).or_default().all.push(policy);
        }
        for namespace in namespaces.values_mut() {
            namespace.sort_in();
        }
        Self { namespaces }
    }

    /// The policies of a namespace, in the order given.
    pub(super) fn of(&self, namespace: &str) -> &[&'c NetworkPolicy] {
        self.namespaces.get(namespace).map(|namespace| namespace.all.as_slice()).unwrap_or_default()
    }

    /// Whether some policy of a namespace allows everything in a direction.
    pub(super) fn has_open(&self, namespace: &str, direction: Direction) -> bool {
        let open = self.namespaces.get(namespace).map(|namespace| namespace.open).unwrap_or_default();
        open[usize::from(direction == Direction::Egress)]
    }

    /// The policies that isolate a pod in a direction; none for pods on the network of their node.
    pub(super) fn isolating<'i>(
        &'i self,
        pod: &'i Pod,
        direction: Direction,
    ) -> impl Iterator<Item = &'c NetworkPolicy> + use<'i, 'c> {
        let namespace = self.namespaces.get(&*pod.name.namespace).filter(|_| pod.is_subject());
        let selecting = namespace
            .into_iter()
            .flat_map(|namespace| namespace.selecting(&pod.labels).map(|id| namespace.all[id as usize]));
        selecting.filter(move |policy| policy.rules(direction).is_some())
    }

    /// The same, by their indexes in the namespace.
    pub(super) fn isolating_ids(&self, pod: &Pod, direction: Direction) -> Box<[u32]> {
        let namespace = self.namespaces.get(&*pod.name.namespace).filter(|_| pod.is_subject());
        let Some(namespace) = namespace else { return Box::default() };
        let isolates = |id: &u32| namespace.all[*id as usize].rules(direction).is_some();
        namespace.selecting(&pod.labels).filter(isolates).collect()
    }

    /// The policies that select at least the pods that a policy selects: those whose selector asks for no more.
    pub(super) fn covering<'i>(
        &'i self,
        policy: &'i NetworkPolicy,
    ) -> impl Iterator<Item = &'c NetworkPolicy> + use<'i, 'c> {
        let asked = policy.pod_selector.requirements();
        let firsts = std::iter::once(None).chain(asked.clone().map(Some));
        let namespace = self.namespaces.get(&*policy.name.namespace);
        let candidates = namespace.into_iter().flat_map(move |namespace| {
            let only = if let [only] = namespace.all[..] { Some(only) } else { None };
            only.into_iter().chain(namespace.by_first(firsts.clone()))
        });
        candidates.filter(move |other| {
            let mut asks = other.pod_selector.requirements();
            asks.all(|requirement| asked.clone().any(|known| known == requirement))
        })
    }
}

impl<'c> InNamespace<'c> {
    fn sort_in(&mut self) {
        if let [policy] = self.all[..] {
            // As a policy that takes the place of another: there is nothing to choose from.
            self.selectors.push((&policy.pod_selector, vec![0]));
            self.others.push(0);
            self.open = Direction::ALL.map(|direction| policy.allows_all(direction));
            return;
        }
        // Each distinct selector is looked at once: hashing them is what takes time. With it, which of `firsts` it is in.
        let mut known = HashMap::default();
        for (id, policy) in (0..).zip(&self.all) {
            let &mut (selector, first) = known.entry(&policy.pod_selector).or_insert_with(|| {
                self.selectors.push((&policy.pod_selector, Vec::new()));
                let next = self.firsts.len();
                let first = *self.by_first.entry(policy.pod_selector.requirements().next()).or_insert(next);
                if first == next {
                    self.firsts.push(Vec::new());
                }
                (self.selectors.len() - 1, first)
            });
            self.selectors[selector].1.push(id);
            self.firsts[first].push(id);
            for (open, direction) in self.open.iter_mut().zip(Direction::ALL) {
                *open |= policy.allows_all(direction);
            }
        }
        let mut count = HashMap::<(&str, &str), u32>::default();
        for label in self.selectors.iter().flat_map(|(selector, _)| selector.requirements()).flat_map(wanted)
        {
            *count.entry(label).or_default() += 1;
        }
        for (id, (selector, _)) in (0..).zip(&self.selectors) {
            let common = |requirement: &&Requirement| wanted(requirement).map(|label| count[&label]).max();
            let asking = selector.requirements().filter(|r| r.operator() == "In");
            match asking.min_by_key(common) {
                Some(rarest) => wanted(rarest).for_each(|l| self.by_label.entry(l).or_default().push(id)),
                None => self.others.push(id),
            }
        }
    }

    fn by_first<'i>(
        &'i self,
        firsts: impl Iterator<Item = Option<&'i Requirement>> + 'i,
    ) -> impl Iterator<Item = &'c NetworkPolicy> + 'i {
        let ids = firsts.filter_map(|first| self.by_first.get(&first)).flat_map(|first| &self.firsts[*first]);
        ids.map(|id| self.all[*id as usize])
    }

    /// The indexes of the policies that select a pod.
    fn selecting<'i>(&'i self, labels: &'i Labels) -> impl Iterator<Item = u32> + use<'i, 'c> {
        let by_label =
            labels.iter().filter_map(|(key, value)| self.by_label.get(&(key.as_str(), value.as_str())));
        let selectors = by_label.flatten().chain(&self.others).map(|id| &self.selectors[*id as usize]);
        let policies = selectors.filter(|(selector, _)| selector.matches(labels)).flat_map(|(_, ids)| ids);
        policies.copied()
    }
}

/// The labels that a requirement accepts, when it names them.
fn wanted(requirement: &Requirement) -> impl Iterator<Item = (&str, &str)> {
    let values = requirement.values().filter(|_| requirement.operator() == "In");
    values.map(|value| (requirement.key().as_str(), value.as_str()))
}
