//! Takes away what nobody here looks at: most of an object of the API is bookkeeping, and some of it is secret.

use serde_json::Value;

/// Makes an object small, before it is kept.
pub(super) fn prune(kind: &str, object: &mut Value) {
    let Some(object) = object.as_object_mut() else { return };
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["managedFields", "uid", "resourceVersion", "generation", "selfLink", "generateName"] {
            metadata.remove(field);
        }
        if kind == "NetworkPolicy" {
            metadata.remove("creationTimestamp");
        }
        // Policies may suppress findings by annotations; those of others aren't looked at.
        match metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            Some(annotations) if kind == "NetworkPolicy" => {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
                if annotations.is_empty() {
                    metadata.remove("annotations");
                }
            }
            _ => drop(metadata.remove("annotations")),
        }
    }
    match kind {
        "Pod" => pod(object.get_mut("spec")),
        "DaemonSet" | "Deployment" | "StatefulSet" => {
            object.remove("status");
            pod(object.get_mut("spec").and_then(|spec| spec.pointer_mut("/template/spec")));
        }
        "CronJob" => {
            object.remove("status");
            pod(object.get_mut("spec").and_then(|spec| spec.pointer_mut("/jobTemplate/spec/template/spec")));
        }
        "NetworkPolicy" | "Namespace" | "Ingress" => drop(object.remove("status")),
        "Node" => {
            if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
                status.retain(|field, _| field == "addresses");
            }
        }
        _ => {}
    }
}

/// A pod's spec: environment, commands and volumes may be long and may hold secrets.
fn pod(spec: Option<&mut Value>) {
    let Some(spec) = spec.and_then(Value::as_object_mut) else { return };
    for field in ["volumes", "tolerations", "affinity", "topologySpreadConstraints", "imagePullSecrets"] {
        spec.remove(field);
    }
    for field in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = spec.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten();
        for container in containers.filter_map(Value::as_object_mut) {
            container.retain(|field, _| matches!(field.as_str(), "name" | "ports" | "restartPolicy"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn small_and_without_secrets() {
        let mut object = json!({
            "metadata": {
                "name": "web",
                "labels": {"app": "web"},
                "managedFields": [{}],
                "annotations": {"a": "b"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": true}],
            },
            "spec": {
                "nodeName": "n",
                "volumes": [{}],
                "containers": [{"name": "web", "env": [{"name": "PASSWORD", "value": "x"}], "ports": [{"containerPort": 80}]}],
            },
            "status": {"podIPs": [{"ip": "10.0.0.1"}]},
        });
        prune("Pod", &mut object);
        assert_eq!(
            object,
            json!({
                "metadata": {
                    "name": "web",
                    "labels": {"app": "web"},
                    "ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": true}],
                },
                "spec": {"nodeName": "n", "containers": [{"name": "web", "ports": [{"containerPort": 80}]}]},
                "status": {"podIPs": [{"ip": "10.0.0.1"}]},
            })
        );
    }

    #[test]
    fn policies_keep_their_annotations() {
        let mut object = json!({"metadata": {"annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "example.com/why": "because",
        }}});
        prune("NetworkPolicy", &mut object);
        assert_eq!(object, json!({"metadata": {"annotations": {"example.com/why": "because"}}}));
    }
}
