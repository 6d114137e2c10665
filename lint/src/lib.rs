//! A linter for Kubernetes NetworkPolicies.
//!
//! A NetworkPolicy that is valid may still not say what its author meant: one dash too many turns an AND into an OR,
//! an empty list opens what was to be closed. This crate finds such places, explains them and repairs many of them.
//!
//! - [`check_text`] looks at one text, [`check()`] at many with everything they say about each other.
//! - [`Rule`] and [`RULES`] are the catalogue; a rule's doc comment is its page.
//! - [`fix`] applies what [`Fix`] suggests and proves that safe fixes change no meaning.
//! - [`explain`] says in plain words what a policy does.
//! - [`reach`] answers whether somebody reaches somebody, and why.
//! - [`matrix`] tells who reaches whom among everyone given.
//! - [`server`] is the language server.
//! - [`cli`] is the command `netpol-lint`.
//!
//! ```
//! use netpol_lint::{Settings, check_text};
//!
//! let text = "
//! apiVersion: networking.k8s.io/v1
//! kind: NetworkPolicy
//! metadata: {name: deny, namespace: shop}
//! spec:
//!   podSelector: {}
//!   policyTypes: [Ingress]
//!   ingress:
//!     - from: []
//! ";
//! let report = check_text("deny.yaml", text, &Settings::default());
//! assert_eq!(report.findings[0].rule.code, "NP103");
//! ```

#![forbid(unsafe_code)]

mod baseline;
mod check;
pub mod cli;
pub mod config;
mod context;
mod edits;
pub mod effect;
pub mod explain;
pub mod facts;
mod file;
mod finding;
pub mod fix;
mod hash;
mod index;
pub mod input;
#[cfg(feature = "cluster")]
pub mod live;
pub mod matrix;
pub mod output;
mod pieces;
mod places;
mod policies;
pub mod reach;
mod registry;
mod rule;
mod rules;
mod select;
pub mod server;
mod settings;
mod slip;
mod suppress;
mod words;

pub use baseline::{Baseline, BaselineError};
pub use check::{Report, check, check_stored, check_text};
pub use context::{Context, ObjectContext, Reporter};
pub use file::SourceFile;
pub use finding::{Applicability, Edit, Finding, Fix, FixAvailability, Label, ObjectRef, Place, Severity};
pub use index::{Index, Listening, Target};
pub use places::Places;
pub use policies::{KnownPolicy, Policies};
pub use registry::{RULES, find_rule};
pub use rule::{Check, Rule, Scope};
pub use select::{RuleSelector, Selection, UnknownSelector};
pub use settings::{
    ExternalError, ExternalNamespaces, ExternalPods, Pattern, PatternError, Patterns, PerFileIgnores,
    Settings, Severities,
};
pub use suppress::add::{WithIgnores, add_ignores};
pub use suppress::{Suppressed, SuppressedBy};
