//! Why something passes between two ends, or nothing does.

use netpol_policy::evaluate::{Decision, Endpoint, Flow, Lack, RuleRef};
use netpol_policy::model::{Direction, Ports, Protocol, Traffic};

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
        let verdict = evaluator.verdict(&Flow::new(from, to, typical(to)));
        let decision = match direction {
            Direction::Ingress => verdict.ingress,
            Direction::Egress => verdict.egress,
        };
        match decision {
            Decision::Exempt(exemption) => exemption.to_string(),
            Decision::Denied { closest: Some(miss), .. } => {
                let peer = |lack: &&Lack<'_>| {
                    !matches!(
                        lack,
                        Lack::Port(_) | Lack::Protocol(_) | Lack::NoPorts | Lack::PortNotDeclared(_)
                    )
                };
                let lacks: Vec<_> = miss.lacks.iter().filter(peer).map(ToString::to_string).collect();
                let place = self.place(&miss.at);
                format!(
                    "no rule means this peer; closest is {} of policy {}{place}, which would need {}",
                    miss.at,
                    miss.at.policy.name,
                    crate::words::list(&lacks)
                )
            }
            Decision::Denied { closest: None, .. } => "nothing that isolates it has a rule".to_owned(),
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

/// Some traffic that a destination might serve; which one hardly matters where no peer matches.
fn typical(to: Endpoint<'_>) -> Traffic {
    let declared = to.as_pod().and_then(|pod| pod.ports.first()).map(|port| (port.protocol, port.port));
    let (protocol, port) =
        declared.unwrap_or((Protocol::Tcp, const { std::num::NonZeroU16::new(80).unwrap() }));
    Traffic::Port(protocol, port)
}
