//! Which pods' addresses are of one class.
//!
//! Addresses of one class are asked the same. The reverse need not hold: addresses that were told apart once stay in
//! classes of their own when nobody tells them apart any more, until there are too many such classes. So a policy that
//! comes and goes moves addresses once, and one that asks the same of all addresses of each class moves none.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::class_map::{ClassId, ClassMap};
use super::classes::Signature;
use super::kinds::{CellId, Kinds};

/// The cells of each class.
#[derive(Debug, Default)]
pub(super) struct Partition {
    members: BTreeMap<ClassId, BTreeSet<CellId>>,
    /// One class of those with a meaning.
    by_meaning: HashMap<Arc<Signature>, ClassId>,
    emptied: Vec<ClassId>,
}

/// So many classes may be there for no reason, beside as many as there are for one.
const SPARE: usize = 64;

impl Partition {
    /// Takes cells that are gone out of their classes.
    pub(super) fn leave(&mut self, gone: Vec<(CellId, ClassId)>) {
        for (cell, class) in gone {
            self.take_out(cell, class);
        }
    }

    /// Parts those cells of these classes that are not asked the same any more: where most addresses are keeps the class.
    /// Returns the others, which are of no class now.
    pub(super) fn split(
        &mut self,
        affected: BTreeSet<ClassId>,
        kinds: &mut Kinds,
        classes: &mut ClassMap,
    ) -> Vec<CellId> {
        let mut parted = Vec::new();
        for class in affected {
            let mut groups: HashMap<&Arc<Signature>, (usize, Vec<CellId>)> = HashMap::new();
            for id in self.members.get(&class).into_iter().flatten() {
                let cell = kinds.cell(*id);
                let signature = cell.signature.as_ref().expect("what is asked of a cell in a class is known");
                let (addresses, cells) = groups.entry(signature).or_default();
                *addresses += cell.addresses.len();
                cells.push(*id);
            }
            let most = groups.iter().max_by_key(|(_, (addresses, cells))| (*addresses, Reverse(cells[0])));
            let Some(meaning) = most.map(|(meaning, _)| Arc::clone(meaning)) else { continue };
            groups.remove(&meaning);
            let others: Vec<CellId> = groups.into_values().flat_map(|(_, cells)| cells).collect();
            for cell in &others {
                self.take_out(*cell, class);
                kinds.cell_mut(*cell).class = None;
            }
            parted.extend(others);
            self.turn(class, meaning, classes);
        }
        parted
    }

    /// Puts a cell that is of no class in one that is asked the same.
    pub(super) fn join(&mut self, cell: CellId, kinds: &mut Kinds, classes: &mut ClassMap) {
        let known = kinds.cell_mut(cell);
        let meaning =
            known.signature.as_ref().expect("what is asked of a cell is known before it joins a class");
        let class = *self
            .by_meaning
            .entry(Arc::clone(meaning))
            .or_insert_with(|| classes.add_class(Arc::clone(meaning)));
        known.class = Some(class);
        self.members.entry(class).or_default().insert(cell);
    }

    /// Parts all cells from classes that are one too many, once there are many of those. Returns the cells, which are of
    /// no class now.
    pub(super) fn tidy(&mut self, kinds: &mut Kinds, classes: &ClassMap) -> Vec<CellId> {
        if self.members.len() <= SPARE {
            return Vec::new();
        }
        let mut same: HashMap<&Arc<Signature>, Vec<(usize, ClassId)>> = HashMap::new();
        for (class, cells) in &self.members {
            let addresses = cells.iter().map(|id| kinds.cell(*id).addresses.len()).sum();
            same.entry(classes.meaning(*class)).or_default().push((addresses, *class));
        }
        if self.members.len() <= 2 * same.len() + SPARE {
            return Vec::new();
        }
        let mut parted = Vec::new();
        for (meaning, mut of_meaning) in same {
            of_meaning.sort_unstable_by_key(|(addresses, class)| (Reverse(*addresses), *class));
            self.by_meaning.insert(Arc::clone(meaning), of_meaning[0].1);
            parted.extend(of_meaning.into_iter().skip(1).map(|(_, class)| class));
        }
        let mut cells = Vec::new();
        for class in parted {
            cells.extend(self.members.insert(class, BTreeSet::new()).into_iter().flatten());
            self.emptied.push(class);
        }
        for cell in &cells {
            kinds.cell_mut(*cell).class = None;
        }
        cells
    }

    /// Forgets classes that have no cells, once no address is of them any more.
    pub(super) fn drop_empty(&mut self, classes: &mut ClassMap) {
        for class in std::mem::take(&mut self.emptied) {
            if self.members.get(&class).is_some_and(BTreeSet::is_empty) {
                self.members.remove(&class);
                self.forget_meaning(class, classes);
                classes.remove_class(class);
            }
        }
    }

    fn take_out(&mut self, cell: CellId, class: ClassId) {
        if let Some(cells) = self.members.get_mut(&class) {
            cells.remove(&cell);
            if cells.is_empty() {
                self.emptied.push(class);
            }
        }
    }

    fn turn(&mut self, class: ClassId, meaning: Arc<Signature>, classes: &mut ClassMap) {
        if *classes.meaning(class) == meaning {
            return;
        }
        self.forget_meaning(class, classes);
        self.by_meaning.entry(Arc::clone(&meaning)).or_insert(class);
        classes.turn_class(class, meaning);
    }

    fn forget_meaning(&mut self, class: ClassId, classes: &ClassMap) {
        let meaning = classes.meaning(class);
        if self.by_meaning.get(meaning) == Some(&class) {
            self.by_meaning.remove(meaning);
        }
    }
}

#[cfg(test)]
mod tests {
    use netpol_policy::model::{
        LabelKey, LabelSelector, LabelValue, Labels, NetworkPolicy, ObjectName, Peer, Peers, Pod,
        PodNamespaces, Ports, Requirement, Rule, WorkloadKind, WorkloadName,
    };

    use super::*;
    use crate::compile::{Compiler, LocalNode};
    use crate::world::{Change, Object, World};

    const PODS: u8 = 128;

    fn key(bit: u32) -> LabelKey {
        LabelKey::new(&format!("bit-{bit}")).expect("a key")
    }

    /// Pods of which each has another set of labels. The first one is here.
    fn pods() -> World {
        let mut world = World::default();
        for number in 0..PODS {
            let bits = (0..7).filter(|bit| number >> bit & 1 == 1);
            let labels: Labels = bits.map(|bit| (key(bit), LabelValue::default())).collect();
            let name = format!("pod-{number}");
            let mut pod = Pod::new(WorkloadName::new("shop", WorkloadKind::Pod, name.clone()), labels);
            pod.node = Some(if number == 0 { "here" } else { "there" }.into());
            pod.addresses = vec![[10, 0, 0, number].into()];
            world.apply(Change::Put(ObjectName::new("shop", name), Object::Pod(Box::new(pod))));
        }
        world
    }

    /// A policy whose peers are these pods of all namespaces.
    fn policy(pods: Option<LabelSelector>) -> Change {
        let peer = |pods| Peer::Pods { namespaces: PodNamespaces::Selected(LabelSelector::default()), pods };
        let rule = |pods| Rule { peers: Peers::Only(vec![peer(pods)]), ports: Ports::All };
        let name = ObjectName::new("shop", "policy");
        let policy = NetworkPolicy {
            name: name.clone(),
            pod_selector: LabelSelector::default(),
            ingress: Some(pods.map(rule).into_iter().collect()),
            egress: None,
        };
        Change::Put(name, Object::NetworkPolicy(policy.into()))
    }

    fn with_bit(bit: u32) -> Option<LabelSelector> {
        Some(LabelSelector::new([Requirement::new(key(bit), "Exists", []).expect("a requirement")]))
    }

    /// How many addresses change their class when the peers of the policy are others.
    fn moved(compiler: &mut Compiler, world: &mut World, pods: Option<LabelSelector>) -> usize {
        let node = LocalNode { name: "here".into(), ..LocalNode::default() };
        let then = compiler.desired().classes.now();
        assert!(world.apply(policy(pods)));
        let touched = world.take_touched();
        assert!(compiler.update(world, &touched, &node));
        compiler.desired().classes.since(then).expect("it was a moment ago").len()
    }

    #[test]
    fn only_what_is_told_apart_for_the_first_time_is_of_another_class() {
        let (mut compiler, mut world) = (Compiler::default(), pods());
        let all = usize::from(PODS);
        let peers = [
            (None, all, "everything is new"),
            (Some(LabelSelector::default()), 0, "every pod"),
            (with_bit(0), all / 2, "every second one"),
            (None, 0, "none again"),
            (with_bit(0), 0, "every second one again"),
            (Some(LabelSelector::default()), 0, "every pod again"),
            (with_bit(1), all / 2, "half of each class"),
        ];
        for (pods, expected, what) in peers {
            assert_eq!(moved(&mut compiler, &mut world, pods), expected, "{what}");
        }
    }

    #[test]
    fn classes_that_nobody_tells_apart_any_more_become_one() {
        let (mut compiler, mut world) = (Compiler::default(), pods());
        for bit in 0..7 {
            moved(&mut compiler, &mut world, with_bit(bit));
            assert!(compiler.desired().classes.count() <= 2 * 2 + SPARE);
        }
        moved(&mut compiler, &mut world, with_bit(0));
        assert!(compiler.desired().classes.count() <= 2 * 2 + SPARE);
    }
}
