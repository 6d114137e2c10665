//! A container image with nothing but static programs in it, without a container engine.
//!
//! The archive is an OCI image layout in a tar file that also has Docker's `manifest.json`, so that `ctr images import`,
//! `podman load`, `docker load` and `kind load image-archive` all take it. Times and owners are fixed: the same program
//! gives the same image.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What an image can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// The admission webhook, as a user without rights.
    #[value(name = "netpol-webhook")]
    Webhook,
    /// The linter, with the working directory `/work`.
    #[value(name = "netpol-lint")]
    Lint,
    /// The enforcer, as root: the kernel asks for its capabilities.
    #[value(name = "netpol-enforcer")]
    Enforcer,
}

/// Builds the program and writes its image.
pub(crate) fn write(program: Program, out: Option<PathBuf>) -> Result<()> {
    let name = program.name();
    let reference = format!("{name}:{}", env!("CARGO_PKG_VERSION"));
    let out = out.unwrap_or_else(|| PathBuf::from(format!("target/images/{name}.tar")));
    let binaries = program.binaries().iter().map(|binary| build(binary)).collect::<Result<Vec<_>>>()?;
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder)?;
    }
    let archive = Archive::new(&binaries, program, &reference)?;
    archive.write(&out).with_context(|| format!("writing {}", out.display()))?;
    println!("{}: {reference}, {} KiB", out.display(), fs::metadata(&out)?.len() / 1024);
    Ok(())
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Webhook => "netpol-webhook",
            Self::Lint => "netpol-lint",
            Self::Enforcer => "netpol-enforcer",
        }
    }

    /// What is in it, each in a package of its name; the first is the one that runs.
    fn binaries(self) -> &'static [&'static str] {
        match self {
            Self::Webhook => &["netpol-webhook"],
            Self::Lint => &["netpol-lint"],
            // The agent gives the plugin to its node.
            Self::Enforcer => &["netpol-enforcer", "netpol-cni"],
        }
    }

    /// User and group, as numbers: Kubernetes can only then see that it isn't root.
    fn user(self) -> &'static str {
        match self {
            Self::Webhook | Self::Lint => "65532:65532",
            Self::Enforcer => "0:0",
        }
    }

    fn directory(self) -> &'static str {
        match self {
            Self::Lint => "/work",
            Self::Webhook | Self::Enforcer => "/",
        }
    }
}

/// Builds it without a need for any library, and says where it is.
fn build(name: &str) -> Result<PathBuf> {
    let version = Command::new("rustc").arg("-vV").output().context("running rustc")?;
    let version = String::from_utf8(version.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc's host")?;
    // With a target named, the flags don't reach build scripts and procedural macros, which can't be static.
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--target", host, "--package", name, "--bin", name])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status()
        .context("running cargo")?;
    ensure!(built.success(), "{name} can't be built: see above");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Ok(target.join(host).join("release").join(name))
}

/// The parts of an image, each by its name in the archive.
struct Archive {
    files: Vec<(String, Vec<u8>)>,
}

impl Archive {
    fn new(binaries: &[PathBuf], program: Program, reference: &str) -> Result<Self> {
        let name = program.name();
        let layer = layer(binaries, program.directory())?;
        let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
        compressed.write_all(&layer)?;
        let compressed = compressed.finish()?;

        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": {
                "User": program.user(),
                "WorkingDir": program.directory(),
                // Both what an image is called by and what a manifest says as `command: [netpol-webhook]`.
                "Env": ["PATH=/usr/bin"],
                "Entrypoint": [format!("/usr/bin/{name}")],
                "Labels": {
                    "org.opencontainers.image.title": name,
                    "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
                    "org.opencontainers.image.licenses": "Apache-2.0",
                },
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))]},
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &compressed)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut described = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        described["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/library/{reference}"),
            "org.opencontainers.image.ref.name": env!("CARGO_PKG_VERSION"),
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [described],
        });
        let docker = json!([{
            "Config": blob(&config),
            "RepoTags": [reference],
            "Layers": [blob(&compressed)],
        }]);
        let mut files = vec![
            ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".to_owned(), index.to_string().into_bytes()),
            ("manifest.json".to_owned(), docker.to_string().into_bytes()),
        ];
        files.extend([config, manifest, compressed].map(|bytes| (blob(&bytes), bytes)));
        Ok(Self { files })
    }

    fn write(&self, out: &Path) -> io::Result<()> {
        let mut tar = tar::Builder::new(File::create(out)?);
        for folder in ["blobs/", "blobs/sha256/"] {
            add(&mut tar, folder, None, 0o755)?;
        }
        for (name, bytes) in &self.files {
            add(&mut tar, name, Some(bytes), 0o644)?;
        }
        tar.into_inner()?.flush()
    }
}

/// The file system of the image.
fn layer(binaries: &[PathBuf], directory: &str) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for folder in ["usr/", "usr/bin/", "etc/", "var/", "run/"] {
        add(&mut tar, folder, None, 0o755)?;
    }
    // Some programs look there for the name of their user.
    let users = b"root:x:0:0::/:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n";
    add(&mut tar, "etc/passwd", Some(users), 0o644)?;
    if directory != "/" {
        add(&mut tar, &format!("{}/", directory.trim_start_matches('/')), None, 0o755)?;
    }
    for binary in binaries {
        let program = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
        let name = binary.file_name().context("a program has a name")?.to_string_lossy();
        add(&mut tar, &format!("usr/bin/{name}"), Some(&program), 0o755)?;
    }
    Ok(tar.into_inner()?)
}

/// A file, or a folder without content.
fn add(tar: &mut tar::Builder<impl Write>, name: &str, bytes: Option<&[u8]>, mode: u32) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(if bytes.is_some() { tar::EntryType::Regular } else { tar::EntryType::Directory });
    header.set_mode(mode);
    header.set_mtime(0);
    let bytes = bytes.unwrap_or_default();
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, name, bytes)
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()})
}

fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", sha256(bytes))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The machine's, by the name that Go gives it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// The files of an archive by their names.
    fn read(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            let name = entry.path().unwrap().display().to_string();
            (name, entry.header().mode().unwrap(), bytes)
        });
        entries.collect()
    }

    #[test]
    fn every_digest_is_the_one_of_its_blob() {
        let folder = tempfile::tempdir().unwrap();
        let (binary, out) = (folder.path().join("netpol-webhook"), folder.path().join("image.tar"));
        fs::write(&binary, b"a program").unwrap();
        Archive::new(&[binary], Program::Webhook, "netpol-webhook:1").unwrap().write(&out).unwrap();
        let files = read(&fs::read(&out).unwrap());
        let file = |name: &str| &files.iter().find(|(at, ..)| at == name).expect(name).2;
        let json = |name: &str| serde_json::from_slice::<Value>(file(name)).unwrap();
        let named = |digest: &Value| digest.as_str().unwrap().replace("sha256:", "blobs/sha256/");

        for (name, _, bytes) in files.iter().filter(|(name, ..)| name.len() > "blobs/sha256/".len()) {
            assert_eq!(*name, blob(bytes));
        }
        let manifest = json(&named(&json("index.json")["manifests"][0]["digest"]));
        let config = json(&named(&manifest["config"]["digest"]));
        let mut layer = Vec::new();
        let compressed = file(&named(&manifest["layers"][0]["digest"]));
        assert_eq!(manifest["layers"][0]["size"], compressed.len());
        flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut layer).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(&layer)));
        assert_eq!(config["config"]["User"], "65532:65532");
        let program = read(&layer).into_iter().find(|(name, ..)| name == "usr/bin/netpol-webhook").unwrap();
        assert_eq!((program.1, &*program.2), (0o755, &b"a program"[..]));
        let docker = json("manifest.json");
        assert_eq!(docker[0]["Layers"][0].as_str().unwrap(), blob(compressed));
        assert_eq!(docker[0]["RepoTags"][0], "netpol-webhook:1");
    }
}
