//! Certificates in files, made by the program and renewed while it serves.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use netpol_certs::Bundle;

use crate::support::{Webhook, command, eventually};

fn generate(directory: &Path) -> String {
    let output =
        command(&["certs", "generate", "--name", "localhost,127.0.0.1", "--out"]).arg(directory).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn metric(webhook: &Webhook, name: &str) -> u64 {
    let text = webhook.get("/metrics").text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_renewed_pair_is_served_without_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let said = generate(directory.path());
    assert!(said.contains("tls.crt: localhost, 127.0.0.1\n"), "{said}");
    assert!(
        said.contains("364 days left") && said.contains("clients that trust ca.crt accept tls.crt"),
        "{said}"
    );
    let files = directory.path().to_owned();
    let authority = std::fs::read_to_string(files.join("ca.crt")).unwrap();
    let webhook = Webhook::with_directory(directory, Bundle::from_pem(&authority).unwrap(), &[]);
    let mut kept = webhook.client();
    assert_eq!(kept.get("/healthz").code, 200);

    // The same authority signs again; the open connection stays, a new one is trusted as before.
    generate(&files);
    assert_eq!(std::fs::read_to_string(files.join("ca.crt")).unwrap(), authority);
    eventually("the new certificate", || metric(&webhook, "netpol_webhook_certificate_changes_total") >= 1);
    assert_eq!(kept.get("/healthz").code, 200);
    assert_eq!(webhook.get("/readyz").code, 200);

    // A pair that can't be used is refused and said; what is served stays.
    let changes = metric(&webhook, "netpol_webhook_certificate_changes_total");
    std::fs::write(files.join("tls.crt"), "no certificate").unwrap();
    eventually("the refusal", || metric(&webhook, "netpol_webhook_certificate_refusals_total") >= 1);
    let line = webhook.log(|line| line["level"] == "ERROR");
    assert!(line["error"].as_str().unwrap().contains("no CERTIFICATE section"), "{line}");
    assert_eq!(webhook.get("/readyz").code, 200);
    assert_eq!(metric(&webhook, "netpol_webhook_certificate_changes_total"), changes);
}

#[test]
fn a_renewed_pair_is_seen_without_waiting_for_the_timer() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().to_owned();
    // As the kubelet mounts a Secret: a link that moves.
    for version in ["..1", "..2"] {
        generate(&files.join(version));
    }
    std::os::unix::fs::symlink("..1", files.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        std::os::unix::fs::symlink(Path::new("..data").join(file), files.join(file)).unwrap();
    }
    let authority = std::fs::read_to_string(files.join("..1/ca.crt")).unwrap();
    let webhook =
        Webhook::with_directory(directory, Bundle::from_pem(&authority).unwrap(), &["--cert-refresh", "10h"]);
    let other = Bundle::from_pem(&std::fs::read_to_string(files.join("..2/ca.crt")).unwrap()).unwrap();
    assert!(webhook.try_client_trusting(&other).is_err());
    std::os::unix::fs::symlink("..2", files.join("..data_tmp")).unwrap();
    std::fs::rename(files.join("..data_tmp"), files.join("..data")).unwrap();
    eventually("the new certificate", || webhook.try_client_trusting(&other).is_ok());
}

#[test]
fn generated_files_are_what_they_should_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    generate(path);
    for (file, mode) in [("ca.crt", 0o644), ("ca.key", 0o600), ("tls.crt", 0o644), ("tls.key", 0o600)] {
        assert_eq!(std::fs::metadata(path.join(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    assert_eq!(std::fs::read_dir(path).unwrap().count(), 4);
    let output = command(&["certs", "show", "--ca-bundle"]).arg(path).output().unwrap();
    let bundle = String::from_utf8(output.stdout).unwrap();
    let pem = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, bundle.trim()).unwrap();
    assert_eq!(pem, std::fs::read(path.join("ca.crt")).unwrap());

    // A leaf of another authority is found out before a client does.
    let other = tempfile::tempdir().unwrap();
    generate(other.path());
    std::fs::copy(other.path().join("ca.crt"), path.join("ca.crt")).unwrap();
    let output = command(&["certs", "show"]).arg(path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("clients that trust ca.crt will refuse tls.crt")
    );
}

#[test]
fn an_authority_without_its_key_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    generate(directory.path());
    let authority = std::fs::read(directory.path().join("ca.crt")).unwrap();
    std::fs::remove_file(directory.path().join("ca.key")).unwrap();
    let output = command(&["certs", "generate", "--name", "localhost", "--out"])
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("ca.key is not: put the key back"), "{said}");
    assert_eq!(std::fs::read(directory.path().join("ca.crt")).unwrap(), authority);
}

#[test]
fn output_that_nobody_takes_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    generate(directory.path());
    let there = directory.path().to_str().unwrap();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/base/config.yaml");
    for arguments in [
        &["certs", "generate", "--name", "localhost", "--out", there][..],
        &["certs", "show", there],
        &["certs", "show", "--ca-bundle", there],
        &["config", "schema"],
        &["config", "check", config],
        &["render"],
        &["completions", "bash"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(arguments).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("error: cannot write to standard output"), "{arguments:?}: {said}");
    }
}

#[test]
fn options_for_a_secret_are_refused_for_a_directory() {
    let output = command(&["certs", "show", "somewhere", "--webhook-configuration", "x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
