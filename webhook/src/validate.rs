//! NetworkPolicies, checked with the linter's rules before they are stored.

mod judge;
mod line;
mod object;
mod repair;
mod verdict;
mod written;

use std::sync::{Arc, PoisonError, RwLock};

use self::judge::{Findings, Judge};
use self::object::{Object, is_same};
use crate::cluster::{OBJECT, Snapshot, Watch};
use crate::config::Config;
use crate::review::{Operation, Request, Response, Status};
use netpol_lint::effect::Preview;
use netpol_lint::{Finding, SourceFile, check_stored};
use netpol_policy::model::{LabelSelector, Labels, Namespace, NetworkPolicy};
use netpol_policy::source::StoredPolicy;

pub use verdict::{Kind, Verdict};

/// Checks with the rules that are on, beside what is known of the cluster.
#[derive(Debug, Default)]
pub struct Validator {
    config: RwLock<Arc<Config>>,
    watch: Option<Arc<Watch>>,
}

impl Validator {
    /// Without a cluster, every object is looked at alone.
    pub fn new(config: Config, watch: Option<Arc<Watch>>) -> Self {
        Self { config: RwLock::new(Arc::new(config)), watch }
    }

    /// From the next request on, another configuration counts.
    pub fn configure(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The configuration that counts now.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The cluster that is watched.
    pub fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref()
    }

    /// Answers a request.
    ///
    /// Only a NetworkPolicy that is created or changed is looked at. A change is never refused because of what was
    /// there before: a policy that was stored before this webhook came must still be repaired bit by bit, lose its
    /// finalizers and change hands.
    pub fn review(&self, request: &Request<'_>) -> Verdict {
        let subresource = request.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
        let looked_at = matches!(request.operation, Operation::Create | Operation::Update);
        if !looked_at || subresource || !request.kind.is("networking.k8s.io", "NetworkPolicy") {
            return Verdict::silent(Response::allow(&request.uid));
        }
        let bad =
            |message: String| Verdict::silent(Response::deny(&request.uid, Status::bad_request(message)));
        let mut again = [const { String::new() }; 3];
        let [again, old_again, written_again] = &mut again;
        let object = match request.object().map(|object| Object::of(object, again)) {
            Some(Ok(Some(object))) => object,
            Some(Ok(None)) => return bad("the NetworkPolicy is not a JSON object".to_owned()),
            Some(Err(error)) => return bad(format!("the NetworkPolicy cannot be read: {error}")),
            None => return bad("no object to look at".to_owned()),
        };
        let old = request.old_object().and_then(|old| Object::of(old, old_again).ok().flatten());
        let changes = request.operation == Operation::Create || changes(&object, old.as_ref());
        let config = self.config();
        let snapshot = self.watch.as_ref().and_then(|watch| watch.snapshot());
        let lint = Lint { request, config: &config, snapshot: snapshot.as_deref() };

        let written = written::manifest(&object, old.as_ref());
        let break_glass = judge::reason(&object);
        let (stored, after) = lint.findings(&object);
        let (before, replaced) =
            old.as_ref().filter(|_| changes).map(|old| lint.findings(old)).unwrap_or_default();
        let written = written.and_then(|written| Object::read(written, written_again).ok().flatten());
        let mut written = written.map(|written| lint.findings(&written).0).unwrap_or_default();
        written.retain(|finding| {
            !stored.iter().any(|known| known.rule == finding.rule && known.path == finding.path)
        });
        let findings = Findings { stored: &stored, before: &before, written: &written, changes };
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let effects = config.effects(namespace, |selector| lint.namespace_matches(namespace, selector));
        let preview = || lint.preview(replaced.as_deref(), after.as_deref().filter(|_| changes)?);
        Judge { request, config: &config, effects: &effects, break_glass }.verdict(&findings, preview)
    }
}

/// What the rules say with everything that is known.
struct Lint<'a> {
    request: &'a Request<'a>,
    config: &'a Config,
    snapshot: Option<&'a Snapshot>,
}

impl Lint<'_> {
    /// What the linter says about an object as if it had just been applied, and what the object means.
    /// Whatever the object says of itself, it is judged as what the API server stores it as.
    fn findings(&self, object: &Object<'_>) -> (Vec<Finding>, Option<Arc<NetworkPolicy>>) {
        let stored = StoredPolicy {
            api_version: &self.request.kind.api_version(),
            namespace: self.request.namespace.as_deref(),
            // It is read by itself.
            without_annotation: Some(written::ANNOTATION),
        };
        let (index, settings) = (self.snapshot.map(Snapshot::index), &self.config.settings);
        let report = check_stored(OBJECT, object.text, object.root(), &stored, index, settings);
        let mut policies = report.files.iter().flat_map(SourceFile::policies);
        let model = policies.next().and_then(|(_, policy)| policy.model.clone());
        (report.findings, model)
    }

    /// What a change does to who may connect, where the cluster is known.
    fn preview(&self, before: Option<&NetworkPolicy>, after: &NetworkPolicy) -> Option<Preview> {
        let (index, options) = (self.snapshot?.index(), &self.config.preview);
        options.enabled.then(|| Preview::of(before, after, index, options.pairs as usize))
    }

    /// Whether a namespace has some labels; of an unknown one only the name is known.
    fn namespace_matches(&self, name: &str, selector: &LabelSelector) -> bool {
        match self.snapshot {
            Some(snapshot) => snapshot.index().namespace_matches(name, selector),
            None => selector.matches(Namespace::new(name, Labels::new()).labels()),
        }
    }
}

/// Whether an update changes what the policy means.
fn changes(object: &Object<'_>, old: Option<&Object<'_>>) -> bool {
    if object.get(&["metadata", "deletionTimestamp"]).is_some_and(|at| !at.is_null()) {
        return false;
    }
    old.is_none_or(|old| !is_same(old.get(&["spec"]), object.get(&["spec"])))
}
