//! Namespaces by their numbers.

use std::sync::Arc;

/// Namespaces by their numbers.
pub(crate) enum Places {
    One(Option<u32>),
    All(Arc<[u32]>),
}

impl Places {
    /// The numbers.
    pub(crate) fn numbers(&self) -> &[u32] {
        match self {
            Self::One(number) => number.as_slice(),
            Self::All(numbers) => numbers,
        }
    }
}

impl IntoIterator for Places {
    type Item = u32;
    type IntoIter = PlacesIter;

    fn into_iter(self) -> PlacesIter {
        PlacesIter { places: self, next: 0 }
    }
}

/// The numbers one by one.
pub(crate) struct PlacesIter {
    places: Places,
    next: usize,
}

impl Iterator for PlacesIter {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let number = self.places.numbers().get(self.next).copied();
        self.next += 1;
        number
    }
}
