//! The configuration: `netpol-lint.toml` and the options of the command that stand for its keys.
//!
//! [`ConfigFile::find`] looks for the file, [`Options`] are its keys, [`Config`] is what they come to.

mod find;
mod options;
mod read;
mod resolve;
mod schema;
mod show;
mod text;

pub use options::{NamespaceError, NamespaceName, Options};
pub use read::{ConfigError, ConfigFile, ConfigProblem, InvalidConfig};
pub use resolve::Config;
pub use schema::schema;

/// The name of the file.
pub const FILE_NAME: &str = "netpol-lint.toml";
