#![doc = include_str!("../README.md")]

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
