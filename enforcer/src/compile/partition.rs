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
        let meaning = known.signature.as_ref().expect("what is asked of a cell is known before it joins a class");
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
