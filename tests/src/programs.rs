//! The programs under test: the workspace's own, brought up to date first where cargo is at hand.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};

/// The agent; `NETPOL_ENFORCER` names another one.
///
/// # Errors
/// When there is none, with the command that builds it.
pub fn enforcer() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&PROGRAM, "NETPOL_ENFORCER", "netpol-enforcer")
}

/// The agent with other layouts of its maps, for upgrades and downgrades; `NETPOL_ENFORCER_OTHER_LAYOUT` names one.
///
/// # Errors
/// When there is none, with the command that builds it.
pub fn other_layout() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&PROGRAM, "NETPOL_ENFORCER_OTHER_LAYOUT", "netpol-enforcer-other-layout")
}

/// The chained CNI plugin; `NETPOL_CNI` names another one.
///
/// # Errors
/// When there is none, with the command that builds it.
pub fn cni() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&PROGRAM, "NETPOL_CNI", "netpol-cni")
}

/// The linter; `NETPOL_LINT` names another one.
///
/// # Errors
/// When there is none, with the command that builds it.
pub fn linter() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&PROGRAM, "NETPOL_LINT", "netpol-lint")
}

/// The admission webhook; `NETPOL_WEBHOOK` names another one.
///
/// # Errors
/// When there is none, with the command that builds it.
pub fn webhook() -> Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&PROGRAM, "NETPOL_WEBHOOK", "netpol-webhook")
}

fn once(
    program: &'static OnceLock<Result<PathBuf, String>>,
    variable: &str,
    name: &str,
) -> Result<&'static Path> {
    match program.get_or_init(|| find(variable, name).map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("{error}"),
    }
}

fn find(variable: &str, name: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        return Ok(path.into());
    }
    // Tests are in target/PROFILE/deps, programs in target/PROFILE.
    let own = env::current_exe()?;
    let directory = own.parent().context("this program is in a directory")?;
    let directory =
        if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory };
    if let Some(cargo) = env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        // What cargo tells this program about its own package would make build scripts run again, and with them what they build.
        for (variable, _) in env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                build.env_remove(&variable);
            }
        }
        let (package, features) = match name.strip_suffix("-other-layout") {
            Some(package) => (package, "other-layout"),
            None => (name, ""),
        };
        build.args(["build", "--quiet", "--package", package, "--bin", name, "--features", features]);
        if directory.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().context("running cargo")?;
        ensure!(built.success(), "{name} can't be built: see above");
    }
    let path = directory.join(name);
    ensure!(path.exists(), "{} is missing: build it with `cargo build -p {name}`", path.display());
    Ok(path)
}
