//! What the outside is told: metrics and logs.

mod line;
mod logs;
mod metrics;
mod outcome;

pub(crate) use logs::install as install_logs;
pub(crate) use metrics::{Metrics, Page};
pub(crate) use outcome::{Endpoint, Outcome};
