//! Pods that can't be told apart: whatever is asked of them is found out once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use netpol_policy::model::{ContainerPort, Labels, Pod};

use super::classes::Signature;

/// What pods of a kind have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) namespace: Box<str>,
    pub(super) labels: Labels,
    pub(super) ports: Vec<ContainerPort>,
}

/// The number of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KindId(u32);

/// What is asked of a kind's pods, their addresses aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) signature: Signature,
    /// The class of an address in no block; `None`: it is of none.
    pub(super) outside: Option<Arc<Signature>>,
}

/// The kinds of the pods that own addresses.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    ids: HashMap<Arc<Kind>, KindId>,
    members: BTreeMap<KindId, Members>,
    of_namespace: HashMap<Box<str>, BTreeSet<KindId>>,
    of_address: HashMap<IpAddr, KindId>,
    next: u32,
}

#[derive(Debug)]
struct Members {
    kind: Arc<Kind>,
    addresses: BTreeSet<IpAddr>,
    answer: Option<Answer>,
}

impl Kinds {
    /// The address is this pod's now, or nobody's.
    pub(super) fn place(&mut self, address: IpAddr, pod: Option<&Pod>) {
        let now = pod.map(|pod| self.of_pod(pod));
        let before = match now {
            Some(id) => self.of_address.insert(address, id),
            None => self.of_address.remove(&address),
        };
        if now == before {
            return;
        }
        if let Some(members) = now.and_then(|id| self.members.get_mut(&id)) {
            members.addresses.insert(address);
        }
        if let Some(id) = before {
            self.leave(address, id);
        }
    }

    /// The kind of the pod that an address belongs to.
    pub(super) fn at(&self, address: IpAddr) -> Option<KindId> {
        self.of_address.get(&address).copied()
    }

    /// What pods of a kind have in common.
    pub(super) fn kind(&self, id: KindId) -> &Arc<Kind> {
        &self.members[&id].kind
    }

    /// The kinds of a namespace.
    pub(super) fn of_namespace(&self, namespace: &str) -> impl Iterator<Item = KindId> {
        self.of_namespace.get(namespace).into_iter().flatten().copied()
    }

    /// The addresses of pods of a kind.
    pub(super) fn addresses(&self, id: KindId) -> impl Iterator<Item = IpAddr> {
        self.members[&id].addresses.iter().copied()
    }

    /// What was last found out about a kind.
    pub(super) fn answer(&self, id: KindId) -> Option<&Answer> {
        self.members[&id].answer.as_ref()
    }

    /// Remembers what was found out. Returns whether it is something else than before.
    pub(super) fn set_answer(&mut self, id: KindId, answer: Answer) -> bool {
        let Some(members) = self.members.get_mut(&id) else { return false };
        let changed = members.answer.as_ref() != Some(&answer);
        members.answer = Some(answer);
        changed
    }

    fn of_pod(&mut self, pod: &Pod) -> KindId {
        let kind = Kind {
            namespace: pod.name.namespace.clone(),
            labels: pod.labels.clone(),
            ports: pod.ports.clone(),
        };
        if let Some(id) = self.ids.get(&kind) {
            return *id;
        }
        let id = KindId(self.next);
        self.next = self.next.checked_add(1).expect("fewer than 2^32 kinds of pods in the life of a process");
        let kind = Arc::new(kind);
        self.of_namespace.entry(kind.namespace.clone()).or_default().insert(id);
        self.ids.insert(Arc::clone(&kind), id);
        self.members.insert(id, Members { kind, addresses: BTreeSet::new(), answer: None });
        id
    }

    /// Nothing is kept of a kind that has no addresses.
    fn leave(&mut self, address: IpAddr, id: KindId) {
        let Some(members) = self.members.get_mut(&id) else { return };
        members.addresses.remove(&address);
        if !members.addresses.is_empty() {
            return;
        }
        if let Some(Members { kind, .. }) = self.members.remove(&id) {
            self.ids.remove(&kind);
            if let Some(ids) = self.of_namespace.get_mut(&kind.namespace) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.of_namespace.remove(&kind.namespace);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use netpol_policy::model::{WorkloadKind, WorkloadName};

    use super::*;

    fn pod(namespace: &str) -> Pod {
        Pod::new(WorkloadName::new(namespace, WorkloadKind::Pod, "x"), Labels::new())
    }

    #[test]
    fn a_kind_is_there_as_long_as_it_has_addresses() {
        let [one, two]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut kinds = Kinds::default();
        kinds.place(one, Some(&pod("a")));
        kinds.place(two, Some(&pod("a")));
        let id = kinds.at(one).expect("a kind");
        assert_eq!((kinds.at(two), kinds.addresses(id).count()), (Some(id), 2));
        let answer = Answer { signature: Signature::default(), outside: None };
        assert!(kinds.set_answer(id, answer.clone()) && !kinds.set_answer(id, answer.clone()));
        assert_eq!(kinds.answer(id), Some(&answer));

        kinds.place(one, Some(&pod("b")));
        kinds.place(two, None);
        assert_eq!((kinds.of_namespace("a").count(), kinds.of_namespace("b").count()), (0, 1));
        assert_eq!((kinds.ids.len(), kinds.members.len(), kinds.of_address.len()), (1, 1, 1));
    }
}
