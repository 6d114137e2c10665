//! NetworkPolicy.

use std::sync::Arc;

use crate::model::{
    Direction, LabelSelector, NetworkPolicy, ObjectName, Peers, Ports, Rule, is_dns_subdomain,
};
use crate::source::problem::ProblemKind;
use crate::source::{Field, List, PolicySource, PortSource, RuleSource, Slot, SpecSource};
use crate::span::{Span, Spanned};
use crate::syntax::Node;

use super::context::{Context, NullItems, stray_field};
use super::metadata::{Metadata, metadata_in};
use super::path::Path;
use super::peer::{peer, peer_model};
use super::port::{port, port_model};
use super::selector::selector;
use super::suggest;

const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
const SPEC_FIELDS: [&str; 4] = ["podSelector", "ingress", "egress", "policyTypes"];
const POLICY_TYPES: [&str; 2] = ["Ingress", "Egress"];

/// Reads a NetworkPolicy. Its `kind` may stand on the list around it, and its namespace be known otherwise.
pub(in crate::source) fn policy(
    node: Node<'_>,
    api_version: Spanned<Box<str>>,
    kind: Span,
    default_namespace: &str,
    known_namespace: Option<&str>,
) -> Option<PolicySource> {
    let mut context = Context::default();
    let path = Path::ROOT;
    let fields = context.fields(node, &path, FIELDS)?;
    let [_, _, meta, spec, _] = fields.known;
    check_api_version(&mut context, &api_version, kind);
    context.stray(&fields.stray, &path, "a NetworkPolicy", &FIELDS);

    let metadata = metadata_in(&mut context, meta, kind, default_namespace, known_namespace);
    check_names(&mut context, &metadata, &path.field("metadata"));
    let spec = context.slot(spec, |context, node| spec_source(context, node, &path.field("spec")));
    let model = if context.rejected {
        None
    } else {
        model(ObjectName::new(metadata.namespace, metadata.name), spec.value())
    };
    let mut problems = context.problems;
    problems.sort_by_key(|problem| problem.span);
    Some(PolicySource {
        span: node.span(),
        api_version,
        kind,
        metadata: metadata.source,
        spec,
        problems,
        model: model.map(Arc::new),
    })
}

/// `name` and `generateName`, as `validation.ValidateObjectMeta` checks them.
fn check_names(context: &mut Context, metadata: &Metadata, path: &Path<'_>) {
    const FORM: &str =
        "at most 253 lower case letters, digits, `-` and `.`, with a letter or digit at the ends";
    let name = metadata.source.name.as_ref().filter(|name| !name.value.is_empty());
    if let Some(name) = name.filter(|name| !is_dns_subdomain(&name.value)) {
        let message = format!("`{}` is no name: {FORM}", name.value);
        context.problem(ProblemKind::InvalidName, name.span, &path.field("name"), message);
    }
    let Some(beginning) = &metadata.generate_name else { return };
    if !begins_names(&beginning.value, name.is_some()) {
        let message = format!("no name can begin with `{}`: names are {FORM}", beginning.value);
        context.problem(ProblemKind::InvalidName, beginning.span, &path.field("generateName"), message);
    }
}

/// Whether the API server takes this as `generateName`. It is checked whether or not it is used for a name.
fn begins_names(beginning: &str, is_named: bool) -> bool {
    // A dash at the end and what is before it count as one letter.
    let masked = match beginning.strip_suffix('-') {
        Some(rest) if !rest.is_empty() => {
            let mut rest = rest.chars();
            rest.next_back();
            format!("{}a", rest.as_str())
        }
        _ => beginning.to_owned(),
    };
    // So of these two neither follows from the other. A name has five more characters, and 63 at most.
    let made = || format!("{}xxxxx", beginning.get(..58).unwrap_or(beginning));
    is_dns_subdomain(&masked) && (is_named || is_dns_subdomain(&made()))
}

fn check_api_version(context: &mut Context, version: &Spanned<Box<str>>, kind: Span) {
    let path = Path::ROOT.field("apiVersion");
    let (span, message) = match &*version.value {
        "networking.k8s.io/v1" => return,
        "" => {
            let problem =
                context.problem(ProblemKind::WrongType, kind, &path, "the object has no `apiVersion`");
            problem.help = Some("write `apiVersion: networking.k8s.io/v1`".into());
            return;
        }
        "extensions/v1beta1" => {
            (version.span, "Kubernetes 1.16 removed NetworkPolicy from extensions/v1beta1".to_owned())
        }
        other => (version.span, format!("there is no NetworkPolicy in `{other}`")),
    };
    let problem = context.problem(ProblemKind::RemovedApiVersion, span, &path, message);
    problem.help = Some("write `apiVersion: networking.k8s.io/v1`".into());
}

fn spec_source(context: &mut Context, node: Node<'_>, path: &Path<'_>) -> Option<SpecSource> {
    let fields = context.fields(node, path, SPEC_FIELDS)?;
    let [pods, ingress, egress, types] = fields.known;
    let stray = context.stray(&fields.stray, path, "the spec of a NetworkPolicy", &SPEC_FIELDS);
    Some(SpecSource {
        pod_selector: context.slot(pods, |c, node| selector(c, node, &path.field("podSelector"))),
        ingress: context.slot(ingress, |c, node| {
            c.list(node, &path.field("ingress"), NullItems::Empty, |c, node, path| {
                rule(c, node, path, Direction::Ingress)
            })
        }),
        egress: context.slot(egress, |c, node| {
            c.list(node, &path.field("egress"), NullItems::Empty, |c, node, path| {
                rule(c, node, path, Direction::Egress)
            })
        }),
        policy_types: context.slot(types, |c, node| policy_types(c, node, &path.field("policyTypes"))),
        stray,
    })
}

fn policy_types(context: &mut Context, node: Node<'_>, path: &Path<'_>) -> Option<List<Box<str>>> {
    let mut seen: Vec<(Box<str>, Span)> = Vec::new();
    let list = context.list(node, path, NullItems::Refused, |context, node, path| {
        let text = context.text(node, path)?;
        if !POLICY_TYPES.contains(&&*text) {
            let near = suggest::nearest(&text, POLICY_TYPES.into_iter());
            let message = format!("`{text}` is no policy type: use Ingress or Egress");
            context.problem(ProblemKind::InvalidEnum, node.span(), path, message).help =
                near.map(|near| format!("write `{near}`").into());
        } else if let Some((_, first)) = seen.iter().find(|(earlier, _)| *earlier == text) {
            let first = *first;
            let message = format!("`{text}` is here twice");
            // Harmless to the API server, as long as there are no more than two.
            let problem = context.remark(ProblemKind::InvalidEnum, node.span(), path, message);
            problem.related = Some(first);
            problem.help = Some("keep one of them".into());
        } else {
            seen.push((text.clone(), node.span()));
        }
        Some(text)
    })?;
    context.rejected |= list.items.len() > POLICY_TYPES.len();
    Some(list)
}

fn rule(context: &mut Context, node: Node<'_>, path: &Path<'_>, direction: Direction) -> Option<RuleSource> {
    let (right, wrong, owner) = match direction {
        Direction::Ingress => ("from", "to", "a rule of `ingress`"),
        Direction::Egress => ("to", "from", "a rule of `egress`"),
    };
    let fields = context.fields(node, path, [right, "ports", wrong])?;
    let [peers, ports, wrong_peers] = fields.known;
    if let Some(entry) = &wrong_peers {
        let message = format!("a rule of `{direction}` has no `{wrong}`, the API server drops it");
        let help = format!("write `{right}`, or move the rule to `{}`", other(direction));
        let path = path.field(wrong);
        context.problem(ProblemKind::WrongDirectionField, entry.key.span(), &path, message).help =
            Some(help.into());
    }
    Some(RuleSource {
        direction,
        peers: context.slot(peers, |c, node| c.list(node, &path.field(right), NullItems::Refused, peer)),
        wrong_peers: wrong_peers.as_ref().map(stray_field),
        ports: context.slot(ports, |c, node| c.list(node, &path.field("ports"), NullItems::Empty, port)),
        stray: context.stray(&fields.stray, path, owner, &[right, "ports"]),
    })
}

fn other(direction: Direction) -> Direction {
    match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    }
}

/// What a policy means that has no problem, with the API server's defaults filled in.
fn model(name: ObjectName, spec: Option<&SpecSource>) -> Option<NetworkPolicy> {
    let pod_selector = match spec.and_then(|spec| spec.pod_selector.value()) {
        Some(selector) => selector.model.clone()?,
        None => LabelSelector::everything(),
    };
    let rules = |direction| rules(spec.map_or(&Slot::Absent, |spec| spec.rules(direction)));
    let (ingress, egress) = (rules(Direction::Ingress)?, rules(Direction::Egress)?);
    let types = spec.and_then(|spec| spec.policy_types.value()).filter(|types| !types.items.is_empty());
    let has = |direction: Direction| match types {
        Some(types) => types.items.iter().any(|item| item.value.as_deref() == Some(direction.policy_type())),
        // The default: ingress always, egress if there is a rule for it.
        None => direction == Direction::Ingress || !egress.is_empty(),
    };
    let (has_ingress, has_egress) = (has(Direction::Ingress), has(Direction::Egress));
    Some(NetworkPolicy {
        name,
        pod_selector,
        ingress: has_ingress.then_some(ingress),
        egress: has_egress.then_some(egress),
    })
}

/// Items without a value are null here: those of the wrong shape are refused before. The API server reads an empty
/// rule or port in them.
fn rules(slot: &Slot<List<RuleSource>>) -> Option<Vec<Rule>> {
    let nothing = PortSource::default();
    let rule = |rule: Option<&RuleSource>| {
        let Some(rule) = rule else { return Some(Rule { peers: Peers::All, ports: Ports::All }) };
        let peers = all(items(&rule.peers).map(|peer| peer_model(peer?)))?;
        let ports = all(items(&rule.ports).map(|port| port_model(port.unwrap_or(&nothing))))?;
        Some(Rule {
            peers: if peers.is_empty() { Peers::All } else { Peers::Only(peers) },
            ports: if ports.is_empty() { Ports::All } else { Ports::Only(ports) },
        })
    };
    all(items(slot).map(rule))
}

/// Collects them when all are there. Unlike `collect`, which can't foresee that, it takes no room for more.
fn all<T>(items: impl ExactSizeIterator<Item = Option<T>>) -> Option<Vec<T>> {
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        all.push(item?);
    }
    Some(all)
}

/// The items of a list; none when it is absent or null.
fn items<T>(slot: &Slot<List<T>>) -> impl ExactSizeIterator<Item = Option<&T>> {
    let list = match slot {
        Slot::Present(Field { value, .. }) => &value.items[..],
        _ => &[],
    };
    list.iter().map(|item| item.value.as_ref())
}
