//! The table at the end.

use std::fmt;

use anyhow::Result;

use super::style;
use crate::cluster::running::RunningCluster;
use crate::probe::Outcome;
use crate::scenario::Verdict;
use crate::scenario::flow::{Destination, Flow, Source};

pub(super) struct Report {
    rows: Vec<Row>,
}

/// One pair of pods, by pod address and by Service.
struct Row {
    from: String,
    to: String,
    pod: Option<Cell>,
    service: Option<Cell>,
}

struct Cell {
    before: [Outcome; 2],
    after: [Outcome; 2],
    expected: Verdict,
}

impl Report {
    pub(super) fn new(
        running: &RunningCluster,
        flows: &[Flow],
        before: &[[Outcome; 2]],
        after: &[[Outcome; 2]],
        expected: impl Fn(&Flow) -> Result<Verdict>,
    ) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for ((flow, before), after) in flows.iter().zip(before).zip(after) {
            let Source::Pod(from) = &flow.source else { continue };
            let Ok(expected) = expected(flow) else { continue };
            for (pod, _) in flow.pods_behind(&running.cluster) {
                let (from, to) = (name(from), name(&pod));
                let index =
                    rows.iter().position(|row| row.from == from && row.to == to).unwrap_or_else(|| {
                        rows.push(Row { from: from.to_owned(), to: to.to_owned(), pod: None, service: None });
                        rows.len() - 1
                    });
                let row = &mut rows[index];
                let cell = Some(Cell { before: before.clone(), after: after.clone(), expected });
                match &flow.destination {
                    Destination::Service(..) => row.service = cell,
                    _ => row.pod = cell,
                }
            }
        }
        rows.sort_by_key(|row| (rank(&row.from), rank(&row.to)));
        Self { rows }
    }

    pub(super) fn is_as_expected(&self) -> bool {
        self.cells().count() == 2 * self.rows.len() && self.cells().all(Cell::is_as_expected)
    }

    pub(super) fn conclusion(&self) -> String {
        let wrong = self.cells().filter(|cell| !cell.is_as_expected()).count();
        if wrong > 0 || !self.is_as_expected() {
            return style::bad(&format!("{wrong} flows are not as expected."));
        }
        let closed =
            |row: &&Row| row.pod.iter().chain(&row.service).all(|cell| cell.expected == Verdict::Closed);
        let closed = self.rows.iter().filter(closed).map(|row| format!("{} -> {}", row.from, row.to));
        style::good(&format!(
            "{} is closed by pod address and by Service, backend -> db is open, all else is unchanged: as expected.",
            closed.collect::<Vec<_>>().join(", ")
        ))
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.rows.iter().flat_map(|row| row.pod.iter().chain(&row.service))
    }
}

impl Cell {
    fn is_as_expected(&self) -> bool {
        let connected = |outcome: &Outcome| matches!(outcome, Outcome::Connected(_));
        let after = self.after.iter().all(|outcome| match self.expected {
            Verdict::Open => connected(outcome),
            Verdict::Closed => *outcome == Outcome::TimedOut,
        });
        after && self.before.iter().all(connected)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = "─".repeat(79);
        writeln!(f, "  {:<10} {:<9}  {:<27}  by Service", "from", "to", "by pod address")?;
        writeln!(f, "  {:<10} {:<9}  {:<12} {:<13}  {:<12} after", "", "", "before", "after", "before")?;
        writeln!(f, "  {line}")?;
        for row in &self.rows {
            write!(f, "  {:<10} {:<9}", row.from, row.to)?;
            for (cell, last) in [(&row.pod, 13), (&row.service, 0)] {
                match cell {
                    Some(cell) => write!(f, "  {} {}", state(&cell.before, 12), state(&cell.after, last))?,
                    None => write!(f, "  {:<27}", "-")?,
                }
            }
            writeln!(f)?;
        }
        writeln!(f, "  {line}")
    }
}

/// The outcome in a word or two, padded first and coloured then. Where IPv4 and IPv6 differ, both are named.
fn state(outcomes: &[Outcome; 2], width: usize) -> String {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Connected(_) => "connected".to_owned(),
        other => other.to_string(),
    };
    let [v4, v6] = outcomes;
    let text = if word(v4) == word(v6) { word(v4) } else { format!("v4 {}, v6 {}", word(v4), word(v6)) };
    let padded = format!("{text:<width$}");
    if matches!((v4, v6), (Outcome::Connected(_), Outcome::Connected(_))) {
        style::good(&padded)
    } else {
        style::bad(&padded)
    }
}

fn name(key: &str) -> &str {
    key.strip_prefix("default/").unwrap_or(key)
}

/// The tiers in their own order.
fn rank(name: &str) -> usize {
    ["frontend", "backend", "db"].iter().position(|tier| *tier == name).unwrap_or(usize::MAX)
}
