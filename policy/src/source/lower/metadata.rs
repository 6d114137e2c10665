//! `metadata`.

use crate::model::{LabelKey, LabelValue, Labels};
use crate::source::ObjectMeta;
use crate::source::problem::ProblemKind;
use crate::span::{Span, Spanned};
use crate::syntax::{Entry, Node};

use super::context::Context;
use super::path::Path;

/// `metadata`, checked.
pub(in crate::source) struct Metadata {
    pub(in crate::source) source: ObjectMeta,
    /// `name`, or what `generateName` begins it with; empty when a problem says so.
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
    let stray: Vec<_> =
        fields.stray.into_iter().filter(|entry| !OTHERS.contains(&entry.key.key_text().as_ref())).collect();
    context.stray(&stray, &path, "metadata", &FIELDS);

    let written = present(name).or(present(generate)).is_some();
    let name = context.text_field(name, &path.field("name"));
    let generate = context.text_field(generate, &path.field("generateName"));
    metadata.name = match name.as_ref().or(generate.as_ref()) {
        Some(name) if !name.value.is_empty() => name.value.clone(),
        // That it is no text was told.
        None if written => Box::default(),
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
    metadata.created = present(created).and_then(Node::as_str).map(Into::into);
    metadata.owner = present(owners).and_then(controller);
    metadata.source = ObjectMeta { span, name, namespace, annotations };
    metadata
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
