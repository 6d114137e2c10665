//! Connections put together: the same ports between the same ends.

use std::collections::{BTreeMap, BTreeSet};

use netpol_policy::evaluate::Connections;
use serde::Serialize;

/// What becomes possible, and what no longer is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Flows {
    /// Allowed after, not before.
    pub opens: Vec<Flow>,
    /// Allowed before, not after.
    pub closes: Vec<Flow>,
}

/// Connections from any of some ends to any of some others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Flow {
    /// Workloads as `namespace/Kind/name`, or blocks of addresses outside.
    pub from: Vec<String>,
    /// The same.
    pub to: Vec<String>,
    /// `all`, or such as `TCP 80,8000-8100; UDP 53; ICMP and others`.
    pub ports: String,
}

/// Pairs of ends with what changes between them.
#[derive(Default)]
pub(super) struct Pairs {
    opens: Between,
    closes: Between,
}

/// By destination and ports, the sources.
type Between = BTreeMap<(String, Connections), BTreeSet<String>>;

impl Pairs {
    pub(super) fn add(&mut self, from: &str, to: &str, before: &Connections, after: &Connections) {
        for (all, change) in
            [(&mut self.opens, after.difference(before)), (&mut self.closes, before.difference(after))]
        {
            if !change.is_none() {
                all.entry((to.to_owned(), change)).or_default().insert(from.to_owned());
            }
        }
    }

    pub(super) fn group(self) -> Flows {
        Flows { opens: group(self.opens), closes: group(self.closes) }
    }
}

impl Flows {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.opens.is_empty() && self.closes.is_empty()
    }
}

fn group(between: Between) -> Vec<Flow> {
    let mut by_sources = BTreeMap::<_, Vec<String>>::new();
    for ((to, ports), from) in between {
        by_sources.entry((from, ports)).or_default().push(to);
    }
    let flow = |((from, ports), to): ((BTreeSet<String>, Connections), Vec<String>)| Flow {
        from: from.into_iter().collect(),
        to,
        ports: ports.to_string(),
    };
    by_sources.into_iter().map(flow).collect()
}
