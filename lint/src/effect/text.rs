//! An effect in lines of text.

use super::{Effect, Flow, Flows, Reach};
use crate::words::list;

/// The most lines for one kind of change.
const LINES: usize = 4;

/// The most names in a line.
const NAMES: usize = 4;

impl Effect {
    /// What the policy says before and after, then who gains and who loses, a line each. Nothing in it is a command to a
    /// terminal.
    pub fn lines(&self) -> Vec<String> {
        let changes = self.changes.iter().map(|change| {
            let (policy, what) = (&self.policy, change.what);
            format!("{policy} {what}: {} → {}", change.before, change.after)
        });
        changes.chain(self.reach.iter().flat_map(Reach::lines)).collect()
    }
}

impl Reach {
    fn lines(&self) -> Vec<String> {
        let mut lines = sentences(&self.beside_others, ["opens", "closes"]);
        if self.alone == self.beside_others {
            return lines;
        }
        if lines.is_empty() {
            lines.push("opens and closes nothing, because of other policies".to_owned());
        }
        lines.extend(sentences(
            &self.alone,
            ["without other policies: opens", "without other policies: closes"],
        ));
        lines
    }
}

fn sentences(flows: &Flows, [opens, closes]: [&str; 2]) -> Vec<String> {
    let mut lines = Vec::new();
    for (verb, flows) in [(opens, &flows.opens), (closes, &flows.closes)] {
        lines.extend(flows.iter().take(LINES).map(|flow| sentence(verb, flow)));
        if flows.len() > LINES {
            lines.push(format!("{verb} {} more", flows.len() - LINES));
        }
    }
    lines
}

fn sentence(verb: &str, Flow { from, to, ports }: &Flow) -> String {
    let ports = if ports == "all" { "every port" } else { ports };
    format!("{verb} {ports} from {} to {}", names(from), names(to))
}

fn names(all: &[String]) -> String {
    if all.len() <= NAMES + 1 {
        return list(all);
    }
    format!("{} and {} more", all[..NAMES].join(", "), all.len() - NAMES)
}
