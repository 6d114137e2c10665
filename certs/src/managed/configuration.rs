//! The webhook configurations that tell the API server what to trust.

use base64::prelude::{BASE64_STANDARD, Engine};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use super::error::{ManagedError, code, detail};
use crate::bundle::Bundle;

/// Reads and writes the configurations.
#[derive(Debug)]
pub(super) struct Publisher {
    kinds: [(ApiResource, Api<DynamicObject>); 2],
    names: Vec<String>,
    parameters: PatchParams,
}

/// A configuration as it was read.
#[derive(Debug)]
pub(super) struct Configuration {
    resource: ApiResource,
    name: String,
    version: Option<String>,
    /// The name of each of its webhooks, and what is trusted there.
    hooks: Vec<(String, String)>,
}

impl Publisher {
    pub(super) fn new(client: &Client, names: &[String], manager: &str) -> Self {
        let kinds = [
            ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
            ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ];
        Self {
            kinds: kinds.map(|kind| (kind.clone(), Api::all_with(client.clone(), &kind))),
            names: names.to_vec(),
            // Nobody else has a reason to own this field: whoever set it before did so for the first start.
            parameters: PatchParams::apply(manager).force(),
        }
    }

    /// Those that exist.
    pub(super) async fn read(&self) -> Result<Vec<Configuration>, ManagedError> {
        let mut configurations = Vec::new();
        for (resource, api) in &self.kinds {
            for name in &self.names {
                let found =
                    api.get_opt(name).await.map_err(|error| failed("get", &title(resource, name), &error))?;
                let Some(object) = found else { continue };
                let hooks = object.data["webhooks"].as_array().into_iter().flatten();
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                configurations.push(Configuration {
                    resource: resource.clone(),
                    name: name.clone(),
                    version: object.metadata.resource_version,
                    hooks: hooks
                        .map(|hook| (text(&hook["name"]), text(&hook["clientConfig"]["caBundle"])))
                        .collect(),
                });
            }
        }
        Ok(configurations)
    }

    /// Writes the bundle to all webhooks of a configuration, and nothing else; `false` if it isn't any more as it was read.
    pub(super) async fn write(
        &self,
        configuration: &Configuration,
        bundle: &Bundle,
    ) -> Result<bool, ManagedError> {
        let Configuration { resource, name, version, hooks } = configuration;
        let encoded = encoded(bundle);
        let hooks: Vec<_> = hooks
            .iter()
            .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": encoded}}))
            .collect();
        let patch = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, "resourceVersion": version},
            "webhooks": hooks,
        });
        let (_, api) = &self.kinds[usize::from(resource.kind != self.kinds[0].0.kind)];
        match api.patch(name, &self.parameters, &Patch::Apply(&patch)).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(code(&error), Some(404 | 409)) => Ok(false),
            Err(error) => Err(failed("patch", &configuration.title(), &error)),
        }
    }
}

impl Configuration {
    /// Whether each of its webhooks trusts this bundle and nothing else.
    pub(super) fn holds(&self, bundle: &Bundle) -> bool {
        let encoded = encoded(bundle);
        self.hooks.iter().all(|(_, held)| *held == encoded)
    }

    /// All that its webhooks trust now, as far as it can be read.
    pub(super) fn trusted(&self) -> Vec<CertificateDer<'static>> {
        let hooks = self.hooks.iter();
        let pem = hooks.filter_map(|(_, held)| String::from_utf8(BASE64_STANDARD.decode(held).ok()?).ok());
        let bundles = pem.filter_map(|pem| Bundle::from_pem(&pem).ok());
        bundles.flat_map(|bundle| bundle.certificates().to_vec()).collect()
    }

    /// Kind and name.
    pub(super) fn title(&self) -> String {
        title(&self.resource, &self.name)
    }
}

fn encoded(bundle: &Bundle) -> String {
    BASE64_STANDARD.encode(bundle.to_pem())
}

fn title(resource: &ApiResource, name: &str) -> String {
    format!("{} {name}", resource.kind)
}

fn failed(verb: &'static str, configuration: &str, error: &kube::Error) -> ManagedError {
    ManagedError::Configuration { verb, configuration: configuration.to_owned(), detail: detail(error) }
}
