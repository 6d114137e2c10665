//! TLS as the API server speaks it to webhooks.

use std::sync::Arc;

use netpol_certs::{Clients, Resolver};
use rustls::ServerConfig;

/// TLS 1.2 and 1.3, HTTP/1.1, with the certificate of the moment; clients may show one, if theirs are checked.
///
/// # Errors
/// None in practice: the provider supports both versions.
pub fn config(resolver: Arc<Resolver>, clients: Option<Arc<Clients>>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match clients {
        Some(clients) => config.with_client_cert_verifier(clients),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
