//! From a kubeconfig to an API server.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::{LiveError, Target};

/// An API server that is asked.
pub(super) struct Api {
    pub(super) client: Client,
    server: String,
}

/// Long enough for a tired VPN.
const CONNECT: Duration = Duration::from_secs(15);

/// A page of a large cluster may take some time.
const READ: Duration = Duration::from_secs(120);

pub(super) async fn connect(target: &Target) -> Result<Api, LiveError> {
    let mut config = config(target).await?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client = Client::try_from(config).map_err(|error| LiveError::Kubeconfig(innermost(&error)))?;
    Ok(Api { client, server })
}

async fn config(target: &Target) -> Result<Config, LiveError> {
    let bad = |error: kube::config::KubeconfigError| LiveError::Kubeconfig(error.to_string());
    let options = KubeConfigOptions { context: target.context.clone(), ..KubeConfigOptions::default() };
    match &target.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path).map_err(bad)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(bad)
        }
        None if target.context.is_some() => Config::from_kubeconfig(&options).await.map_err(bad),
        None => match Config::from_kubeconfig(&options).await {
            Ok(config) => Ok(config),
            // In a pod there is no kubeconfig, but a service account.
            Err(error) => Config::incluster().map_err(|_| bad(error)),
        },
    }
}

impl Api {
    /// The groups with their versions that the API server has; `None` when it doesn't tell.
    pub(super) async fn groups(&self) -> Result<Option<HashSet<String>>, LiveError> {
        match self.client.list_api_groups().await {
            Ok(list) => {
                let versions = list.groups.into_iter().flat_map(|group| group.versions);
                Ok(Some(versions.map(|version| version.group_version).collect()))
            }
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
            Err(error) => Err(self.error("API groups", &error)),
        }
    }

    /// What is wrong, as far as it isn't about one kind.
    pub(super) fn error(&self, kind: &'static str, error: &kube::Error) -> LiveError {
        let server = self.server.clone();
        match error {
            kube::Error::Api(status) if status.code == 401 => {
                LiveError::Unauthorized { server, why: status.message.clone() }
            }
            kube::Error::Auth(error) => LiveError::Unauthorized { server, why: innermost(error) },
            kube::Error::Api(status) => LiveError::Answer { kind, why: status.message.clone() },
            kube::Error::SerdeError(error) => LiveError::Answer { kind, why: error.to_string() },
            error => LiveError::Unreachable { server, why: innermost(error) },
        }
    }
}

/// The last of the causes, which says what happened.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
