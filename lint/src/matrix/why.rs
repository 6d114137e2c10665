//! Why something passes between two ends, or nothing does.

use netpol_policy::evaluate::{Decision, Flow, RuleRef};
use netpol_policy::model::{Direction, Ports, Traffic};

use super::Matrix;
use crate::file::SourceFile;
use crate::reach::Places;

/// The most rules that are named for one end.
const MOST: usize = 4;

/// Explains cells of a matrix.
pub(super) struct Why<'m, 'e, 'c> {
    matrix: &'m Matrix<'e, 'c>,
    places: Places<'m>,
}

impl<'m, 'e, 'c> Why<'m, 'e, 'c> {
    pub(super) fn new(matrix: &'m Matrix<'e, 'c>, files: &'m [SourceFile]) -> Self {
        Self { matrix, places: Places::new(files) }
    }

    /// What isolates an end in a direction; `None` when nothing does.
    pub(super) fn isolation(&self, end: usize, direction: Direction) -> Option<String> {
        let pod = self.matrix.ends[end].endpoint.as_pod()?;
        let isolation = self.matrix.evaluator.isolation(pod, direction);
        let names: Vec<_> = isolation.iter().map(ToString::to_string).collect();
        (!names.is_empty()).then(|| crate::words::list(&names))
    }

    /// What one end says about another, when something isolates it: the rules that let it, an exemption, or the rule
    /// that came closest.
    pub(super) fn side(&self, source: usize, destination: usize, direction: Direction) -> String {
        let (from, to) = (self.matrix.ends[source].endpoint, self.matrix.ends[destination].endpoint);
        let evaluator = self.matrix.evaluator;
        let rules = evaluator.matching_rules(from, to, direction);
        if !rules.is_empty() {
            let mut lines: Vec<_> = rules.iter().take(MOST).map(|rule| self.rule(rule)).collect();
            if rules.len() > MOST {
                lines.push(format!("and {} more rules", rules.len() - MOST));
            }
            return lines.join("\n");
        }
        if let Some(miss) = evaluator.closest_rule(from, to, direction) {
            let lacks: Vec<_> = miss.lacks.iter().map(ToString::to_string).collect();
            let (policy, place, lacks) =
                (&miss.at.policy.name, self.place(&miss.at), crate::words::list(&lacks));
            return format!(
                "no rule means this peer; closest is {} of policy {policy}{place}, which would need {lacks}",
                miss.at
            );
        }
        // Exemptions and isolation don't depend on what is asked for.
        let verdict = evaluator.verdict(&Flow::new(from, to, Traffic::Icmp));
        let decision = match direction {
            Direction::Ingress => verdict.ingress,
            Direction::Egress => verdict.egress,
        };
        match decision {
            Decision::Exempt(exemption) => exemption.to_string(),
            Decision::Denied { .. } => "nothing that isolates it has a rule".to_owned(),
            Decision::Allowed { .. } | Decision::NotIsolated => String::new(),
        }
    }

    fn rule(&self, rule: &RuleRef<'c>) -> String {
        let content = rule.policy.rules(rule.direction).and_then(|rules| rules.get(rule.rule));
        let ports = match content.map(|content| &content.ports) {
            Some(Ports::Only(items)) => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Some(Ports::All) | None => "everything".to_owned(),
        };
        format!("{rule} of policy {}{} allows {ports}", rule.policy.name, self.place(rule))
    }

    fn place(&self, rule: &RuleRef<'_>) -> String {
        self.places.peer(rule).map(|at| format!(" ({at})")).unwrap_or_default()
    }
}
