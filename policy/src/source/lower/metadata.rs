//! `metadata`.

use crate::model::{LabelKey, LabelValue, Labels};
use crate::source::problem::ProblemKind;
use crate::source::{ObjectMeta, TextPair, generated};
use crate::span::{Span, Spanned};
use crate::syntax::{Entry, Node};

use super::context::Context;
use super::path::Path;

/// `metadata`, checked.
pub(in crate::source) struct Metadata {
    pub(in crate::source) source: ObjectMeta,
    /// `generateName`.
    pub(super) generate_name: Option<Spanned<Box<str>>>,
    /// `name`, or [what stands for one](generated::name) that `generateName` begins; empty when a problem says so.
    pub(in crate::source) name: Box<str>,
    /// `namespace`, or the one where an object without goes.
    pub(in crate::source) namespace: Box<str>,
    pub(in crate::source) labels: Labels,
    /// `creationTimestamp`.
    pub(in crate::source) created: Option<Box<str>>,
    /// Kind and name of the owner that controls it.
    pub(in crate::source) owner: Option<(Box<str>, Box<str>)>,
}

const FIELDS: [&str; 7] =
    ["name", "namespace", "labels", "annotations", "generateName", "creationTimestamp", "ownerReferences"];

/// Others that the API has and that mean nothing here.
const OTHERS: [&str; 9] = [
    "uid",
    "resourceVersion",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
    "managedFields",
    "selfLink",
    "clusterName",
];

/// Those of them that are texts; a number is refused.
const TEXTS: [&str; 3] = ["uid", "resourceVersion", "selfLink"];

/// Reads `metadata`; `object` is the place to point at when it is missing.
pub(in crate::source) fn metadata(
    context: &mut Context,
    entry: Option<Entry<'_>>,
    object: Span,
    default_namespace: &str,
) -> Metadata {
    metadata_in(context, entry, object, default_namespace, None)
}

/// The same of an object that is in this namespace, whatever it says itself.
pub(in crate::source) fn metadata_in(
    context: &mut Context,
    entry: Option<Entry<'_>>,
    object: Span,
    default_namespace: &str,
    known_namespace: Option<&str>,
) -> Metadata {
    let path = Path::ROOT.field("metadata");
    let node = entry.map(|entry| entry.value).filter(|node| !node.is_null());
    let fields = node.and_then(|node| context.fields(node, &path, FIELDS));
    let mut metadata = Metadata {
        source: ObjectMeta::default(),
        generate_name: None,
        name: Box::default(),
        namespace: default_namespace.into(),
        labels: Labels::new(),
        created: None,
        owner: None,
    };
    let Some(fields) = fields else {
        if node.is_none() {
            missing_name(context, entry.map_or(object, |entry| entry.key.span()), &path);
        }
        return metadata;
    };
    let span = node.map_or(object, Node::span);
    let [name, namespace, labels, annotations, generate, created, owners] = fields.known;
    for entry in &fields.stray {
        let key = entry.key.key_text();
        if TEXTS.contains(&key.as_ref()) {
            context.text_field(Some(*entry), &path.field(&key));
        }
    }
    let stray: Vec<_> =
        fields.stray.into_iter().filter(|entry| !OTHERS.contains(&entry.key.key_text().as_ref())).collect();
    context.stray(&stray, &path, "metadata", &FIELDS);

    let is_text = |entry| present(entry).is_none_or(|node| node.as_str().is_some());
    let written_otherwise = !is_text(name) || !is_text(generate);
    let name = context.text_field(name, &path.field("name"));
    let generate = context.text_field(generate, &path.field("generateName"));
    let generate = generate.filter(|generate| !generate.value.is_empty());
    // An empty name is none.
    let name = name.filter(|name| !name.value.is_empty() || generate.is_none());
    metadata.name = match (&name, &generate) {
        (Some(name), _) if !name.value.is_empty() => name.value.clone(),
        (None, Some(generate)) => generated::name(&generate.value),
        // That it is no text was told.
        (None, _) if written_otherwise => Box::default(),
        _ => {
            missing_name(context, entry.map_or(object, |entry| entry.key.span()), &path);
            Box::default()
        }
    };
    let namespace = match known_namespace {
        Some(known) => Some(Spanned::new(known.into(), namespace.map_or(span, |entry| entry.value.span()))),
        None => context.text_field(namespace, &path.field("namespace")),
    };
    let namespace = namespace.filter(|namespace| !namespace.value.is_empty());
    if let Some(namespace) = &namespace {
        if !is_dns_label(&namespace.value) {
            let message = format!(
                "`{}` is no namespace: at most 63 lower case letters, digits and `-`",
                namespace.value
            );
            context.problem(ProblemKind::InvalidName, namespace.span, &path.field("namespace"), message);
        }
        metadata.namespace = namespace.value.clone();
    }
    metadata.labels = labels_of(context, labels, &path.field("labels"));
    let annotations = present(annotations)
        .and_then(|node| context.pairs(node, &path.field("annotations"), "annotation"))
        .unwrap_or_default();
    check_annotations(context, &annotations, &path.field("annotations"));
    metadata.created = present(created).and_then(Node::as_str).map(Into::into);
    metadata.owner = present(owners).and_then(controller);
    metadata.generate_name = generate;
    metadata.source = ObjectMeta { span, name, namespace, annotations };
    metadata
}

/// Keys and the size of annotations, as `validation.ValidateAnnotations` checks them.
fn check_annotations(context: &mut Context, annotations: &[TextPair], path: &Path<'_>) {
    let mut size = 0;
    for (key, value) in annotations {
        size += key.value.len() + value.value.len();
        // They are keys of labels, but upper case is as good as lower case.
        let checked = LabelKey::new(&key.value).or_else(|_| LabelKey::new(&lower_case(&key.value)));
        if let Err(error) = checked {
            let message = error.to_string().replace("a label key", "the key of an annotation");
            context.problem(ProblemKind::InvalidName, key.span, &path.field(&key.value), message);
        }
        if size > ANNOTATIONS {
            let message = format!("the annotations have more than {} KiB", ANNOTATIONS >> 10);
            context.problem(ProblemKind::InvalidName, key.span, path, message);
            break;
        }
    }
}

/// The most bytes of all keys and values of annotations.
const ANNOTATIONS: usize = 256 << 10;

/// Letter by letter.
fn lower_case(text: &str) -> String {
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect()
}

/// Labels; invalid ones are reported and left out.
pub(super) fn labels_of(context: &mut Context, entry: Option<Entry<'_>>, path: &Path<'_>) -> Labels {
    let Some(pairs) = present(entry).and_then(|node| context.pairs(node, path, "label")) else {
        return Labels::new();
    };
    let mut labels = Labels::new();
    for (key, value) in pairs {
        if let Some((key, value)) = label(context, ProblemKind::InvalidName, &key, &value, path) {
            labels.insert(key, value);
        }
    }
    labels
}

/// One label; reports what is wrong with it as a problem of the given kind.
pub(super) fn label(
    context: &mut Context,
    kind: ProblemKind,
    key: &Spanned<Box<str>>,
    value: &Spanned<Box<str>>,
    path: &Path<'_>,
) -> Option<(LabelKey, LabelValue)> {
    let path = path.field(&key.value);
    let checked_key = LabelKey::new(&key.value);
    if let Err(error) = &checked_key {
        context.problem(kind, key.span, &path, error.to_string());
    }
    let checked_value = LabelValue::new(&value.value);
    if let Err(error) = &checked_value {
        context.problem(kind, value.span, &path, error.to_string());
    }
    Some((checked_key.ok()?, checked_value.ok()?))
}

/// A field's value, unless it is null.
pub(super) fn present<'a>(entry: Option<Entry<'a>>) -> Option<Node<'a>> {
    entry.map(|entry| entry.value).filter(|node| !node.is_null())
}

fn missing_name(context: &mut Context, span: Span, path: &Path<'_>) {
    let problem =
        context.problem(ProblemKind::InvalidName, span, &path.field("name"), "the object has no name");
    problem.help = Some("give it one in `metadata.name`".into());
}

/// The owner with `controller: true`, else the only one.
fn controller(owners: Node<'_>) -> Option<(Box<str>, Box<str>)> {
    let controls = |owner: &Node<'_>| {
        owner.get("controller").and_then(Node::value) == Some(crate::syntax::Value::Bool(true))
    };
    let items = || owners.items().map(|item| item.value);
    let owner = items().find(controls).or_else(|| items().next())?;
    Some((owner.get("kind")?.as_str()?.into(), owner.get("name")?.as_str()?.into()))
}

/// RFC 1123 label, as `validation.IsDNS1123Label` has it.
pub(super) fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && !text.contains('.') && crate::model::is_dns_subdomain(text)
}
