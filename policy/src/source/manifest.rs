//! All objects of one text.

use crate::model::{
    EndpointSlice, EntryKind, EntryPoint, Labels, Namespace, Node as ClusterNode, Pod, Service, WorkloadKind,
};
use crate::span::{Span, Spanned};
use crate::syntax::{self, Kind, Node, Stream, SyntaxError};

use super::generated;
use super::lower::{self, Context, Metadata, Path};
use super::policy::PolicySource;
use super::problem::{Problem, ProblemKind};

/// What one text holds.
#[derive(Debug, Default)]
pub struct Manifest {
    /// Its objects in the order of the text, those of lists one by one. Kinds that say nothing about who may connect
    /// to whom are left out.
    pub objects: Vec<Object>,
    /// What pods of templates are like that stand in objects of other kinds, which mostly run pods, too.
    pub templates: Vec<Template>,
    /// Documents that can't be read.
    pub errors: Vec<SyntaxError>,
    /// Every comment, sorted.
    pub comments: Vec<Span>,
    /// How many objects have a name that the API server has yet to make.
    pub generated_names: usize,
}

/// An object with its place.
#[derive(Debug)]
pub struct Object {
    /// The number of its document in the text, from 0.
    pub document: usize,
    /// Its bytes.
    pub span: Span,
    /// The value of `metadata.name`; an empty span where there is none.
    pub name: Span,
    /// What it is.
    pub content: Content,
    /// What is wrong with it, as far as it is read. A policy's problems are its own.
    pub problems: Vec<Problem>,
}

/// The kinds of objects that matter.
#[derive(Debug)]
pub enum Content {
    /// `networking.k8s.io` NetworkPolicy.
    Policy(Box<PolicySource>),
    /// A Pod, or a workload with a pod template.
    Workload(Box<WorkloadSource>),
    /// Namespace.
    Namespace(Namespace),
    /// Node.
    Node(ClusterNode),
    /// Service.
    Service(Box<Service>),
    /// EndpointSlice of `discovery.k8s.io`.
    EndpointSlice(EndpointSlice),
    /// An Ingress, a route of a Gateway, a webhook or an APIService.
    EntryPoint(Box<EntryPointSource>),
    /// An object of one of these kinds that lacks what it takes to be one; its problems say what.
    Broken,
}

/// A pod template at `spec.template` of an object of a kind that isn't known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The namespace of the object.
    pub namespace: Box<str>,
    /// The labels of its pods.
    pub labels: Labels,
}

/// A Pod or a workload.
#[derive(Debug)]
pub struct WorkloadSource {
    /// The pod, or what pods of the template are like.
    pub pod: Pod,
    /// The value of `metadata.name`; of `kind` when there is none.
    pub name: Span,
    /// Labels of the object itself, which for a workload are not those of its pods.
    pub labels: Labels,
    /// Kind and name of the object that controls it.
    pub owner: Option<(Box<str>, Box<str>)>,
}

/// An object that sends callers to Services.
#[derive(Debug)]
pub struct EntryPointSource {
    /// What it says.
    pub entry: EntryPoint,
    /// Where each of its backends names its Service.
    pub backends: Vec<Span>,
}

/// What is known of a NetworkPolicy that is about to be stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredPolicy<'a> {
    /// Its `apiVersion`.
    pub api_version: &'a str,
    /// Its namespace; `None` when it says that itself.
    pub namespace: Option<&'a str>,
    /// An annotation that nobody is to look at.
    pub without_annotation: Option<&'a str>,
}

impl Manifest {
    /// Reads a text. Namespaced objects that name no namespace go to `default_namespace`.
    pub fn read(text: &str, default_namespace: &str) -> Self {
        Self::lower(syntax::read(text), default_namespace)
    }

    /// Takes objects from a text that is read already.
    pub fn lower(stream: Stream<'_>, default_namespace: &str) -> Self {
        // Most documents are one object.
        let mut objects = Vec::with_capacity(stream.documents.len());
        let (mut templates, mut generated_names) = (Vec::new(), 0);
        for document in &stream.documents {
            let mut walk = Walk {
                default_namespace,
                document: document.index,
                objects: &mut objects,
                templates: &mut templates,
                generated_names: &mut generated_names,
            };
            walk.object(document.root(), None);
        }
        let Stream { errors, comments, .. } = stream;
        let mut all = Self { objects, templates, errors, comments, generated_names };
        generated::distinguish_within(&mut all);
        all
    }

    /// Takes the one NetworkPolicy that a node is, whatever it says of itself.
    pub fn of_policy(node: Node<'_>, stored: &StoredPolicy<'_>, default_namespace: &str) -> Self {
        let place =
            |field: &str| node.get(field).map_or(Span::new(node.span().start, node.span().start), Node::span);
        let api_version = Spanned::new(stored.api_version.into(), place("apiVersion"));
        let policy = lower::policy(node, api_version, place("kind"), default_namespace, stored.namespace);
        let objects = policy.map(|mut policy| {
            policy.metadata.annotations.retain(|(key, _)| Some(&*key.value) != stored.without_annotation);
            let name = policy
                .metadata
                .name
                .as_ref()
                .map_or(Span::new(policy.span.start, policy.span.start), |name| name.span);
            let (span, content) = (policy.span, Content::Policy(Box::new(policy)));
            Object { document: 0, span, name, content, problems: Vec::new() }
        });
        Self { objects: objects.into_iter().collect(), ..Self::default() }
    }

    /// Its policies.
    pub fn policies(&self) -> impl Iterator<Item = &PolicySource> {
        self.objects.iter().filter_map(|object| match &object.content {
            Content::Policy(policy) => Some(&**policy),
            _ => None,
        })
    }
}

const POLICY: &str = "NetworkPolicy";

struct Walk<'w> {
    default_namespace: &'w str,
    document: usize,
    objects: &'w mut Vec<Object>,
    templates: &'w mut Vec<Template>,
    generated_names: &'w mut usize,
}

/// `apiVersion` and `kind` of an item of a typed list, which may leave them to the list.
struct Header<'a> {
    api_version: Spanned<Box<str>>,
    kind: &'a str,
    kind_span: Span,
    /// The key that stands for `kind`, where it is written in another case.
    odd_key: Option<Node<'a>>,
}

impl Walk<'_> {
    fn object(&mut self, node: Node<'_>, list: Option<&Header<'_>>) {
        let Some(header) = header(node, list) else { return };
        if let Some(item_kind) = header.kind.strip_suffix("List")
            && let Some(items) = node.get("items").filter(|items| matches!(items.kind(), Kind::Sequence(_)))
        {
            let header = Header { kind: item_kind, ..header };
            for item in items.items() {
                self.object(item.value, Some(&header));
            }
            return;
        }
        let mut context = Context::default();
        let Some(content) = self.content(&mut context, node, &header) else {
            self.templates.extend(template_of_unknown(node, &header, self.default_namespace));
            return;
        };
        *self.generated_names += usize::from(generated::has_generated_name(&content));
        let (document, span) = (self.document, node.span());
        let name = node.get("metadata").and_then(|metadata| metadata.get("name")).map(Node::span);
        let name = name.unwrap_or(Span::new(span.start, span.start));
        self.objects.push(Object { document, span, name, content, problems: context.problems });
    }

    fn content(&self, context: &mut Context, node: Node<'_>, header: &Header<'_>) -> Option<Content> {
        let group = header.api_version.value.split_once('/').map_or("", |(group, _)| group);
        if header.kind.eq_ignore_ascii_case(POLICY)
            || (group == "networking.k8s.io" && is_misspelt_policy(header.kind))
        {
            return self.policy(node, header, group);
        }
        let workload = WorkloadKind::parse(header.kind);
        let expected = match (workload, header.kind) {
            (Some(WorkloadKind::Pod | WorkloadKind::ReplicationController), _) => &[""][..],
            (Some(WorkloadKind::Job | WorkloadKind::CronJob), _) => &["batch"],
            (Some(_), _) => &["apps", "extensions"],
            (None, "Namespace" | "Node" | "Service") => &[""],
            (None, "EndpointSlice") => &["discovery.k8s.io"],
            (None, kind) => &[EntryKind::parse(kind)?.group()],
        };
        if !expected.contains(&group) {
            return None;
        }
        let metadata =
            lower::metadata(context, node.entry("metadata"), header.kind_span, self.default_namespace);
        if metadata.name.is_empty() {
            return Some(Content::Broken);
        }
        Some(match (workload, header.kind) {
            (Some(kind), _) => workload_content(context, node, kind, metadata, header.kind_span),
            (None, "Namespace") => Content::Namespace(lower::namespace(&metadata)),
            (None, "Node") => Content::Node(lower::node(node, &metadata)),
            (None, "Service") => Content::Service(Box::new(lower::service(context, node, &metadata))),
            (None, "EndpointSlice") => Content::EndpointSlice(lower::endpoint_slice(node, &metadata)?),
            (None, kind) => {
                let entry = lower::entry_point(node, EntryKind::parse(kind)?, &metadata);
                Content::EntryPoint(Box::new(entry))
            }
        })
    }

    fn policy(&self, node: Node<'_>, header: &Header<'_>, group: &str) -> Option<Content> {
        // Other projects have a NetworkPolicy too, in groups named after their domains.
        if group.contains('.') && group != "networking.k8s.io" {
            return None;
        }
        let api_version = header.api_version.clone();
        let mut policy = lower::policy(node, api_version, header.kind_span, self.default_namespace, None)?;
        let mut context = Context::default();
        let path = Path::ROOT.field("kind");
        if let Some(key) = header.odd_key {
            // As any unknown field it would be told a second time.
            policy.problems.retain(|problem| problem.span != key.span());
            let message = format!("the object has no `kind`, only a field `{}`", key.key_text());
            context.problem(ProblemKind::InvalidEnum, key.span(), &path, message).help =
                Some("write `kind: NetworkPolicy`".into());
        }
        if header.kind != POLICY {
            let message = format!("there is no kind `{}`", header.kind);
            context.problem(ProblemKind::InvalidEnum, header.kind_span, &path, message).help =
                Some("write `kind: NetworkPolicy`".into());
        }
        if !context.problems.is_empty() {
            policy.model = None;
            policy.problems.splice(..0, context.problems);
        }
        Some(Content::Policy(Box::new(policy)))
    }
}

/// Whether a kind of the group `networking.k8s.io` was probably meant to be NetworkPolicy. The real ones of that group are
/// far from it.
fn is_misspelt_policy(kind: &str) -> bool {
    kind.len().abs_diff(POLICY.len()) <= 3
        && kind.starts_with(['N', 'n'])
        && lower::nearest(kind, [POLICY].into_iter()).is_some()
}

fn header<'a>(node: Node<'a>, list: Option<&Header<'a>>) -> Option<Header<'a>> {
    if !matches!(node.kind(), Kind::Mapping(_)) {
        return None;
    }
    let mut odd_key = None;
    let (kind, kind_span) = match (node.get("kind"), list) {
        (Some(kind), _) => (kind.as_str()?, kind.span()),
        (None, Some(list)) => (list.kind, list.kind_span),
        (None, None) => {
            let entry = node.entries().find(|entry| entry.key.key_text().eq_ignore_ascii_case("kind"))?;
            let kind = entry.value.as_str().filter(|kind| kind.eq_ignore_ascii_case(POLICY))?;
            odd_key = Some(entry.key);
            (kind, entry.value.span())
        }
    };
    let api_version = match (node.get("apiVersion"), list) {
        (Some(version), _) => Spanned::new(version.as_str().unwrap_or_default().into(), version.span()),
        (None, Some(list)) => list.api_version.clone(),
        (None, None) => Spanned::new(Box::default(), Span::new(node.span().start, node.span().start)),
    };
    Some(Header { api_version, kind, kind_span, odd_key })
}

/// The pods of an object of a kind that isn't known, such as a Rollout: a template with labels and containers.
fn template_of_unknown(node: Node<'_>, header: &Header<'_>, default_namespace: &str) -> Option<Template> {
    let template = node.get("spec")?.get("template")?;
    template.get("metadata")?.get("labels")?;
    if !matches!(template.get("spec")?.get("containers")?.kind(), Kind::Sequence(_)) {
        return None;
    }
    let mut context = Context::default();
    let metadata = lower::metadata(&mut context, node.entry("metadata"), header.kind_span, default_namespace);
    let namespace = metadata.namespace.clone();
    // Of all kinds with a template there, one is as good as another.
    let pod = lower::template(&mut context, node, WorkloadKind::ReplicaSet, &metadata)?;
    Some(Template { namespace, labels: pod.labels })
}

fn workload_content(
    context: &mut Context,
    node: Node<'_>,
    kind: WorkloadKind,
    metadata: Metadata,
    kind_span: Span,
) -> Content {
    let pod = match kind {
        WorkloadKind::Pod => Some(lower::pod(context, node, &metadata)),
        kind => lower::template(context, node, kind, &metadata),
    };
    let Some(pod) = pod else { return Content::Broken };
    let name = metadata.source.name.map_or(kind_span, |name| name.span);
    Content::Workload(Box::new(WorkloadSource { pod, name, labels: metadata.labels, owner: metadata.owner }))
}
