//! What a rule is.

use netpol_policy::syntax::SyntaxError;

use crate::context::{Context, ObjectContext, Reporter};
use crate::finding::{FixAvailability, Severity};

/// A rule of the catalogue.
pub struct Rule {
    /// Stable code, such as `NP101`.
    pub code: &'static str,
    /// Name in kebab case, such as `split-peer-selectors`.
    pub name: &'static str,
    /// The usual severity; a finding may have another.
    pub severity: Severity,
    /// What it needs to see.
    pub scope: Scope,
    /// What fixes it has.
    pub fix: FixAvailability,
    /// The doc comment of its definition, which is its page: see [`Rule::page`].
    pub doc: &'static str,
    /// How it looks.
    pub check: Check,
}

/// How much a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One document.
    Document,
    /// All documents given: workloads, namespaces, other policies.
    Documents,
    /// A live cluster (`--cluster`).
    Cluster,
}

/// What a rule is called for.
#[derive(Clone, Copy)]
pub enum Check {
    /// Every policy.
    Policy(fn(&Context<'_>, &mut Reporter<'_>)),
    /// Every object.
    Object(fn(&ObjectContext<'_>, &mut Reporter<'_>)),
    /// Every document that can't be read.
    Unreadable(fn(&SyntaxError, &mut Reporter<'_>)),
    /// What is left when all others are done: suppressions that they had no use for.
    Suppressions,
}

impl Scope {
    /// What it looks at, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Document => "looks at one document",
            Self::Documents => "looks at all documents given",
            Self::Cluster => "looks at a live cluster (`--cluster`)",
        }
    }
}

impl Rule {
    /// Its page in Markdown.
    pub fn page(&self) -> String {
        // Doc comments keep the space after their slashes.
        self.doc.lines().map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
    }

    /// The page with a title and a line of facts in front.
    pub fn titled_page(&self) -> String {
        let fix = match self.fix {
            FixAvailability::None => "no automatic fix",
            FixAvailability::Safe => "safe fix (`--fix`)",
            FixAvailability::Unsafe => "fix that changes the meaning (`--unsafe-fixes`)",
        };
        format!(
            "# {} {}\n\n{} · {} · {fix}\n\n{}\n",
            self.code,
            self.name,
            self.severity,
            self.scope.words(),
            self.page().trim_end()
        )
    }

    /// A section of its page by its title, without the title.
    pub fn section(&self, title: &str) -> Option<String> {
        let page = self.page();
        let mut sections = page.split("## ").skip(1).filter_map(|section| section.split_once('\n'));
        sections
            .find(|(heading, _)| heading.trim() == title)
            .map(|(_, body)| body.trim_matches('\n').to_owned())
    }

    /// The first sentence of "What it does".
    pub fn summary(&self) -> String {
        let body = self.section("What it does").unwrap_or_default();
        let paragraph = body.split("\n\n").next().unwrap_or_default();
        let text = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        match text.find(". ") {
            Some(end) => text[..=end].to_owned(),
            None => text,
        }
    }

    /// Whether it is on unless told otherwise: every error and warning. Rules that only inform are on request, and so
    /// are those about posture (NP6), which ask for more than Kubernetes does.
    pub fn is_default(&self) -> bool {
        self.severity > Severity::Info && self.group() != "NP6"
    }

    /// Its index in [`RULES`](crate::RULES), which are sorted by code.
    pub fn number(&self) -> Option<usize> {
        crate::registry::RULES.binary_search_by(|known| known.code.cmp(self.code)).ok()
    }

    /// The group of its code: `NP1` of `NP101`.
    pub fn group(&self) -> &'static str {
        &self.code[..3]
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
    }
}

impl Eq for Rule {}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.name)
    }
}

/// Defines the `RULE` of a module. The doc comment in front is both its documentation and its page.
macro_rules! rule {
    (
        $(#[doc = $doc:literal])+
        $code:ident $name:literal {
            severity: $severity:ident,
            scope: $scope:ident,
            fix: $fix:ident,
            check: $kind:ident $(($check:expr))? $(,)?
        }
    ) => {
        $(#[doc = $doc])+
        pub(crate) static RULE: $crate::rule::Rule = $crate::rule::Rule {
            code: stringify!($code),
            name: $name,
            severity: $crate::finding::Severity::$severity,
            scope: $crate::rule::Scope::$scope,
            fix: $crate::finding::FixAvailability::$fix,
            doc: concat!($($doc, "\n"),+),
            check: $crate::rule::Check::$kind $(($check))?,
        };
    };
}

pub(crate) use rule;
