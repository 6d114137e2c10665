//! Namespaces that come and go with a test.

use std::fmt;

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::{Api, Client};

use super::block_on;

/// A namespace of a test. Dropping it deletes it, as far as that goes without controllers: it stays as `Terminating`, and
/// nothing can be created in it.
pub struct TempNamespace {
    client: Client,
    name: String,
}

impl TempNamespace {
    pub(super) fn new(client: Client, prefix: &str) -> Result<Self> {
        let metadata = ObjectMeta { generate_name: Some(format!("{prefix}-")), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let api = Api::<Namespace>::all(client.clone());
        let created = block_on(api.create(&PostParams::default(), &namespace))?;
        Ok(Self { client, name: created.metadata.name.unwrap_or_default() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TempNamespace {
    fn drop(&mut self) {
        let api = Api::<Namespace>::all(self.client.clone());
        // The API server may be down already, with all that it held.
        let _ = block_on(api.delete(&self.name, &DeleteParams::default()));
    }
}

impl fmt::Debug for TempNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TempNamespace").field(&self.name).finish()
    }
}
