//! Objects from texts.

use anyhow::{Context as _, Result, ensure};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client};
use serde_json::{Value, json};

/// Creates or changes all objects of a text.
pub(super) async fn apply(client: &Client, namespace: &str, text: &str) -> Result<()> {
    for mut object in objects(text)? {
        let (api, name) = place(client, namespace, &object).await?;
        let what = format!("{} {name}", object["kind"].as_str().unwrap_or_default());
        let status = object.as_object_mut().and_then(|object| object.remove("status"));
        let parameters = PatchParams::apply("netpol-test").force();
        api.patch(&name, &parameters, &Patch::Apply(&object)).await.with_context(|| what.clone())?;
        if let Some(status) = status {
            // What the rest of the object looks like is not asked for again.
            let patch = json!({"status": status});
            api.patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch)).await.context(what)?;
        }
    }
    Ok(())
}

/// Deletes all objects of a text.
pub(super) async fn delete(client: &Client, namespace: &str, text: &str) -> Result<()> {
    for object in objects(text)? {
        let (api, name) = place(client, namespace, &object).await?;
        match api.delete(&name, &DeleteParams::default().grace_period(0)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            deleted => drop(deleted?),
        }
    }
    Ok(())
}

fn objects(text: &str) -> Result<Vec<Value>> {
    let mut objects = serde_saphyr::from_multiple::<Value>(text)?;
    objects.retain(|object| !object.is_null());
    ensure!(!objects.is_empty(), "there is no object in this text");
    Ok(objects)
}

/// Where an object belongs: the API of its kind, and its name there.
async fn place(client: &Client, namespace: &str, object: &Value) -> Result<(Api<DynamicObject>, String)> {
    let text = |field: &str| object[field].as_str().with_context(|| format!("an object without {field}"));
    let (version, kind) = (text("apiVersion")?, text("kind")?);
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let kind = GroupVersionKind::gvk(group, version, kind);
    let (resource, capabilities) =
        pinned_kind(client, &kind).await.with_context(|| format!("no kind {kind:?}"))?;
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().context("an object without a name")?.to_owned();
    let client = client.clone();
    let api = match capabilities.scope {
        Scope::Cluster => Api::all_with(client, &resource),
        Scope::Namespaced => {
            Api::namespaced_with(client, metadata["namespace"].as_str().unwrap_or(namespace), &resource)
        }
    };
    Ok((api, name))
}
