//! Certificates for admission webhooks: authority, leaf, bundle.
