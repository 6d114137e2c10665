//! The Secret that holds the rotation.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::error::{ManagedError, code, detail};
use crate::rotation::Rotation;

/// The type of a Secret that is ours. A Secret's type can't be changed, so one of another type is never overwritten.
pub const SECRET_TYPE: &str = "netpol.dev/rotating-authority";

/// Where the Secret is.
#[derive(Debug)]
pub(super) struct Store {
    api: Api<Secret>,
    namespace: String,
    name: String,
    parameters: PostParams,
}

/// The Secret as it was read.
#[derive(Clone)]
pub(super) struct Stored {
    metadata: ObjectMeta,
    entries: BTreeMap<String, Vec<u8>>,
}

impl Store {
    pub(super) fn new(client: &Client, namespace: &str, name: &str, manager: &str) -> Self {
        let parameters = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
        Self {
            api: Api::namespaced(client.clone(), namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            parameters,
        }
    }

    pub(super) async fn read(&self) -> Result<Option<Stored>, ManagedError> {
        let secret = self.api.get_opt(&self.name).await.map_err(|error| self.failed("get", &error))?;
        let Some(secret) = secret else { return Ok(None) };
        if secret.type_.as_deref() != Some(SECRET_TYPE) {
            let found = secret.type_.unwrap_or_default();
            return Err(ManagedError::Foreign { secret: self.title(), found });
        }
        let entries =
            secret.data.unwrap_or_default().into_iter().map(|(name, ByteString(bytes))| (name, bytes));
        Ok(Some(Stored { metadata: secret.metadata, entries: entries.collect() }))
    }

    /// Makes it; `false` when another replica was quicker.
    pub(super) async fn create(&self, rotation: &Rotation) -> Result<bool, ManagedError> {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            ..ObjectMeta::default()
        };
        let created = self.api.create(&self.parameters, &secret(metadata, rotation)).await;
        self.won("create", created)
    }

    /// Writes it, if it is still as it was read; `false` when it isn't.
    pub(super) async fn replace(&self, stored: Stored, rotation: &Rotation) -> Result<bool, ManagedError> {
        let replaced =
            self.api.replace(&self.name, &self.parameters, &secret(stored.metadata, rotation)).await;
        self.won("update", replaced)
    }

    fn won(&self, verb: &'static str, result: Result<Secret, kube::Error>) -> Result<bool, ManagedError> {
        match result {
            Ok(_) => Ok(true),
            // It is there already, it has changed, or it has been deleted: another look tells.
            Err(error) if code(&error) == Some(409) || (verb == "update" && code(&error) == Some(404)) => {
                Ok(false)
            }
            Err(error) => Err(self.failed(verb, &error)),
        }
    }

    fn failed(&self, verb: &'static str, error: &kube::Error) -> ManagedError {
        ManagedError::Secret { verb, secret: self.title(), detail: detail(error) }
    }

    fn title(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl Stored {
    pub(super) fn entries(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.entries
    }
}

fn secret(metadata: ObjectMeta, rotation: &Rotation) -> Secret {
    let data = rotation.entries().into_iter().map(|(name, bytes)| (name, ByteString(bytes)));
    Secret { metadata, type_: Some(SECRET_TYPE.to_owned()), data: Some(data.collect()), ..Secret::default() }
}
