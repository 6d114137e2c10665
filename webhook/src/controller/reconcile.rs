//! One namespace: from how it is to how it should be.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource};
use netpol_policy::model::{DEFAULT_DENY_LABEL, DefaultDeny};
use serde_json::json;

use super::Context;
use super::events::Events;
use super::metrics::Write;
use super::policies::{Kind, MANAGER, is_labelled, is_ours};
use super::queue::Outcome;
use super::watches::{NamespaceMeta, Stores};
use crate::namespace::default_deny;

/// Namespaces older than this weren't created just now: their age says nothing about the controller.
const NEW: Duration = Duration::from_secs(300);

pub(super) struct Reconciler {
    context: Context,
    stores: Stores,
    events: Events,
}

/// Why a namespace isn't as it should be.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{operation} {what}: {source}")]
    Refused { operation: &'static str, what: &'static str, source: kube::Error },
    /// Whoever leads now looks at it.
    #[error("no longer the leader")]
    NotLeading,
}

impl Reconciler {
    pub(super) fn new(context: Context, stores: Stores, events: Events) -> Self {
        Self { context, stores, events }
    }

    /// The names of all namespaces.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = Arc<str>> {
        let all = self.stores.namespaces.state().into_iter();
        all.filter_map(|namespace| namespace.metadata.name.as_deref().map(Arc::from))
    }

    /// Looks at one and does what is needed.
    pub(super) async fn reconcile(&self, name: &str) -> Outcome {
        self.context.metrics.looked();
        // A namespace that is gone or going takes its policies along, and nothing can be created in it.
        let Some(namespace) = self.stores.namespaces.get(&ObjectRef::new(name)) else {
            return Outcome::Settled;
        };
        if namespace.metadata.deletion_timestamp.is_some() {
            return Outcome::Settled;
        }
        match self.put_right(name, &namespace).await {
            Ok(()) => Outcome::Settled,
            Err(Error::NotLeading) => Outcome::Retry,
            Err(Error::Refused { source, .. }) if is_going(&source) => Outcome::Settled,
            Err(error) => {
                self.context.metrics.failed();
                tracing::warn!(namespace = name, %error, "not as it should be; tried again later");
                self.events.warning(reference(&namespace), "IsolationFailed", &error.to_string());
                Outcome::Retry
            }
        }
    }

    async fn put_right(&self, name: &str, namespace: &NamespaceMeta) -> Result<(), Error> {
        let Context { labeler, settings, .. } = &self.context;
        let exempt = labeler.exemptions().contains(name);
        let label = namespace.metadata.labels.as_ref().and_then(|labels| labels.get(DEFAULT_DENY_LABEL));
        if settings.label_existing
            && label.is_none()
            && let Some(mode) = labeler.due(name, &namespace.metadata)
        {
            // Its policies follow when the label has come back by the watch.
            return self.label(name, namespace, mode.as_str()).await;
        }
        let mut deny = default_deny(label.map(String::as_str));
        if exempt && (deny.ingress || deny.egress) {
            let why = labeler.exemptions().called(name).unwrap_or_else(|| "the cluster".to_owned());
            let note = format!(
                "labelled {DEFAULT_DENY_LABEL}, but {why} depends on it: it gets no policies. An agent that knows the \
                 label isolates it all the same: better set it to none"
            );
            self.events.warning(reference(namespace), "Exempt", &note);
            deny = DefaultDeny::default();
        }
        let stored = Kind::ALL.iter().zip(&self.stores.policies);
        let states = stored.map(|(kind, store)| {
            let current = store.get(&ObjectRef::new(kind.name()).within(name));
            (*kind, kind.wanted(name, deny, settings.allow_dns), current)
        });
        let (due, undue): (Vec<_>, Vec<_>) = states.partition(|(_, wanted, _)| wanted.is_some());
        for (kind, wanted, current) in due {
            if let Some(wanted) = wanted {
                self.keep(kind, namespace, &wanted, current.as_deref()).await?;
            }
        }
        for (kind, _, current) in undue.into_iter().rev() {
            if let Some(current) = current.filter(|current| is_labelled(current)) {
                self.remove(kind, namespace, &current).await?;
            }
        }
        Ok(())
    }

    /// A policy that should be there.
    async fn keep(
        &self,
        kind: Kind,
        namespace: &NamespaceMeta,
        wanted: &NetworkPolicy,
        current: Option<&NetworkPolicy>,
    ) -> Result<(), Error> {
        let refused = |operation| move |source| Error::Refused { operation, what: kind.name(), source };
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let api = self.policies(name);
        let write = match current {
            Some(current) if !is_ours(current) => {
                self.context.metrics.name_taken();
                let note = format!("{} is somebody else's policy and is left as it is", kind.name());
                tracing::warn!(
                    namespace = name,
                    policy = kind.name(),
                    "the name is taken by somebody else's policy"
                );
                self.events.warning(reference(namespace), "NameTaken", &note);
                return Ok(());
            }
            // It goes; its end is an event of its own.
            Some(current) if current.metadata.deletion_timestamp.is_some() => return Ok(()),
            Some(current) if current.spec == wanted.spec && is_labelled(current) => return Ok(()),
            Some(current) => {
                if let Some(removal) = removal(current, wanted) {
                    self.lead()?;
                    let removed = api.patch(kind.name(), &parameters(), &Patch::Merge(removal)).await;
                    removed.map_err(refused("repair"))?;
                }
                Write::Repair
            }
            None => Write::Create,
        };
        self.lead()?;
        // By force only what is known to be ours.
        let apply = PatchParams { force: write == Write::Repair, ..parameters() };
        api.patch(kind.name(), &apply, &Patch::Apply(wanted)).await.map_err(refused(write.as_str()))?;
        self.wrote(kind.name(), namespace, write);
        if write == Write::Create && kind == Kind::DefaultDeny {
            let created = namespace.metadata.creation_timestamp.as_ref();
            let age = created.and_then(|at| Duration::try_from(Timestamp::now().duration_since(at.0)).ok());
            if let Some(age) = age.filter(|age| *age < NEW) {
                self.context.metrics.isolated_after(age);
            }
        }
        Ok(())
    }

    /// A policy that shouldn't be there any more.
    async fn remove(
        &self,
        kind: Kind,
        namespace: &NamespaceMeta,
        current: &NetworkPolicy,
    ) -> Result<(), Error> {
        self.lead()?;
        // Not one that has changed hands in the meantime.
        let preconditions = Preconditions {
            uid: current.metadata.uid.clone(),
            resource_version: current.metadata.resource_version.clone(),
        };
        let parameters = DeleteParams::default().preconditions(preconditions);
        let api = self.policies(namespace.metadata.name.as_deref().unwrap_or_default());
        match api.delete(kind.name(), &parameters).await {
            Ok(_) => self.wrote(kind.name(), namespace, Write::Delete),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(Error::Refused { operation: "delete", what: kind.name(), source }),
        }
        Ok(())
    }

    async fn label(&self, name: &str, namespace: &NamespaceMeta, mode: &str) -> Result<(), Error> {
        self.lead()?;
        let labelled = json!({"metadata": {
            "resourceVersion": namespace.metadata.resource_version,
            "labels": {DEFAULT_DENY_LABEL: mode},
        }});
        let api = Api::<Namespace>::all(self.context.client.clone());
        let written = api.patch(name, &parameters(), &Patch::Merge(labelled)).await;
        written.map_err(|source| Error::Refused { operation: "label", what: "the namespace", source })?;
        self.wrote(DEFAULT_DENY_LABEL, namespace, Write::Label);
        Ok(())
    }

    fn wrote(&self, what: &'static str, namespace: &NamespaceMeta, write: Write) {
        self.context.metrics.wrote(write);
        tracing::info!(namespace = namespace.metadata.name, what, operation = write.as_str(), "written");
        let (reason, note) = match write {
            Write::Create => ("PolicyCreated", format!("{what} created")),
            Write::Repair => {
                ("PolicyRepaired", format!("{what} was changed by somebody and is as it should be again"))
            }
            Write::Delete => {
                ("PolicyDeleted", format!("{what} deleted: the namespace is not to be isolated so"))
            }
            Write::Label => ("Labelled", format!("{what} set")),
        };
        self.events.normal(reference(namespace), reason, &note);
    }

    /// Nothing is written after the lease is lost.
    fn lead(&self) -> Result<(), Error> {
        if self.context.leadership.is_leader() { Ok(()) } else { Err(Error::NotLeading) }
    }

    fn policies(&self, namespace: &str) -> Api<NetworkPolicy> {
        Api::namespaced(self.context.client.clone(), namespace)
    }
}

fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

/// What takes away rules that somebody has added: they belong to who added them, and applying leaves them there.
fn removal(current: &NetworkPolicy, wanted: &NetworkPolicy) -> Option<serde_json::Value> {
    let (current_spec, wanted) = (current.spec.as_ref()?, wanted.spec.as_ref()?);
    let added = [
        ("ingress", current_spec.ingress.is_some() && wanted.ingress.is_none()),
        ("egress", current_spec.egress.is_some() && wanted.egress.is_none()),
    ];
    let added: serde_json::Map<_, _> = added
        .iter()
        .filter(|(_, added)| *added)
        .map(|(field, _)| ((*field).to_owned(), json!(null)))
        .collect();
    let version = &current.metadata.resource_version;
    (!added.is_empty()).then(|| json!({"metadata": {"resourceVersion": version}, "spec": added}))
}

/// Whether a write failed because the namespace is gone or going: its own event says so too, or will in a moment.
fn is_going(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    let terminating = causes.any(|cause| cause.reason == "NamespaceTerminating");
    let gone =
        status.code == 404 && status.details.as_ref().is_some_and(|details| details.kind == "namespaces");
    terminating || gone
}

fn reference(namespace: &NamespaceMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Namespace".to_owned()),
        name: namespace.meta().name.clone(),
        uid: namespace.meta().uid.clone(),
        ..ObjectReference::default()
    }
}
