//! What a policy does, in plain words.
//!
//! [`Explainer::explain`] says of a policy which pods it is about, in which direction it isolates them, who may connect on
//! which ports, what stays open, and which of the common misreadings it invites. Where workloads are given, it names them.

mod facts;
mod json;
pub mod markdown;
mod notes;
mod ports;
mod side;
mod subject;
mod text;
mod words;

pub use facts::{Explainer, Known};
pub use json::write as write_json;
pub use notes::Note;
pub use side::{Allowed, Peer, Side};
pub use subject::Subject;
pub use text::write as write_text;

use netpol_policy::model::{Direction, ObjectName};
use netpol_policy::source::PolicySource;

use crate::finding::Finding;

/// A policy in words. Sentences have no full stop where they are parts of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Namespace and name; `None` when the policy has no valid name.
    pub name: Option<ObjectName>,
    /// What it does, or why it does nothing.
    pub effect: Effect,
}

/// What a policy does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The API server would reject it; why, in a sentence.
    Rejected(String),
    /// It is stored, and means this.
    Stored(Box<Meaning>),
}

/// The meaning of a policy in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// The pods that it is about.
    pub subject: Subject,
    /// Connections to those pods.
    pub ingress: Side,
    /// Connections from those pods.
    pub egress: Side,
    /// What is open besides or in spite of the policy, a sentence each.
    pub still_open: Vec<String>,
    /// What readers often get wrong, as far as this policy invites it.
    pub notes: Vec<Note>,
}

impl Meaning {
    /// One direction.
    pub fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// An explanation with where the policy stands and what was found in it.
#[derive(Debug)]
pub struct Entry<'f> {
    /// The file.
    pub file: &'f crate::SourceFile,
    /// The policy as written.
    pub policy: &'f PolicySource,
    /// In words.
    pub explanation: Explanation,
    /// What rules say about it.
    pub findings: Vec<&'f Finding>,
}

impl Entry<'_> {
    /// Where the name of the policy stands: line and column, from 1.
    pub fn position(&self) -> netpol_policy::syntax::Position {
        let span = self.policy.metadata.name.as_ref().map_or(self.policy.kind, |name| name.span);
        self.file.position(span.start)
    }

    /// The line of a rule, from 1.
    pub fn rule_line(&self, direction: Direction, index: usize) -> Option<u32> {
        let list = self.policy.spec.value()?.rules(direction).value()?;
        let item = list.items.get(index)?;
        Some(self.file.position(item.dash.unwrap_or(item.span).start).line)
    }

    /// `namespace/name`, or what is known of it.
    pub fn title(&self) -> String {
        let metadata = &self.policy.metadata;
        let title = match (&self.explanation.name, &metadata.namespace, &metadata.name) {
            (Some(name), ..) => return name.to_string(),
            (None, Some(namespace), Some(name)) => format!("{}/{}", namespace.value, name.value),
            (None, None, Some(name)) => name.value.to_string(),
            (None, _, None) => "a policy without a name".to_owned(),
        };
        crate::output::printable::one_line(&title).into_owned()
    }
}
