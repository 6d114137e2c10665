//! Pods that can't be told apart: whatever is asked of them is found out once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use netpol_policy::model::{ContainerPort, Labels, Pod};

use super::class_map::ClassId;
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

/// The number of a [`Cell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CellId(u32);

/// The addresses of a kind's pods that are in the same block, or in none: no policy can tell them apart.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) kind: KindId,
    /// The smallest block that is asked for around them.
    pub(super) around: Option<IpNet>,
    pub(super) addresses: BTreeSet<IpAddr>,
    /// What is asked of them, and the class that they are of; nothing before that was found out.
    pub(super) signature: Option<Arc<Signature>>,
    pub(super) class: Option<ClassId>,
    /// Some of them may have been left without an entry.
    pub(super) sparse: bool,
}

/// The kinds of the pods that own addresses.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    ids: HashMap<Arc<Kind>, KindId>,
    members: HashMap<KindId, Members>,
    cells: HashMap<CellId, Cell>,
    of_namespace: HashMap<Box<str>, BTreeSet<KindId>>,
    of_address: HashMap<IpAddr, CellId>,
    /// Cells that are gone, and their classes, until somebody asks.
    gone: Vec<(CellId, ClassId)>,
    next_kind: u32,
    next_cell: u32,
}

#[derive(Debug)]
struct Members {
    kind: Arc<Kind>,
    cells: BTreeMap<Option<IpNet>, CellId>,
    answer: Option<Arc<Signature>>,
}

impl Kinds {
    /// The address is this pod's now, or nobody's, and the smallest block around it is this. Returns whether it is of
    /// another cell than before.
    pub(super) fn place(&mut self, address: IpAddr, pod: Option<&Pod>, around: Option<IpNet>) -> bool {
        let kind = pod.map(|pod| self.of_pod(pod));
        self.put(address, kind, around)
    }

    /// The smallest block around an address of a pod is this now. Returns whether it was another one.
    pub(super) fn surround(&mut self, address: IpAddr, around: Option<IpNet>) -> bool {
        let kind = self.at(address).map(|cell| self.cell(cell).kind);
        kind.is_some() && self.put(address, kind, around)
    }

    fn put(&mut self, address: IpAddr, kind: Option<KindId>, around: Option<IpNet>) -> bool {
        let now = kind.map(|kind| self.in_block(kind, around));
        let before = match now {
            Some(id) => self.of_address.insert(address, id),
            None => self.of_address.remove(&address),
        };
        if now == before {
            return false;
        }
        if let Some(id) = now {
            self.cell_mut(id).addresses.insert(address);
        }
        if let Some(id) = before {
            self.leave(address, id);
        }
        true
    }

    /// The cell of an address, if it is a pod's.
    pub(super) fn at(&self, address: IpAddr) -> Option<CellId> {
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

    /// The cells of a kind.
    pub(super) fn cells_of(&self, id: KindId) -> impl Iterator<Item = CellId> {
        self.members[&id].cells.values().copied()
    }

    /// The cells that are in blocks.
    pub(super) fn cells_in_blocks(&self) -> impl Iterator<Item = CellId> {
        self.cells.iter().filter(|(_, cell)| cell.around.is_some()).map(|(id, _)| *id)
    }

    /// Whether there is this cell still.
    pub(super) fn has(&self, id: CellId) -> bool {
        self.cells.contains_key(&id)
    }

    /// A cell.
    pub(super) fn cell(&self, id: CellId) -> &Cell {
        &self.cells[&id]
    }

    /// A cell, to change what is known of it.
    pub(super) fn cell_mut(&mut self, id: CellId) -> &mut Cell {
        self.cells.get_mut(&id).expect("a cell has addresses as long as somebody knows its number")
    }

    /// The cells that are gone since this was last called, with the classes that they were of.
    pub(super) fn take_gone(&mut self) -> Vec<(CellId, ClassId)> {
        std::mem::take(&mut self.gone)
    }

    /// What is asked of a kind's pods, their addresses aside, as far as that is known.
    pub(super) fn answer(&self, id: KindId) -> Option<&Arc<Signature>> {
        self.members[&id].answer.as_ref()
    }

    /// Remembers what was found out. Returns whether it is something else than before.
    pub(super) fn set_answer(&mut self, id: KindId, answer: Arc<Signature>) -> bool {
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
        let id = KindId(self.next_kind);
        self.next_kind =
            self.next_kind.checked_add(1).expect("fewer than 2^32 kinds of pods in the life of a process");
        let kind = Arc::new(kind);
        self.of_namespace.entry(kind.namespace.clone()).or_default().insert(id);
        self.ids.insert(Arc::clone(&kind), id);
        self.members.insert(id, Members { kind, cells: BTreeMap::new(), answer: None });
        id
    }

    fn in_block(&mut self, kind: KindId, around: Option<IpNet>) -> CellId {
        let members = self.members.get_mut(&kind).expect("a kind that was found a moment ago");
        *members.cells.entry(around).or_insert_with(|| {
            let id = CellId(self.next_cell);
            self.next_cell =
                self.next_cell.checked_add(1).expect("fewer than 2^32 cells in the life of a process");
            let cell = Cell {
                kind,
                around,
                addresses: BTreeSet::new(),
                signature: None,
                class: None,
                sparse: false,
            };
            self.cells.insert(id, cell);
            id
        })
    }

    /// Nothing is kept of a cell that has no addresses, nor of a kind that has no cells.
    fn leave(&mut self, address: IpAddr, id: CellId) {
        let cell = self.cell_mut(id);
        cell.addresses.remove(&address);
        if !cell.addresses.is_empty() {
            return;
        }
        let Some(cell) = self.cells.remove(&id) else { return };
        self.gone.extend(cell.class.map(|class| (id, class)));
        let Some(members) = self.members.get_mut(&cell.kind) else { return };
        members.cells.remove(&cell.around);
        if !members.cells.is_empty() {
            return;
        }
        if let Some(Members { kind, .. }) = self.members.remove(&cell.kind) {
            self.ids.remove(&kind);
            if let Some(ids) = self.of_namespace.get_mut(&kind.namespace) {
                ids.remove(&cell.kind);
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
        assert!(kinds.place(one, Some(&pod("a")), None) && kinds.place(two, Some(&pod("a")), None));
        assert!(!kinds.place(two, Some(&pod("a")), None), "it is there already");
        let cell = kinds.at(one).expect("a cell");
        assert_eq!((kinds.at(two), kinds.cell(cell).addresses.len()), (Some(cell), 2));
        let kind = kinds.cell(cell).kind;
        assert!(kinds.set_answer(kind, Arc::default()) && !kinds.set_answer(kind, Arc::default()));
        assert_eq!(kinds.answer(kind), Some(&Arc::default()));

        let block = Some(IpNet::from(two));
        assert!(kinds.surround(two, block) && !kinds.surround(two, block));
        assert_eq!((kinds.cells_of(kind).count(), kinds.cells_in_blocks().count()), (2, 1));

        kinds.place(one, Some(&pod("b")), None);
        kinds.place(two, None, None);
        assert!(!kinds.surround(two, block), "nobody's");
        assert_eq!((kinds.of_namespace("a").count(), kinds.of_namespace("b").count()), (0, 1));
        assert_eq!((kinds.ids.len(), kinds.members.len(), kinds.of_address.len()), (1, 1, 1));
        assert_eq!(kinds.cells.len(), 1);
    }
}
