//! `netpol-webhook certs`.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use base64::prelude::{BASE64_STANDARD, Engine};
use clap::{Args, Subcommand};
use netpol_certs::managed::{self, Status};
use netpol_certs::{Authority, Bundle, CERTIFICATE_FILE, Directory, KEY_FILE, Validity};
use rustls::pki_types::ServerName;

use super::certificate::SecretName;
use super::connect::Connect;
use super::print;
use crate::serving::AUTHORITY_LIFE;

const AUTHORITY_CERTIFICATE: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";

#[derive(Debug, Subcommand)]
pub(super) enum Certs {
    /// Make an authority and a serving certificate in a directory: ca.crt, ca.key, tls.crt, tls.key.
    ///
    /// An authority that is there already signs again; only the serving certificate is renewed then. One without its key is left
    /// alone: clients may trust it.
    Generate {
        /// Where to put them.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// What the serving certificate is for, such as netpol-webhook.netpol-system.svc.
        #[arg(long = "name", value_name = "NAME", required = true, value_delimiter = ',', value_parser = super::server_name)]
        names: Vec<ServerName<'static>>,
        /// Life of the serving certificate in days.
        #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..))]
        days: u16,
    },
    /// Show what a directory or a Secret holds and when it ends; exit 1 if a server can't use it.
    Show(Show),
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The directory.
    #[arg(required_unless_present = "secret", conflicts_with = "secret")]
    directory: Option<PathBuf>,
    /// The Secret of --tls-secret, in the place of a directory.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    secret: Option<SecretName>,
    /// Say whether the webhook configurations of this name trust what the Secret holds.
    #[arg(
        long = "webhook-configuration",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "secret",
        conflicts_with = "directory"
    )]
    configurations: Vec<String>,
    #[command(flatten)]
    connect: Connect,
    /// Print what clients are to trust in base64 instead: a webhook configuration's caBundle.
    #[arg(long)]
    ca_bundle: bool,
}

impl Show {
    fn run(self, now: SystemTime) -> anyhow::Result<ExitCode> {
        match (self.secret, self.directory) {
            (Some(secret), _) => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let client = self.connect.client().await?.context("--secret needs --kubeconfig")?;
                    let SecretName { namespace, name } = &secret;
                    let status = managed::status(&client, namespace, name, &self.configurations).await?;
                    let mut text = String::new();
                    let good = show_secret(&secret, &status, self.ca_bundle, now, &mut text);
                    print(&text)?;
                    Ok(if good? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
                })
            }
            (None, Some(directory)) if self.ca_bundle => {
                print(&format!("{}\n", BASE64_STANDARD.encode(bundle(&directory)?.to_pem())))?;
                Ok(ExitCode::SUCCESS)
            }
            (None, Some(directory)) => print_shown(&directory, now).map(|()| ExitCode::SUCCESS),
            (None, None) => anyhow::bail!("name a directory, or --secret"),
        }
    }
}

impl Certs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let now = SystemTime::now();
        match self {
            Self::Generate { out, names, days } => {
                let life = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
                generate(&out, &names, life, now)?;
                print_shown(&out, now)?;
            }
            Self::Show(show) => return show.run(now),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn generate(out: &Path, names: &[ServerName<'_>], life: Duration, now: SystemTime) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let (certificate, key) = (out.join(AUTHORITY_CERTIFICATE), out.join(AUTHORITY_KEY));
    let authority = match fs::read_to_string(&key) {
        Ok(key_pem) => Authority::from_pem(&read(&certificate)?, &key_pem, now)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            anyhow::ensure!(
                !certificate.exists(),
                "{} is there, and its key {} is not: put the key back, or remove the certificate to have a new authority made, which \
                 clients then have to be told of",
                certificate.display(),
                key.display()
            );
            let authority = Authority::create("netpol-webhook", Validity::starting(now, AUTHORITY_LIFE))?;
            write(&key, &authority.key_pem(), 0o600)?;
            write(&certificate, &authority.certificate_pem(), 0o644)?;
            authority
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", key.display())),
    };
    let leaf = authority.sign(names, now, life)?;
    write(&out.join(KEY_FILE), leaf.key_pem(), 0o600)?;
    write(&out.join(CERTIFICATE_FILE), &leaf.chain_pem(), 0o644)
}

/// Prints what could be found out, also when the rest can't be.
fn print_shown(directory: &Path, now: SystemTime) -> anyhow::Result<()> {
    let mut text = String::new();
    let shown = show(directory, now, &mut text);
    print(&text)?;
    shown
}

fn show(directory: &Path, now: SystemTime, text: &mut String) -> anyhow::Result<()> {
    let (_, leaf) = Directory::open(directory, now)?;
    writeln!(text, "{CERTIFICATE_FILE}: {}", leaf.names().join(", "))?;
    writeln!(text, "  valid {}, {}", leaf.validity(), left(leaf.validity(), now))?;
    if !directory.join(AUTHORITY_CERTIFICATE).exists() {
        writeln!(
            text,
            "{AUTHORITY_CERTIFICATE}: none; clients must get the authority's certificate from elsewhere"
        )?;
        return Ok(());
    }
    let bundle = bundle(directory)?;
    for validity in bundle.validities() {
        writeln!(text, "{AUTHORITY_CERTIFICATE}: valid {validity}, {}", left(validity, now))?;
    }
    bundle.verify(&leaf, now).context("clients that trust ca.crt will refuse tls.crt")?;
    writeln!(text, "clients that trust {AUTHORITY_CERTIFICATE} accept {CERTIFICATE_FILE}")?;
    Ok(())
}

/// Whether all is well.
fn show_secret(
    secret: &SecretName,
    status: &Status,
    ca_bundle: bool,
    now: SystemTime,
    text: &mut String,
) -> anyhow::Result<bool> {
    let rotation = status.rotation.as_ref().with_context(|| format!("there is no Secret {secret}"))?;
    if ca_bundle {
        writeln!(text, "{}", BASE64_STANDARD.encode(rotation.bundle().to_pem()))?;
        return Ok(true);
    }
    let signs = rotation.current().validity();
    writeln!(text, "{secret}: signs, valid {signs}, {}", left(signs, now))?;
    writeln!(text, "  the next one comes after {}", Validity::rfc3339(signs.renewal()))?;
    if let Some(next) = rotation.next() {
        writeln!(text, "{secret}: signs next, valid {}", next.validity())?;
    }
    let (old, until) = rotation.old();
    for validity in old.validities() {
        let until =
            until.map_or("it has settled".to_owned(), |until| format!("after {}", Validity::rfc3339(until)));
        writeln!(text, "{secret}: replaced, valid {validity}, trusted until {until}")?;
    }
    match rotation.published() {
        Some(published) => writeln!(text, "  clients are told since {}", Validity::rfc3339(published))?,
        None => writeln!(text, "  clients are not told of all of it yet")?,
    }
    let mut good = true;
    for (configuration, trusts) in &status.configurations {
        writeln!(
            text,
            "{configuration} {}",
            if *trusts { "trusts it" } else { "DOES NOT TRUST ALL OF IT, OR MORE" }
        )?;
        good &= trusts;
    }
    Ok(good)
}

fn left(validity: Validity, now: SystemTime) -> String {
    match validity.not_after().duration_since(now) {
        Ok(left) => format!("{} days left", left.as_secs() / (24 * 60 * 60)),
        Err(_) => "EXPIRED".to_owned(),
    }
}

fn bundle(directory: &Path) -> anyhow::Result<Bundle> {
    Ok(Bundle::from_pem(&read(&directory.join(AUTHORITY_CERTIFICATE))?)?)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes beside the file and moves into place: a reader sees the old content or the new one, never half of it, and
/// a key's file has its mode from the start.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let put = || {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&beside, path)
    };
    put().with_context(|| format!("cannot write {}", path.display()))
}
