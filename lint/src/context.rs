//! What a rule is given, and where it puts what it finds.

use std::cell::OnceCell;

use netpol_policy::model::{Direction, EntryPoint, Pod};
use netpol_policy::source::{
    Item, Object, PeerSource, PolicySource, Problem, ProblemKind, RuleSource, SpecSource,
};
use netpol_policy::span::Span;

use crate::file::SourceFile;
use crate::finding::{Finding, Fix, Label, ObjectRef, Place, Severity};
use crate::index::Index;
use crate::places::Places;
use crate::policies::Policies;
use crate::rule::Rule;
use crate::rules::dangling::Dangling;
use crate::select::Selection;
use crate::settings::Settings;

/// One policy with all that is known around it.
pub struct Context<'a> {
    /// The file that it is in.
    pub file: &'a SourceFile,
    /// The policy.
    pub policy: &'a PolicySource,
    /// Everything that was given.
    pub index: &'a Index<'a>,
    /// The rules that are on in the file.
    pub selection: &'a Selection,
    /// What the configuration says.
    pub settings: &'a Settings,
    /// Where the workloads of the given files are.
    pub places: &'a Places<'a>,
    /// All policies that are known, this one among them.
    pub policies: &'a Policies<'a>,
    /// Its rules.
    pub rules: &'a RulesAt<'a>,
}

/// The rules of a policy with their places, which nearly every rule of the linter asks for.
pub struct RulesAt<'a> {
    all: Vec<RuleAt<'a>>,
    /// Whether the policy isolates ingress, egress.
    isolated: [bool; 2],
    /// Its peers that match nothing, once some rule has asked.
    pub(crate) dangling: OnceCell<Vec<Dangling<'a>>>,
}

/// One object of any kind with all that is known around it.
pub struct ObjectContext<'a> {
    /// The file that it is in.
    pub file: &'a SourceFile,
    /// The object.
    pub object: &'a Object,
    /// Everything that was given.
    pub index: &'a Index<'a>,
    /// What the configuration says.
    pub settings: &'a Settings,
    /// Where the workloads of the given files are.
    pub places: &'a Places<'a>,
}

/// A rule of the policy with its place.
#[derive(Clone, Copy)]
pub struct RuleAt<'a> {
    /// The direction of its list.
    pub direction: Direction,
    /// Its index in the list.
    pub index: usize,
    /// The item of the list.
    pub item: &'a Item<RuleSource>,
    /// Its content.
    pub rule: &'a RuleSource,
    /// Some of the text around it is shared with other places: it can't be edited.
    pub shared: bool,
}

/// A peer of the policy with its place.
#[derive(Clone, Copy)]
pub struct PeerAt<'a> {
    /// The rule that it is in.
    pub rule: RuleAt<'a>,
    /// Its index in the list.
    pub index: usize,
    /// The item of the list.
    pub item: &'a Item<PeerSource>,
    /// Its content.
    pub peer: &'a PeerSource,
}

impl<'a> Context<'a> {
    /// `spec`, when it is there.
    pub fn spec(&self) -> Option<&'a SpecSource> {
        self.policy.spec.value()
    }

    /// The problems of some kind.
    pub fn problems(&self, kind: ProblemKind) -> impl Iterator<Item = &'a Problem> + use<'a> {
        self.policy.problems.iter().filter(move |problem| problem.kind == kind)
    }

    /// Every rule of both directions.
    pub fn rules(&self) -> impl Iterator<Item = RuleAt<'a>> + use<'a> {
        self.rules.all.iter().copied()
    }

    /// Every rule that has an effect: of the directions that the policy isolates.
    pub fn effective_rules(&self) -> impl Iterator<Item = RuleAt<'a>> + use<'a> {
        let isolated = self.rules.isolated;
        self.rules().filter(move |rule| isolated[usize::from(rule.direction == Direction::Egress)])
    }

    /// Every peer of both directions that has an effect.
    pub fn effective_peers(&self) -> impl Iterator<Item = PeerAt<'a>> + use<'a> {
        self.effective_rules().flat_map(RuleAt::peers)
    }

    /// Whether the policy isolates a direction: listed in `policyTypes`, or by default.
    pub fn isolates(&self, direction: Direction) -> bool {
        self.rules.isolated[usize::from(direction == Direction::Egress)]
    }

    /// `policyTypes` absent, null or empty: the API server fills in the default.
    pub fn has_default_policy_types(&self) -> bool {
        self.spec().is_some_and(|spec| match &spec.policy_types {
            netpol_policy::source::Slot::Absent | netpol_policy::source::Slot::Null(_) => true,
            slot => slot.value().is_some_and(|list| list.items.is_empty()),
        })
    }

    /// The policy's namespace when it is written.
    pub fn written_namespace(&self) -> Option<&'a str> {
        self.policy.metadata.namespace.as_ref().map(|name| &*name.value)
    }
}

impl<'a> RulesAt<'a> {
    /// Those of a policy.
    pub fn of(policy: &'a PolicySource) -> Self {
        let spec = policy.spec.present();
        let rules = |direction| spec.and_then(|spec| spec.value.rules(direction).present());
        let count =
            Direction::ALL.map(|direction| rules(direction).map_or(0, |field| field.value.items.len()));
        let mut all = Vec::with_capacity(count.iter().sum());
        for direction in Direction::ALL {
            let (Some(spec), Some(field)) = (spec, rules(direction)) else { continue };
            let shared = spec.shared || field.shared;
            all.extend(field.value.items.iter().enumerate().filter_map(|(index, item)| {
                let rule = item.value.as_ref()?;
                Some(RuleAt { direction, index, item, rule, shared: shared || item.shared })
            }));
        }
        let isolated = Direction::ALL.map(|direction| isolates(policy, direction));
        Self { all, isolated, dangling: OnceCell::new() }
    }
}

fn isolates(policy: &PolicySource, direction: Direction) -> bool {
    let Some(spec) = policy.spec.value() else { return direction == Direction::Ingress };
    let types = spec.policy_types.value().map(|list| list.items.as_slice()).unwrap_or_default();
    if types.is_empty() {
        return direction == Direction::Ingress
            || spec.egress.value().is_some_and(|list| !list.items.is_empty());
    }
    types.iter().any(|item| item.value.as_deref() == Some(direction.policy_type()))
}

impl<'a> RuleAt<'a> {
    /// Its JSON path: `spec.ingress[0]`.
    pub fn path(&self) -> String {
        ["spec.", self.direction.field(), "[", &self.index.to_string(), "]"].concat()
    }

    /// The JSON path of its peers: `spec.ingress[0].from`.
    pub fn peers_path(&self) -> String {
        self.path() + "." + self.direction.peer_field()
    }

    /// Its peers.
    pub fn peers(self) -> impl Iterator<Item = PeerAt<'a>> {
        let items = self.rule.peers.value().map(|list| list.items.as_slice()).unwrap_or_default();
        items.iter().enumerate().filter_map(move |(index, item)| {
            Some(PeerAt { rule: self, index, item, peer: item.value.as_ref()? })
        })
    }

    /// Its place in a few characters: the dash and the first key, or the first characters.
    pub fn head(&self, file: &SourceFile) -> Span {
        head(file, self.item.dash, self.item.span)
    }
}

impl PeerAt<'_> {
    /// Its JSON path: `spec.ingress[0].from[1]`.
    pub fn path(&self) -> String {
        self.rule.peers_path() + "[" + &self.index.to_string() + "]"
    }

    /// Its place in a few characters: the dash and the first key, or the first characters.
    pub fn head(&self, file: &SourceFile) -> Span {
        head(file, self.item.dash, self.item.span)
    }
}

/// From the dash to the first key; in flow style to the end when that is on the same line.
pub(crate) fn head(file: &SourceFile, dash: Option<Span>, span: Span) -> Span {
    let text = file.slice(span);
    let key = text.find([':', '\n', '\r']).unwrap_or(text.len());
    let line = text.find(['\n', '\r']).unwrap_or(text.len());
    let end = span.start + if text.starts_with('{') { line } else { key } as u32;
    match dash {
        // The value of an alias is elsewhere, perhaps in another item.
        Some(dash) if span.start < dash.end => dash,
        Some(dash) if !file.slice(Span::new(dash.start, span.start)).contains('\n') => {
            Span::new(dash.start, end)
        }
        _ => Span::new(span.start, end),
    }
}

/// Takes what one rule finds in one document.
pub struct Reporter<'a> {
    pub(crate) rule: &'static Rule,
    pub(crate) file: usize,
    pub(crate) document: usize,
    pub(crate) object: Option<&'a ObjectRef>,
    pub(crate) findings: &'a mut Vec<Finding>,
}

impl Reporter<'_> {
    /// Adds a finding; the methods of what it returns say more about it.
    pub fn report(
        &mut self,
        span: Span,
        path: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.findings.push(Finding {
            rule: self.rule,
            severity: self.rule.severity,
            message: message.into(),
            place: Place { file: self.file, span },
            label: None,
            related: Vec::new(),
            help: None,
            path: path.into(),
            object: self.object.cloned(),
            document: self.document,
            fix: None,
        });
        self.findings.last_mut().expect("pushed just now")
    }

    /// Adds what the API server would say.
    pub fn problem(&mut self, problem: &Problem) -> &mut Finding {
        let finding = self.report(problem.span, &*problem.path, &*problem.message);
        finding.help = problem.help.as_deref().map(str::to_owned);
        finding
    }
}

impl Finding {
    /// A few words for its place.
    pub fn label(&mut self, text: impl Into<String>) -> &mut Self {
        self.label = Some(text.into());
        self
    }

    /// Another place in the same file.
    pub fn near(&mut self, span: Span, text: impl Into<String>) -> &mut Self {
        self.related.push(Label { place: Place { file: self.place.file, span }, text: text.into() });
        self
    }

    /// A workload, which may be in another file; nothing when no file that was given has it.
    pub fn at_workload(&mut self, cx: &Context<'_>, pod: &Pod, text: impl Into<String>) -> &mut Self {
        if let Some(place) = cx.places.of(&pod.name) {
            self.related.push(Label { place, text: text.into() });
        }
        self
    }

    /// A backend of an entry point, which may be in another file; nothing when no file that was given has it.
    pub fn at_backend(
        &mut self,
        cx: &Context<'_>,
        entry: &EntryPoint,
        backend: usize,
        text: impl Into<String>,
    ) -> &mut Self {
        if let Some(place) = cx.places.of_backend(entry, backend) {
            self.related.push(Label { place, text: text.into() });
        }
        self
    }

    /// What to do about it.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// Another severity than the rule's.
    pub fn severity(&mut self, severity: Severity) -> &mut Self {
        self.severity = severity;
        self
    }

    /// How to repair it, if there is a way.
    pub fn fix(&mut self, fix: Option<Fix>) -> &mut Self {
        self.fix = fix;
        self
    }
}
