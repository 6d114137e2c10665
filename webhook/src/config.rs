//! The configuration file: what findings do, where, and what the webhook can't see of the cluster.
//!
//! It is YAML. Whatever it doesn't say is as usual: errors refuse, warnings warn, the rest is silent.

mod break_glass;
mod effects;
mod namespaces;
mod options;
mod read;
mod refresh;
mod resolve;
mod schema;

pub use break_glass::{ANNOTATION as BREAK_GLASS, BreakGlass};
pub(crate) use effects::UNENFORCEABLE;
pub use effects::{Effect, Effects};
pub use options::Options;
pub use read::Invalid;
pub use refresh::keep_fresh;
pub use resolve::Config;
pub use schema::schema;
