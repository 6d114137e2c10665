//! Merge keys: `<<: *defaults`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::{Builder, Data, Fault, ScalarStyle, SyntaxErrorKind, Tag, fault, narrow, scalar};

pub(super) fn is_merge_key(data: &Data<'_>) -> bool {
    matches!(data, Data::Scalar { text, style: ScalarStyle::Plain, tag: Tag::None | Tag::Text } if *text == "<<")
}

impl Builder<'_> {
    /// Writes the pairs of a mapping with merge keys, which are pending from `first`: its own, then the merged.
    /// Returns how many there are of each.
    ///
    /// As in Kubernetes' reader, what a mapping says itself counts only if it stands after the merge key; the YAML
    /// specification doesn't care where the merge key stands. In a list of sources the first counts.
    pub(super) fn merge(&mut self, first: usize) -> Result<(u32, u32), Fault> {
        let (mut own, mut merges) = (Vec::new(), Vec::new());
        for (index, &(key, value)) in self.pending[first..].iter().enumerate() {
            if is_merge_key(&self.nodes[key as usize].data) {
                merges.push((index, value));
            } else {
                own.push((index, (key, value)));
            }
        }
        let last_own: HashMap<_, usize> =
            own.iter().map(|(index, (key, _))| (self.key(*key), *index)).collect();
        let mut brought = Vec::new();
        for (index, value) in merges {
            // Each later one goes over those before it.
            for source in self.sources(value)?.into_iter().rev() {
                let Data::Mapping { first, own, merged, .. } = self.nodes[source as usize].data else {
                    continue;
                };
                let pairs = &self.pairs[first as usize..(first + own + merged) as usize];
                brought.extend(
                    pairs
                        .iter()
                        .copied()
                        .filter(|(key, _)| last_own.get(&self.key(*key)).is_none_or(|own| *own < index)),
                );
            }
        }
        let mut seen = HashSet::new();
        let mut merged: Vec<_> =
            brought.into_iter().rev().filter(|(key, _)| seen.insert(self.key(*key))).collect();
        merged.reverse();
        let counts = (narrow(own.len()), narrow(merged.len()));
        self.pairs.extend(own.into_iter().map(|(_, pair)| pair));
        self.pairs.extend(merged);
        Ok(counts)
    }

    /// The mappings that the value of a merge key names.
    fn sources(&self, value: u32) -> Result<Vec<u32>, Fault> {
        let target = self.target(value);
        let sources = match self.nodes[target as usize].data {
            Data::Mapping { .. } => Some(vec![target]),
            // Kubernetes' reader takes a list here, but none by an alias.
            Data::Sequence { first, len, .. } if target == value => {
                let items = &self.pairs[first as usize..(first + len) as usize];
                Some(items.iter().map(|(_, id)| self.target(*id)).collect())
            }
            _ => None,
        };
        let is_mapping = |id: &u32| matches!(self.nodes[*id as usize].data, Data::Mapping { .. });
        sources.filter(|sources| sources.iter().all(is_mapping)).ok_or_else(|| {
            let span = self.nodes[value as usize].span;
            let message = "a merge key needs a mapping or a list of mappings";
            fault(SyntaxErrorKind::Merge, span, message, "quote `<<` if it is meant as a plain key")
        })
    }

    fn target(&self, id: u32) -> u32 {
        match self.nodes[id as usize].data {
            Data::Alias { target } => target,
            _ => id,
        }
    }

    fn key(&self, id: u32) -> Cow<'_, str> {
        match &self.nodes[self.target(id) as usize].data {
            Data::Scalar { text, style, tag } => scalar::key_text(scalar::resolve(text, *style, *tag)),
            _ => Cow::Borrowed(""),
        }
    }
}
