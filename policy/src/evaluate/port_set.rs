//! Sets of port numbers.

use std::fmt;

/// A set of ports: closed ranges, sorted, apart from each other by at least one port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct PortSet(Vec<(u16, u16)>);

impl PortSet {
    /// No port.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every port, 1 to 65535.
    pub fn all() -> Self {
        Self(vec![(1, u16::MAX)])
    }

    /// Adds a closed range.
    pub fn insert(&mut self, first: u16, last: u16) {
        let (mut first, mut last) = (first, last);
        self.0.retain(|&(a, b)| {
            let apart = b.saturating_add(1) < first || last.saturating_add(1) < a;
            if !apart {
                first = first.min(a);
                last = last.max(b);
            }
            apart
        });
        let at = self.0.partition_point(|&(a, _)| a < first);
        self.0.insert(at, (first, last));
    }

    /// The ports in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut i, mut j, mut out) = (0, 0, Vec::new());
        while let (Some(&(a, b)), Some(&(c, d))) = (self.0.get(i), other.0.get(j)) {
            if a.max(c) <= b.min(d) {
                out.push((a.max(c), b.min(d)));
            }
            if b < d { i += 1 } else { j += 1 }
        }
        Self(out)
    }

    /// The ports in one of them.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for &(first, last) in &other.0 {
            all.insert(first, last);
        }
        all
    }

    /// The ports that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut gaps = Vec::with_capacity(other.0.len() + 1);
        let mut next = Some(0);
        for &(first, last) in &other.0 {
            gaps.extend(next.filter(|next| *next < first).map(|next| (next, first - 1)));
            next = last.checked_add(1);
        }
        gaps.extend(next.map(|next| (next, u16::MAX)));
        self.intersection(&Self(gaps))
    }

    /// Whether it has a port.
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|&(a, b)| (a..=b).contains(&port))
    }

    /// Whether it has every port of a closed range.
    pub fn contains_range(&self, first: u16, last: u16) -> bool {
        self.0.iter().any(|&(a, b)| a <= first && last <= b)
    }

    /// True for no port.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True for every port.
    pub fn is_all(&self) -> bool {
        self.0 == [(1, u16::MAX)]
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }
}

/// `80,8000-8100`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}-{last}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn insert_and_intersect_are_set_operations(
            left in prop::collection::vec((1u16..60, 0u16..9), 0..12),
            right in prop::collection::vec((1u16..60, 0u16..9), 0..12),
        ) {
            let build = |ranges: &[(u16, u16)]| {
                let mut set = PortSet::none();
                ranges.iter().for_each(|&(first, more)| set.insert(first, first + more));
                set
            };
            let has = |ranges: &[(u16, u16)], port| ranges.iter().any(|&(a, n)| (a..=a + n).contains(&port));
            let (a, b) = (build(&left), build(&right));
            let (both, rest) = (a.intersection(&b), a.difference(&b));
            for port in 1..80 {
                prop_assert_eq!(a.contains(port), has(&left, port));
                prop_assert_eq!(both.contains(port), has(&left, port) && has(&right, port));
                prop_assert_eq!(rest.contains(port), has(&left, port) && !has(&right, port));
            }
            prop_assert!(a.ranges().windows(2).all(|w| w[0].1 + 1 < w[1].0));
        }
    }

    #[test]
    fn ends() {
        let mut set = PortSet::none();
        set.insert(1, 65534);
        assert!(!set.is_all());
        assert_eq!(PortSet::all().difference(&set).ranges(), [(65535, 65535)]);
        set.insert(65535, 65535);
        assert!(set.is_all());
        assert!(set.difference(&PortSet::all()).is_empty());
        assert!(set.difference(&PortSet::none()).is_all());
    }
}
