//! Which namespaces are to be looked at, and when.
//!
//! A name is in the queue once, however often it was put there, and is never worked on twice at the same time. A name
//! that failed comes back after a while, each time after a longer one.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// The pause after the first failure; it doubles with each.
const FIRST: Duration = Duration::from_millis(250);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// How the work on a namespace went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is nothing to do until something changes.
    Settled,
    /// It must be tried again.
    Retry,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    ready: VecDeque<Arc<str>>,
    waiting: HashSet<Arc<str>>,
    /// Worked on at the moment; whether it was put in again meanwhile.
    busy: HashMap<Arc<str>, bool>,
    later: BTreeSet<(Instant, Arc<str>)>,
    failures: HashMap<Arc<str>, u32>,
}

impl Queue {
    /// Something about this namespace has changed.
    pub(super) fn push(&mut self, name: Arc<str>) {
        if let Some(again) = self.busy.get_mut(&name) {
            *again = true;
        } else if self.waiting.insert(Arc::clone(&name)) {
            self.ready.push_back(name);
        }
    }

    /// The next one; [`Self::done`] must follow.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Arc<str>> {
        while self.later.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, name)) = self.later.pop_first() {
                self.push(name);
            }
        }
        let name = self.ready.pop_front()?;
        self.waiting.remove(&name);
        self.busy.insert(Arc::clone(&name), false);
        Some(name)
    }

    /// The work on one is over.
    pub(super) fn done(&mut self, name: Arc<str>, outcome: Outcome, now: Instant) {
        let again = self.busy.remove(&name).unwrap_or_default();
        match outcome {
            Outcome::Settled => {
                self.failures.remove(&name);
                if again {
                    self.push(name);
                }
            }
            // What changed meanwhile is seen then: a namespace that fails and changes all the time has its pauses too.
            Outcome::Retry => {
                let failures = self.failures.entry(Arc::clone(&name)).or_default();
                let pause = FIRST.saturating_mul(1_u32 << (*failures).min(16)).min(LONGEST);
                *failures = failures.saturating_add(1);
                self.later.insert((now + pause, name));
            }
        }
    }

    /// When the next pause ends.
    pub(super) fn next(&self) -> Option<Instant> {
        self.later.first().map(|(due, _)| *due)
    }

    /// How many wait, those in their pauses included.
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.later.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    #[test]
    fn a_name_is_in_it_once() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for text in ["a", "b", "a"] {
            queue.push(name(text));
        }
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.pop(now).as_deref(), Some("a"));
        // It changes while it is worked on: once more afterwards, and only then.
        queue.push(name("a"));
        queue.push(name("a"));
        assert_eq!(queue.pop(now).as_deref(), Some("b"));
        assert_eq!(queue.pop(now), None);
        queue.done(name("b"), Outcome::Settled, now);
        queue.done(name("a"), Outcome::Settled, now);
        assert_eq!(queue.pop(now).as_deref(), Some("a"));
        queue.done(name("a"), Outcome::Settled, now);
        assert_eq!((queue.pop(now), queue.len()), (None, 0));
    }

    #[test]
    fn pauses_grow_and_end() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        queue.push(name("a"));
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let popped = queue.pop(now).expect("it is due");
            queue.done(popped, Outcome::Retry, now);
            assert_eq!(queue.pop(now), None);
            let due = queue.next().expect("it comes back");
            pauses.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        // A success forgets them.
        let popped = queue.pop(now).expect("it is due");
        queue.done(popped, Outcome::Settled, now);
        queue.push(name("a"));
        let popped = queue.pop(now).expect("it was put in");
        queue.done(popped, Outcome::Retry, now);
        assert_eq!(queue.next(), Some(now + FIRST));
    }
}
