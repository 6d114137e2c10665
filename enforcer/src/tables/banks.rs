//! Bringing the two banks' classes up to date: the cost is that of what changed.

use ipnet::IpNet;

use super::apply::wanted_sets;
use super::{Outcome, Programmer, State, TableError, Tables, Target};
use crate::compile::{ClassMap, Identity, Moment};

/// What the programmer knows of the banks' classes, beside what they are.
#[derive(Debug, Default)]
pub(super) struct Banks {
    /// Which moment of the target's classes each bank is like; `None`: nobody knows.
    like: [Option<Moment>; 2],
    /// Blocks in which the banks differ; `None`: nobody knows.
    differ: Option<Vec<IpNet>>,
}

/// What a bank lacks: each block with the number that it should have.
pub(super) type Lacking = Vec<(IpNet, Option<Identity>)>;

impl<T: Tables> Programmer<T> {
    /// What the standby bank lacks of the target's classes, all of which have numbers afterwards.
    ///
    /// What only gives a number to addresses of which nothing is asked is written to the bank in use at once: no decision
    /// depends on it.
    ///
    /// # Errors
    /// When the tables refuse for another reason than that they are full.
    pub(super) fn compare_classes(
        &mut self,
        target: &Target,
        outcome: &mut Outcome,
    ) -> Result<Lacking, TableError> {
        let (active, standby) = (self.state.active(), self.state.standby());
        if self.numbers.follow(&target.classes, &wanted_sets(target)) {
            self.banks.like = [None; 2];
        }
        let lacking = self.lacking(standby, &target.classes);
        let ahead = match self.banks.like {
            [Some(one), Some(other)] if one == other => lacking.clone(),
            _ => self.lacking(active, &target.classes),
        };
        let there = &self.state.banks[active].classes;
        let is_idle = |(net, identity): &(IpNet, Option<Identity>)| {
            let around = || there.surrounding(*net);
            let before = there.exact(*net).or_else(around).copied().unwrap_or(Identity::ANY);
            let after = identity.or_else(|| around().copied()).unwrap_or(Identity::ANY);
            self.numbers.is_idle(before) && self.numbers.is_idle(after)
        };
        let (idle, mut ahead): (Lacking, Lacking) = ahead.into_iter().partition(is_idle);
        let like = self.banks.like[active].take();
        match write(&mut self.tables, &mut self.state, active, &idle) {
            Ok(()) => self.banks.like[active] = like,
            // The standby bank has no room for them either, and says so.
            Err(TableError::Full(_)) => ahead.extend(idle),
            Err(error) => return Err(error),
        }
        if ahead.is_empty() {
            self.banks.like[active] = Some(target.classes.now());
        }
        outcome.changed |= !ahead.is_empty();
        self.banks.differ = Some(ahead.into_iter().map(|(net, _)| net).collect());
        Ok(lacking)
    }

    fn lacking(&self, bank: usize, classes: &ClassMap) -> Lacking {
        let there = &self.state.banks[bank].classes;
        let mut nets: Vec<IpNet> = match self.banks.like[bank].and_then(|moment| classes.since(moment)) {
            Some(changed) => changed.to_vec(),
            None => there.nets().chain(classes.nets()).collect(),
        };
        nets.sort_unstable();
        nets.dedup();
        let wanted =
            nets.into_iter().map(|net| (net, classes.class(net).map(|class| self.numbers.class(class))));
        wanted.filter(|(net, identity)| there.exact(*net) != identity.as_ref()).collect()
    }

    /// Writes what the standby bank lacks. Returns whether it fits.
    pub(super) fn write_classes(
        &mut self,
        lacking: &Lacking,
        target: &Target,
        outcome: &mut Outcome,
    ) -> Result<bool, TableError> {
        let standby = self.state.standby();
        self.banks.like[standby] = None;
        match write(&mut self.tables, &mut self.state, standby, lacking) {
            Ok(()) => {
                self.banks.like[standby] = Some(target.classes.now());
                Ok(true)
            }
            Err(TableError::Full(table)) => {
                outcome.problems.push(format!("the table {table} is full: every isolated pod is closed"));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the standby bank like the one in use, so that the next change has only itself to write.
    pub(super) fn catch_up(&mut self) -> Result<(), TableError> {
        let (active, standby) = (self.state.active(), self.state.standby());
        let Some(moment) = self.banks.like[active] else { return Ok(()) };
        let Some(differ) = self.banks.differ.take() else { return Ok(()) };
        let like = &self.state.banks[active].classes;
        let there = &self.state.banks[standby].classes;
        let wanted = differ.into_iter().map(|net| (net, like.exact(net).copied()));
        let lacking: Lacking =
            wanted.filter(|(net, identity)| there.exact(*net) != identity.as_ref()).collect();
        self.banks.like[standby] = None;
        match write(&mut self.tables, &mut self.state, standby, &lacking) {
            Ok(()) => self.banks.like[standby] = Some(moment),
            // The next change finds out what fits.
            Err(TableError::Full(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn write(
    tables: &mut impl Tables,
    state: &mut State,
    bank: usize,
    lacking: &Lacking,
) -> Result<(), TableError> {
    let number = u32::try_from(bank).expect("0 or 1");
    let classes = &mut state.banks[bank].classes;
    // Removals first, to make room.
    let gone: Vec<IpNet> =
        lacking.iter().filter(|(_, identity)| identity.is_none()).map(|(net, _)| *net).collect();
    let (count, result) = tables.remove_classes(number, &gone);
    gone.iter().take(count).for_each(|net| classes.remove(*net));
    result?;
    let new: Vec<(IpNet, Identity)> =
        lacking.iter().filter_map(|(net, identity)| Some((*net, (*identity)?))).collect();
    let (count, result) = tables.set_classes(number, &new);
    new.iter().take(count).for_each(|(net, identity)| classes.insert(*net, *identity));
    result
}
