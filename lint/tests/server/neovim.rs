//! The server with an editor that people use. Where Neovim isn't installed the test says so.

use std::fs;
use std::process::Command;

use super::{PODS, SPLIT, workspace};

#[test]
fn neovim_shows_hovers_and_fixes() {
    if Command::new("nvim").arg("--version").output().is_err() {
        eprintln!("skipped: nvim is not installed");
        return;
    }
    let folder = workspace(&[("p.yaml", &format!("# 😀\n{SPLIT}")), ("pods.yaml", PODS)]);
    let script = folder.path().join("test.lua");
    fs::write(&script, include_str!("neovim.lua")).unwrap();
    let output = Command::new("nvim")
        .args(["--headless", "--clean", "-n", "p.yaml", "-c", "luafile test.lua"])
        .current_dir(folder.path())
        .env("NETPOL_LINT", env!("CARGO_BIN_EXE_netpol-lint"))
        .env("XDG_STATE_HOME", folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("all as expected"), "{said}");
    let text = fs::read_to_string(folder.path().join("p.yaml")).unwrap();
    assert!(text.starts_with("# 😀\n") && text.contains("policyTypes:"), "saved with the safe fix: {text}");
    assert!(text.contains("          podSelector:\n"), "and with the dash gone: {text}");
}
