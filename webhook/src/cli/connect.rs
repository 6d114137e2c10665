//! The API server that the webhook belongs to.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Which cluster this is, if any.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Connect {
    /// The cluster of this kubeconfig; in a pod with a ServiceAccount's token it is the one of the pod.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig, in the place of its current one.
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
}

/// Where the kubelet puts the token of a pod's ServiceAccount.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl Connect {
    /// A client; nothing where no kubeconfig is named and this isn't a pod that may speak to its API server.
    pub(super) async fn client(&self) -> anyhow::Result<Option<Client>> {
        let config = match &self.kubeconfig {
            Some(file) => {
                let kubeconfig = Kubeconfig::read_from(file)
                    .with_context(|| format!("cannot read the kubeconfig {}", file.display()))?;
                let options =
                    KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
                Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .with_context(|| format!("the kubeconfig {} doesn't do", file.display()))?
            }
            None if std::fs::exists(TOKEN).unwrap_or_default() => {
                Config::incluster().context("this pod's own cluster")?
            }
            None => return Ok(None),
        };
        Ok(Some(Client::try_from(config).context("no client for this cluster")?))
    }
}
