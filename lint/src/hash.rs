//! Maps that rules ask some hundred times about each policy: with the usual hash function that was a seventh of all work.

use foldhash::fast::RandomState;

/// Its seed differs from process to process, so that nobody can choose keys that meet.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// The same for sets.
pub(crate) type HashSet<T> = std::collections::HashSet<T, RandomState>;
