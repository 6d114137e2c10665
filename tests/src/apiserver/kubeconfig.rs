//! Kubeconfigs and clients.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tempfile::TempPath;

use super::{block_on, runtime};

/// A kubeconfig that is removed when it is dropped.
pub type TempKubeconfig = TempPath;

/// Somebody to act as.
pub(super) struct Identity {
    user: String,
    groups: Vec<String>,
}

impl Identity {
    pub(super) fn new(user: &str, groups: &[&str]) -> Self {
        Self { user: user.into(), groups: groups.iter().map(|group| (*group).into()).collect() }
    }
}

/// Writes the administrator's.
pub(super) fn write(path: &Path, port: u16, [authority, certificate, key]: &[String; 3]) -> Result<()> {
    let encode = |pem: &String| STANDARD.encode(pem);
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority-data": encode(authority),
        }}],
        "users": [{"name": "admin", "user": {
            "client-certificate-data": encode(certificate),
            "client-key-data": encode(key),
        }}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    });
    // JSON is YAML.
    fs::write(path, config.to_string()).with_context(|| format!("writing {}", path.display()))
}

/// The same, but acting as somebody.
pub(super) fn impersonating(path: &Path, identity: &Identity) -> Result<TempKubeconfig> {
    let mut config = Kubeconfig::read_from(path)?;
    for user in config.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut()) {
        user.impersonate = Some(identity.user.clone());
        user.impersonate_groups = Some(identity.groups.clone());
    }
    let file = tempfile::Builder::new().prefix("netpol-kubeconfig-").tempfile()?;
    serde_json::to_writer(&file, &config)?;
    Ok(file.into_temp_path())
}

pub(super) fn client(path: &Path, identity: Option<&Identity>) -> Result<Client> {
    let config = Kubeconfig::read_from(path)?;
    let mut config = block_on(Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()))?;
    if let Some(identity) = identity {
        config.auth_info.impersonate = Some(identity.user.clone());
        config.auth_info.impersonate_groups = Some(identity.groups.clone());
    }
    // A test wants to know at once.
    config.default_retry = false;
    let _runtime = runtime().enter();
    Ok(Client::try_from(config)?)
}
