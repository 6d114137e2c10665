//! Says in the agent's own pod whether it enforces: the condition [`CONDITION`] of its status.
//!
//! That needs the right to patch `pods/status` in the agent's namespace, and no object that somebody must clean up: when
//! the pod goes, so does what it says. Whoever watches pods learns of it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{sleep, timeout};

use super::follow::innermost;
use crate::log;
use crate::standing::Standing;

/// The type of the condition: `True` while the node enforces.
pub(super) const CONDITION: &str = "netpol.dev/Enforcing";

/// The pod that the agent runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How long to wait after a failure, and how long one attempt may take.
const PAUSE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps the condition up to date, as long as somebody changes the standing.
pub(super) async fn publish(client: Client, pod: OwnPod, mut standing: Receiver<Standing>) {
    let pods: Api<Pod> = Api::namespaced(client, &pod.namespace);
    let mut said: Option<Standing> = None;
    let mut complained = false;
    loop {
        let now = standing.borrow_and_update().clone();
        if said.as_ref() != Some(&now) {
            let turned = said.as_ref().is_none_or(|said| said.enforcing != now.enforcing);
            let patch = Patch::Strategic(patch(&now, turned));
            let parameters = PatchParams::default();
            let outcome = match timeout(PATIENCE, pods.patch_status(&pod.name, &parameters, &patch)).await {
                Ok(outcome) => outcome.map(drop).map_err(|error| innermost(&error)),
                Err(_) => Err("no answer".into()),
            };
            match outcome {
                Ok(()) => (said, complained) = (Some(now), false),
                Err(why) => {
                    if !complained {
                        let name = format!("{}/{}", pod.namespace, pod.name);
                        log::warn("the pod's condition can't be written", &[("pod", &name), ("why", &why)]);
                        complained = true;
                    }
                    sleep(PAUSE).await;
                    continue;
                }
            }
        }
        if standing.changed().await.is_err() {
            return;
        }
    }
}

fn patch(standing: &Standing, turned: bool) -> Value {
    let mut condition = json!({
        "type": CONDITION,
        "status": if standing.enforcing { "True" } else { "False" },
        "reason": standing.reason,
        "message": standing.message,
    });
    if turned {
        condition["lastTransitionTime"] = json!(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    json!({"status": {"conditions": [condition]}})
}
