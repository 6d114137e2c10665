//! Whoever takes isolation away needs a right.
//!
//! It is asked in a validating call, not in the mutating one: that one sees the Namespace before other webhooks have
//! changed it, and it must be allowed to fail so that namespaces can be created while no replica answers. This one sees
//! what will be stored, and is asked only about changes of the label and about the annotation that ends enforcement.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use netpol_policy::model::{AUDIT_ANNOTATION, DEFAULT_DENY_LABEL, Labels, Namespace};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::exemption::Exemptions;
use super::label::{default_deny, label, metadata};
use crate::review::{Cause, Details, Operation, Request, Response, Status, UserInfo};

/// The right: this verb on `namespaces` of this group, cluster-wide or for names.
const VERB: &str = "remove-isolation";
const GROUP: &str = "netpol.dev";
const RESOURCE: &str = "namespaces";

/// The API server answers in milliseconds, or has other troubles.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets isolation go only with the right to it.
#[derive(Debug, Clone)]
pub struct Guard {
    /// Nothing when the right isn't asked for.
    asked: Option<Authorizer>,
    exemptions: Exemptions,
}

/// Who knows about rights.
#[derive(Clone)]
struct Authorizer {
    /// None without a cluster: then nobody has the right.
    client: Option<Client>,
}

impl Guard {
    /// Asks the cluster for the right.
    pub fn asking(client: Option<Client>, exemptions: Exemptions) -> Self {
        Self { asked: Some(Authorizer { client }), exemptions }
    }

    /// Lets everybody take isolation away.
    pub fn open(exemptions: Exemptions) -> Self {
        Self { asked: None, exemptions }
    }

    /// Answers a request about a Namespace that changes. It waits for the API server: not on a thread that others need.
    pub fn review(&self, request: &Request<'_>) -> Response {
        let allow = Response::allow(&request.uid);
        let subresource = request.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
        let looked_at = request.kind.is("", "Namespace") && request.operation == Operation::Update;
        let Some(asked) = self.asked.as_ref().filter(|_| looked_at && !subresource) else { return allow };
        let (Some(old), Some(new)) = (request.old_object(), request.object()) else {
            return Response::deny(&request.uid, Status::bad_request("UPDATE without both objects"));
        };
        let (old, new) = match (metadata(old.get()), metadata(new.get())) {
            (Ok(old), Ok(new)) => (old, new),
            (Err(error), _) | (_, Err(error)) => {
                let message = format!("the Namespace cannot be read: {error}");
                return Response::deny(&request.uid, Status::bad_request(message));
            }
        };
        // A namespace that goes must lose its finalizers, and to free one that the cluster needs is no harm.
        if new.deletion_timestamp.is_some() || self.exemptions.contains(&request.name) {
            return allow;
        }
        let [before, after] = [&old, &new].map(|metadata| default_deny(label(metadata)));
        let opened =
            [("ingress", before.ingress && !after.ingress), ("egress", before.egress && !after.egress)];
        let opened: Vec<_> = opened.iter().filter(|(_, opens)| *opens).map(|(name, _)| *name).collect();
        let removed =
            Removed { opened: opened.join(" and "), audited: is_audited(&new) && !is_audited(&old) };
        if removed.opened.is_empty() && !removed.audited {
            return allow;
        }
        match asked.may_remove(&request.user_info, &request.name) {
            Ok(true) => {
                tracing::info!(
                    uid = request.uid,
                    namespace = request.name,
                    user = request.user_info.username,
                    opened = removed.opened,
                    audited = removed.audited,
                    "isolation removed"
                );
                allow
            }
            Ok(false) => Response::deny(&request.uid, refusal(request, &removed)),
            Err(error) => {
                let message = format!("whether you may remove the isolation can't be asked: {error}");
                Response::deny(&request.uid, Status::internal_error(message))
            }
        }
    }
}

impl Authorizer {
    fn may_remove(&self, user: &UserInfo, namespace: &str) -> Result<bool, String> {
        let Some(client) = &self.client else {
            return Err("the webhook has no access to its cluster".to_owned());
        };
        let attributes = ResourceAttributes {
            verb: Some(VERB.to_owned()),
            group: Some(GROUP.to_owned()),
            resource: Some(RESOURCE.to_owned()),
            name: Some(namespace.to_owned()),
            // Without a namespace: a Role inside it, with which its tenants may give themselves all rights, doesn't count.
            ..ResourceAttributes::default()
        };
        let extra: BTreeMap<_, _> = user.extra.clone().unwrap_or_default();
        let spec = SubjectAccessReviewSpec {
            user: Some(user.username.clone()),
            groups: user.groups.clone(),
            uid: user.uid.clone().filter(|uid| !uid.is_empty()),
            extra: (!extra.is_empty()).then_some(extra),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let api = Api::<SubjectAccessReview>::all(client.clone());
        let parameters = PostParams::default();
        match Handle::current().block_on(timeout(PATIENCE, api.create(&parameters, &review))) {
            Ok(Ok(review)) => Ok(review.status.is_some_and(|status| status.allowed)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the API server doesn't answer".to_owned()),
        }
    }
}

/// What a change takes away.
struct Removed {
    /// The directions that it opens, in words; none is empty.
    opened: String,
    /// Policies are not enforced any more.
    audited: bool,
}

/// Whether the policies of a namespace are only tried out.
fn is_audited(metadata: &ObjectMeta) -> bool {
    let value = metadata.annotations.as_ref().and_then(|all| all.get(AUDIT_ANNOTATION));
    Namespace::new("", Labels::new()).with_audit_annotation(value.map(String::as_str)).audited()
}

fn refusal(request: &Request<'_>, Removed { opened, audited }: &Removed) -> Status {
    let (user, name) = (&request.user_info.username, &request.name);
    let (label, annotation) = (
        format!("to change the label {DEFAULT_DENY_LABEL} so"),
        format!("to set the annotation {AUDIT_ANNOTATION} to true"),
    );
    let (may_not, takes) = match (opened.is_empty(), audited) {
        (false, false) => (format!("open it for {opened}"), label),
        (true, _) => ("end the enforcement of its policies".to_owned(), annotation),
        (false, true) => (
            format!("open it for {opened}, nor end the enforcement of its policies"),
            format!("{label}, and {annotation},"),
        ),
    };
    let (stays, takes) =
        (if opened.is_empty() { "enforced" } else { "isolated" }, takes.replacen('t', "T", 1));
    let message = format!(
        "Namespace {name} stays {stays}: {user} may not {may_not}. {takes} takes the right to {VERB} {RESOURCE}.{GROUP}, \
         in a ClusterRole. Policies can allow what is needed without it"
    );
    let cause =
        |message: String, field: String| Cause { reason: "IsolationRemoval".to_owned(), message, field };
    let opens = (!opened.is_empty()).then(|| {
        cause(format!("opens the namespace for {opened}"), format!("metadata.labels[{DEFAULT_DENY_LABEL}]"))
    });
    let audits = audited.then(|| {
        let message = "ends the enforcement of the namespace's policies".to_owned();
        cause(message, format!("metadata.annotations[{AUDIT_ANNOTATION}]"))
    });
    let details = Details {
        name: name.clone(),
        group: String::new(),
        kind: "Namespace".to_owned(),
        causes: opens.into_iter().chain(audits).collect(),
    };
    Status::forbidden(message, details)
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorizer").field("cluster", &self.client.is_some()).finish()
    }
}
