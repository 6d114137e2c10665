//! Builds the kernel programs in `ebpf/` and leaves the object as `netpol-ebpf.o` in `OUT_DIR`, and what the benchmark compares them
//! with as `yardsticks.o`.
//!
//! The programs need a Rust compiler with the sources of `core` and the linker `bpf-linker`; `scripts/setup`
//! installs both. These variables change what is used:
//!
//! - `NETPOL_EBPF_OBJECT`: an object built elsewhere; nothing is built here.
//! - `NETPOL_EBPF_RUSTC`: the compiler. Otherwise the first of these that has the sources of `core`: rustup's `nightly`, the
//!   compiler that builds this crate, `/usr/bin/rustc`.
//! - `NETPOL_BPF_LINKER`: the linker. Otherwise `bpf-linker` from `PATH` or cargo's directory of binaries.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const REMEDY: &str = "run `scripts/setup --ebpf` from the repository's root to install it";

/// How the variables begin that the outer cargo or its caller sets for the host's build.
const LEAKS: [&str; 14] = [
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_FEATURE_",
    "CARGO_INCREMENTAL",
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "MAKEFLAGS",
    "RUSTC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    for name in ["NETPOL_EBPF_OBJECT", "NETPOL_EBPF_RUSTC", "NETPOL_BPF_LINKER", "PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let out = variable("OUT_DIR")?;
    let object = out.join("netpol-ebpf.o");
    let yardsticks = out.join("yardsticks.o");

    if let Some(ready) = env::var_os("NETPOL_EBPF_OBJECT") {
        println!("cargo::rerun-if-changed={}", Path::new(&ready).display());
        fs::write(&yardsticks, [])
            .map_err(|error| format!("can't write {}: {error}", yardsticks.display()))?;
        return copy(Path::new(&ready), &object);
    }

    let here = variable("CARGO_MANIFEST_DIR")?;
    for source in ["ebpf/src", "ebpf/Cargo.toml", "ebpf/Cargo.lock", "common/src", "common/Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", here.join(source).display());
    }

    let rustc = compiler()?;
    let linker = linker()?;
    let target = match env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() {
        Ok("big") => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    };
    // OUT_DIR is <target>/<profile>/build/<package>/out: one directory for all profiles, so that `core` is built once.
    let target_dir = out.ancestors().nth(4).unwrap_or(&out).join("ebpf");
    cargo(&rustc, &linker, &here.join("ebpf"), target, &target_dir)?;
    let release = target_dir.join(target).join("release");
    copy(&release.join("yardsticks"), &yardsticks)?;
    copy(&release.join("netpol-ebpf"), &object)
}

/// Runs cargo for the kernel's target.
fn cargo(rustc: &Path, linker: &Path, project: &Path, target: &str, target_dir: &Path) -> Result<(), String> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_else(|_| "x86_64".into());
    let flags = [
        format!("--cfg=bpf_target_arch=\"{arch}\""),
        format!("-Clinker={}", linker.display()),
        "-Clink-arg=--btf".into(),
        // 32-bit arithmetic and jumps, for all kernels that have what the programs need anyway.
        "-Ctarget-cpu=v3".into(),
    ];
    let mut command = Command::new(variable("CARGO")?);
    command
        .current_dir(project)
        .args(["build", "--release", "--locked", "-Z", "build-std=core", "--target", target, "--target-dir"])
        .arg(target_dir);
    if env::var_os("CARGO_FEATURE_OTHER_LAYOUT").is_some() {
        command.args(["--features", "other-layout"]);
    }
    // The outer cargo's settings are for another compiler and another target.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if LEAKS.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    let output = command
        .env("RUSTC", rustc)
        // `build-std` is an unstable option; the compiler may be a stable one.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .output()
        .map_err(|error| format!("can't run cargo for the kernel programs: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "building the kernel programs in {} with {} and {} failed.\nIf the tools are the cause, {REMEDY}.\n\n{}",
        project.display(),
        rustc.display(),
        linker.display(),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// The compiler that builds the programs.
fn compiler() -> Result<PathBuf, String> {
    if let Some(chosen) = env::var_os("NETPOL_EBPF_RUSTC") {
        let chosen = PathBuf::from(chosen);
        if has_core_sources(&chosen) {
            return Ok(chosen);
        }
        return Err(format!("NETPOL_EBPF_RUSTC: {} has no sources of `core` (rust-src)", chosen.display()));
    }
    let nightly = stdout(Command::new("rustup").args(["which", "--toolchain", "nightly", "rustc"]));
    let candidates = [nightly, env::var("RUSTC").ok(), Some("/usr/bin/rustc".into())];
    candidates
        .into_iter()
        .flatten()
        .map(PathBuf::from)
        .find(|rustc| has_core_sources(rustc))
        .ok_or_else(|| format!("no Rust compiler with the sources of `core` (rust-src) was found: {REMEDY}"))
}

fn has_core_sources(rustc: &Path) -> bool {
    stdout(Command::new(rustc).args(["--print", "sysroot"]).env_remove("RUSTUP_TOOLCHAIN"))
        .is_some_and(|sysroot| Path::new(&sysroot).join("lib/rustlib/src/rust/library/core").exists())
}

/// The linker that makes an object the kernel loads.
fn linker() -> Result<PathBuf, String> {
    if let Some(chosen) = env::var_os("NETPOL_BPF_LINKER") {
        return Ok(chosen.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    env::split_paths(&path)
        .chain(home.map(|home| home.join("bin")))
        .map(|directory| directory.join("bpf-linker"))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| format!("bpf-linker was not found: {REMEDY}"))
}

fn stdout(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn variable(name: &str) -> Result<PathBuf, String> {
    let value: OsString = env::var_os(name).ok_or_else(|| format!("{name} is not set; cargo sets it"))?;
    Ok(value.into())
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(|error| format!("can't copy {} to {}: {error}", from.display(), to.display()))
}
