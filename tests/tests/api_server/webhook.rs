//! netpol-webhook as a real API server asks it.

use std::time::{Duration, Instant};

use netpol_tests::apiserver::ApiServer;
use netpol_tests::webhook::Webhook;

/// Its rule is stored, and without effect.
fn policy(port: u16) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {{podSelector: {{}}, \
         policyTypes: [Egress], ingress: [{{ports: [{{port: {port}}}]}}]}}\n"
    )
}

#[test]
fn a_policy_without_meaning_is_refused() {
    let Some(server) = ApiServer::shared("a_policy_without_meaning_is_refused") else { return };
    let namespace = server.namespace("refused").unwrap();
    let webhook = Webhook::start(server.kubeconfig(), &[]).unwrap();
    let registration = webhook.register(server, &[namespace.name()]).unwrap();
    // The API server learns of a configuration after a moment.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut port = 1;
    let message = loop {
        match server.apply(namespace.name(), &policy(port)) {
            Err(error) => break format!("{error:#}"),
            Ok(()) => assert!(Instant::now() < deadline, "it is never asked"),
        }
        port += 1;
    };
    assert!(message.contains("networkpolicies.netpol.dev") && message.contains("NP107"), "{message}");
    drop(registration);
    assert!(webhook.stop().unwrap().success());
}
