//! What a rule has to say about a place, and how to repair it.

use std::fmt;

use netpol_policy::model::{NetworkPolicy, WorkloadName};
use netpol_policy::source::PolicySource;
use netpol_policy::span::Span;
use serde::Serialize;

use crate::effect::Effect;
use crate::rule::Rule;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; shown when its rule is selected.
    Info,
    /// Probably not what was meant.
    Warning,
    /// Refused or dropped by the API server, or certainly not what was meant.
    Error,
}

/// Whether a fix keeps the meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Applicability {
    /// The normalised policy stays the same; this is proven before anything is written.
    Safe,
    /// The meaning changes, presumably to what was meant.
    Unsafe,
}

/// What fixes a rule has to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FixAvailability {
    /// None.
    None,
    /// At least sometimes a safe one.
    Safe,
    /// At least sometimes an unsafe one.
    Unsafe,
}

/// A finding of one rule at one place.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The rule's severity, or the one that the evidence calls for.
    pub severity: Severity,
    /// What is the matter, in a sentence without a full stop.
    pub message: String,
    /// Where.
    pub place: Place,
    /// A few words for the place.
    pub label: Option<String>,
    /// Places that have to do with it.
    pub related: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
    /// JSON path in the object, such as `spec.ingress[0].from[1]`; empty when there is no object.
    pub path: String,
    /// The object; `None` when the document could not be read.
    pub object: Option<ObjectRef>,
    /// The document in its file, from 0.
    pub document: usize,
    /// How to repair it.
    pub fix: Option<Fix>,
}

/// A span of one of the files of a [`crate::Report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Index of the file.
    pub file: usize,
    /// Bytes of its text.
    pub span: Span,
}

/// A place with a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// What is there.
    pub text: String,
}

/// The object that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: &'static str,
    /// Its namespace as written.
    pub namespace: Option<Box<str>>,
    /// Its name as written.
    pub name: Option<Box<str>>,
}

/// A repair.
#[derive(Debug, Clone)]
pub struct Fix {
    /// Whether the meaning stays.
    pub applicability: Applicability,
    /// What it does, as an imperative.
    pub title: String,
    /// Changes of the text; they don't overlap.
    pub edits: Vec<Edit>,
    /// What the policy must mean afterwards, where the rule knows.
    /// A fix that turns out to mean something else is refused.
    pub expected: Option<Box<NetworkPolicy>>,
    /// A policy that it adds behind all others of the file.
    pub added: Option<Box<NetworkPolicy>>,
    /// What it changes, once [`crate::Report::tell_effects`] has been asked.
    pub effect: Option<Box<Effect>>,
}

/// A change of a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// The bytes that go; empty to insert.
    pub span: Span,
    /// What comes instead.
    pub text: String,
}

impl Severity {
    /// All, the worst first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];

    /// In lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl Applicability {
    /// In lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Unsafe => "unsafe",
        }
    }
}

impl Fix {
    /// A fix that keeps the meaning.
    pub fn safe(title: impl Into<String>, edits: impl Into<Vec<Edit>>) -> Self {
        Self {
            applicability: Applicability::Safe,
            title: title.into(),
            edits: edits.into(),
            expected: None,
            added: None,
            effect: None,
        }
    }

    /// A fix that changes the meaning.
    pub fn changing(title: impl Into<String>, edits: impl Into<Vec<Edit>>) -> Self {
        Self { applicability: Applicability::Unsafe, ..Self::safe(title, edits) }
    }

    /// A fix that adds a policy behind all others of the file.
    pub fn adding(title: impl Into<String>, edit: Edit, policy: NetworkPolicy) -> Self {
        Self { added: Some(Box::new(policy)), ..Self::changing(title, [edit]) }
    }

    /// Says what the policy must mean afterwards.
    #[must_use]
    pub fn expecting(mut self, policy: Option<NetworkPolicy>) -> Self {
        self.expected = policy.map(Box::new);
        self
    }
}

impl Edit {
    /// Puts a text where nothing goes.
    pub fn insert(at: u32, text: impl Into<String>) -> Self {
        Self { span: Span::new(at, at), text: text.into() }
    }

    /// Puts a text in the place of another.
    pub fn replace(span: Span, text: impl Into<String>) -> Self {
        Self { span, text: text.into() }
    }

    /// Takes a text away.
    pub fn delete(span: Span) -> Self {
        Self { span, text: String::new() }
    }
}

impl ObjectRef {
    /// A policy.
    pub(crate) fn of(policy: &PolicySource) -> Self {
        Self {
            kind: "NetworkPolicy",
            namespace: policy.metadata.namespace.as_ref().map(|name| name.value.clone()),
            name: policy.metadata.name.as_ref().map(|name| name.value.clone()),
        }
    }

    /// A namespace.
    pub(crate) fn of_namespace(name: &str) -> Self {
        Self { kind: "Namespace", namespace: None, name: Some(name.into()) }
    }

    /// A pod or a workload.
    pub(crate) fn of_workload(name: &WorkloadName) -> Self {
        Self {
            kind: name.kind.as_str(),
            namespace: Some(name.namespace.clone()),
            name: Some(name.name.clone()),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
