//! Keys and certificates of a control plane, in files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// The files that an API server and its administrator need.
#[derive(Debug)]
pub(super) struct Pki {
    pub(super) authority: PathBuf,
    pub(super) server: Pair,
    pub(super) service_accounts: Pair,
    /// For a kubeconfig: PEM of authority, certificate and key.
    pub(super) admin: [String; 3],
}

/// A certificate, or a public key, with its private key.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) public: PathBuf,
    pub(super) private: PathBuf,
}

impl Pki {
    pub(super) fn create(directory: &Path) -> Result<Self> {
        let write = |name: &str, text: &str| -> Result<PathBuf> {
            let path = directory.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        let key = KeyPair::generate()?;
        let mut params = named("netpol-test-ca", None)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key)?;
        let authority = certificate.pem();
        let issuer = Issuer::new(params, key);

        let mut server =
            CertificateParams::new(["localhost".into(), "127.0.0.1".into(), "10.96.0.1".into()])?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let server = server.signed_by(&server_key, &issuer)?;

        let mut admin = named("netpol-test-admin", Some("system:masters"))?;
        admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let admin_key = KeyPair::generate()?;
        let admin = admin.signed_by(&admin_key, &issuer)?;

        let accounts = KeyPair::generate()?;
        Ok(Self {
            server: Pair {
                public: write("server.crt", &server.pem())?,
                private: write("server.key", &server_key.serialize_pem())?,
            },
            service_accounts: Pair {
                public: write("accounts.pub", &accounts.public_key_pem())?,
                private: write("accounts.key", &accounts.serialize_pem())?,
            },
            admin: [authority.clone(), admin.pem(), admin_key.serialize_pem()],
            authority: write("ca.crt", &authority)?,
        })
    }
}

fn named(name: &str, group: Option<&str>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    Ok(params)
}
