//! Where `netpol-webhook serve` has its certificate from.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use kube::Client;
use netpol_certs::managed::{Managed, Options};
use netpol_certs::{Lifetimes, Resolver};
use rustls::pki_types::ServerName;

use crate::duration;
use crate::serving::Source;

/// Exactly one of three sources, and what belongs to it.
#[derive(Debug, Args)]
pub(super) struct Certificate {
    #[command(flatten)]
    from: From,
    /// Write the authority's certificate of --self-signed here, for the webhook configuration's caBundle.
    #[arg(long, value_name = "FILE", requires = "self_signed", conflicts_with_all = ["cert_dir", "tls_secret"])]
    ca_file: Option<PathBuf>,
    /// What the certificate of --tls-secret is for, such as netpol-webhook.netpol-system.svc.
    #[arg(long = "server-name", value_name = "NAME", value_delimiter = ',', value_parser = super::server_name,
        requires = "tls_secret", conflicts_with_all = ["cert_dir", "self_signed"])]
    server_names: Vec<ServerName<'static>>,
    /// Write the authorities of --tls-secret to caBundle of the webhook configurations of this name, of both kinds.
    #[arg(long = "webhook-configuration", value_name = "NAME", value_delimiter = ',', requires = "tls_secret",
        conflicts_with_all = ["cert_dir", "self_signed"])]
    configurations: Vec<String>,
    /// Life of an authority of --tls-secret; after two thirds the next one comes.
    #[arg(long, value_name = "DURATION", default_value = "8760h", value_parser = duration::parse)]
    ca_life: Duration,
    /// Life of a certificate that it signs.
    #[arg(long, value_name = "DURATION", default_value = "720h", value_parser = duration::parse)]
    leaf_life: Duration,
    /// How long after a change of caBundle every API server and every replica knows of it.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration::parse)]
    ca_settle: Duration,
    /// Look for a new certificate, or at the authority's Secret, this often.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = super::serve::positive)]
    pub(super) cert_refresh: Duration,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct From {
    /// Serve tls.crt and tls.key of this directory; they are read again when they change.
    #[arg(long, value_name = "DIR")]
    cert_dir: Option<PathBuf>,
    /// Make an authority and a certificate for these names in memory: for trying out, with one replica.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = super::server_name)]
    self_signed: Vec<ServerName<'static>>,
    /// Share an authority with the other replicas through this Secret, which is made if it isn't there.
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "server_names", requires = "configurations")]
    tls_secret: Option<SecretName>,
}

/// A Secret's place.
#[derive(Debug, Clone)]
pub(super) struct SecretName {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
}

impl Certificate {
    /// The first certificate, and what brings the later ones.
    pub(super) fn source(self, client: Option<&Client>) -> anyhow::Result<(Source, Arc<Resolver>)> {
        let From { cert_dir, self_signed, tls_secret } = self.from;
        if let Some(directory) = cert_dir {
            return Ok(Source::directory(directory)?);
        }
        let Some(secret) = tls_secret else {
            let (source, resolver) = Source::own(self_signed)?;
            if let (Some(file), Some(authority)) = (&self.ca_file, source.authority()) {
                let written = std::fs::write(file, authority.certificate_pem());
                written.with_context(|| format!("cannot write {}", file.display()))?;
            }
            return Ok((source, resolver));
        };
        let client = client.context(
            "--tls-secret needs a cluster: give --kubeconfig, or run in a pod with a ServiceAccount's token",
        )?;
        let lifetimes = Lifetimes::new(self.ca_life, self.leaf_life, self.ca_settle, self.cert_refresh)
            .context("--ca-life, --leaf-life, --ca-settle and --cert-refresh don't fit together")?;
        let options = Options {
            namespace: secret.namespace,
            secret: secret.name,
            names: self.server_names,
            configurations: self.configurations,
            common_name: "netpol-webhook".to_owned(),
            field_manager: "netpol-webhook-certs".to_owned(),
            lifetimes,
        };
        Ok(Source::shared(Managed::new(client, options)?))
    }
}

impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NAMESPACE/NAME");
        let (namespace, name) = text.split_once('/').ok_or_else(wrong)?;
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let good = |part: &str| !part.is_empty() && part.len() <= 253 && part.chars().all(allowed);
        if !good(namespace) || !good(name) {
            return Err(wrong());
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
