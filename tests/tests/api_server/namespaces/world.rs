//! A cluster that one test at a time has for itself: a controller looks at all of it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use netpol_tests::apiserver::{ApiServer, TempKubeconfig, block_on};
use netpol_tests::webhook::Webhook;
use serde_json::{Value, json};

pub(super) const LABEL: &str = "netpol.dev/default-deny";

const RBAC: &str = include_str!("../../../../manifests/base/namespaces-rbac.yaml");
const OWN: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: netpol-system}\n";

/// Webhooks in the tests take over from each other sooner than in a cluster.
const FLAGS: [&str; 6] =
    ["--controller", "--own-namespace", "netpol-system", "--drain-time", "0s", "--lease-duration=3s"];

pub(super) struct World {
    pub(super) server: &'static ApiServer,
    /// With the rights that the manifests give.
    pub(super) kubeconfig: TempKubeconfig,
    client: Client,
    _alone: MutexGuard<'static, ()>,
}

impl World {
    /// None when there is no API server.
    pub(super) fn enter(test: &str) -> Option<Self> {
        static SERVER: OnceLock<ApiServer> = OnceLock::new();
        static ALONE: Mutex<()> = Mutex::new(());
        if netpol_tests::apiserver::skip(test) {
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let server = SERVER.get_or_init(|| {
            let server = ApiServer::start().unwrap();
            server.apply("", OWN).unwrap();
            server.apply("netpol-system", RBAC).unwrap();
            server
        });
        let groups =
            ["system:serviceaccounts", "system:serviceaccounts:netpol-system", "system:authenticated"];
        let kubeconfig =
            server.kubeconfig_as("system:serviceaccount:netpol-system:netpol-webhook", &groups).unwrap();
        Some(Self { server, kubeconfig, client: server.client().unwrap(), _alone: alone })
    }

    /// A replica with a controller.
    pub(super) fn webhook(&self, arguments: &[&str]) -> Webhook {
        Webhook::start(&self.kubeconfig, &[&FLAGS, arguments].concat()).unwrap()
    }

    /// A new namespace with a name of its own.
    pub(super) fn namespace(&self, prefix: &str, metadata: Value) -> String {
        let mut metadata = metadata;
        metadata["generateName"] = json!(format!("{prefix}-"));
        self.create(&metadata).unwrap().metadata.name.unwrap()
    }

    pub(super) fn create(&self, metadata: &Value) -> kube::Result<Namespace> {
        let namespace = serde_json::from_value(json!({"metadata": metadata})).unwrap();
        block_on(Api::all(self.client.clone()).create(&PostParams::default(), &namespace))
    }

    pub(super) fn isolated(&self, prefix: &str, mode: &str) -> String {
        self.namespace(prefix, json!({"labels": {LABEL: mode}}))
    }

    /// Changes a namespace.
    pub(super) fn change(&self, name: &str, patch: Value) -> kube::Result<Namespace> {
        change(&self.client, name, patch)
    }

    pub(super) fn label(&self, name: &str, mode: Option<&str>) {
        self.change(name, json!({"metadata": {"labels": {LABEL: mode}}})).unwrap();
    }

    pub(super) fn delete(&self, namespace: &str) {
        block_on(Api::<Namespace>::all(self.client.clone()).delete(namespace, &DeleteParams::default()))
            .unwrap();
    }

    pub(super) fn policies(&self, namespace: &str) -> Api<NetworkPolicy> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(super) fn policy(&self, namespace: &str, name: &str) -> Option<NetworkPolicy> {
        block_on(self.policies(namespace).get_opt(name)).unwrap()
    }

    /// `NAME: TYPES` of all policies of a namespace.
    pub(super) fn shape(&self, namespace: &str) -> Vec<String> {
        let policies = block_on(self.policies(namespace).list(&kube::api::ListParams::default())).unwrap();
        let line = |policy: NetworkPolicy| {
            let spec = policy.spec.unwrap_or_default();
            let types = spec.policy_types.unwrap_or_default().join(",");
            let rules =
                spec.ingress.map_or(0, |rules| rules.len()) + spec.egress.map_or(0, |rules| rules.len());
            format!("{}: {types} {rules}", policy.metadata.name.unwrap_or_default())
        };
        policies.items.into_iter().map(line).collect()
    }

    /// Waits until the policies are these.
    #[track_caller]
    pub(super) fn until(&self, namespace: &str, expected: &[&str]) {
        let mut last = Vec::new();
        let came = eventually(|| {
            last = self.shape(namespace);
            (last == expected).then_some(())
        });
        assert!(came.is_some(), "{namespace} has {last:?}, not {expected:?}");
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }
}

pub(super) fn change(client: &Client, name: &str, patch: Value) -> kube::Result<Namespace> {
    let api = Api::<Namespace>::all(client.clone());
    block_on(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)))
}

/// Asks until there is an answer, for a while.
pub(super) fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    None
}
