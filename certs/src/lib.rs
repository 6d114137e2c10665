//! Certificates for admission webhooks: who signs them, what is served, and what clients are told to trust.
//!
//! - [`Authority`]: a certificate authority of our own, created once, that signs leaves.
//! - [`Leaf`]: a certificate chain with its private key, checked before anything may serve it.
//! - [`Bundle`]: the authorities a client trusts, the old and the new one while both are in use.
//! - [`Resolver`]: gives rustls the leaf of the moment; a swap needs no restart and closes no connection.
//! - [`Directory`]: a leaf in files that someone else renews, as the kubelet and cert-manager do.
//!
//! Nothing here starts a thread or a timer, and no private key is ever part of a `Debug` output or an error.

mod authority;
mod bundle;
mod clients;
mod directory;
mod error;
mod leaf;
mod lifetimes;
#[cfg(feature = "kube")]
pub mod managed;
mod resolver;
mod rotation;
mod validity;

pub use authority::Authority;
pub use bundle::Bundle;
pub use clients::Clients;
pub use directory::{CERTIFICATE_FILE, Directory, KEY_FILE};
pub use error::{Error, Part};
pub use leaf::Leaf;
pub use lifetimes::{LifetimeError, Lifetimes};
pub use resolver::Resolver;
pub use rotation::{Change, Rotation, Seen, Signer};
pub use validity::Validity;
