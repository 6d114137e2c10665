//! The HTTPS server around the two reviews.
//!
//! HTTP/1.1 alone: the API server offers nothing else to webhooks. Reviews are bounded in number, size and time; the
//! health and metrics pages are not behind those bounds, so that a flood of reviews doesn't make the kubelet end a
//! process that is merely busy.

mod answer;
mod body;
mod connections;
mod handler;
mod pace;
mod pages;
mod readiness;
mod room;
mod routes;
mod tls;

use std::sync::Arc;

use tokio::sync::Semaphore;

use netpol_certs::Resolver;

use crate::controller::{self, Leadership};
use crate::namespace::{Guard, Labeler};
use crate::telemetry::Metrics;
use crate::validate::Validator;

pub use body::LIMIT as BODY_LIMIT;
pub use connections::{End, Limits, serve};
pub use readiness::Readiness;
pub use tls::config as tls_config;

/// What every request is answered with.
#[derive(Debug)]
pub struct App {
    pub(crate) validator: Validator,
    pub(crate) labeler: Labeler,
    pub(crate) guard: Guard,
    /// Whether this replica does what only one may do.
    pub(crate) leadership: Leadership,
    pub(crate) controller: Arc<controller::Metrics>,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: Metrics,
    permits: Arc<Semaphore>,
    memory: body::Memory,
    pace: pace::Pace,
    /// Whether reviews are for clients with a certificate only.
    known_clients: bool,
}

impl App {
    /// Reviews at most `concurrent` requests at a time; more wait for as long as the API server does.
    pub fn new(validator: Validator, labeler: Labeler, resolver: Arc<Resolver>, concurrent: usize) -> Self {
        let (readiness, metrics) = (Readiness::default(), Metrics::default());
        let permits = Arc::new(Semaphore::new(concurrent));
        let guard = Guard::open(labeler.exemptions().clone());
        let (leadership, controller) = (Leadership::default(), Arc::default());
        Self {
            validator,
            labeler,
            guard,
            leadership,
            controller,
            resolver,
            readiness,
            metrics,
            permits,
            memory: body::Memory::default(),
            pace: pace::Pace::default(),
            known_clients: false,
        }
    }

    /// Asks whoever removes isolation for the right to it.
    #[must_use]
    pub fn guarded(self, guard: Guard) -> Self {
        Self { guard, ..self }
    }

    /// May be the one that does what only one may do.
    #[must_use]
    pub fn with_leadership(self, leadership: Leadership) -> Self {
        Self { leadership, ..self }
    }

    /// Whether and how it is ready.
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Reviews are for clients with a certificate only.
    #[must_use]
    pub fn for_known_clients(self) -> Self {
        Self { known_clients: true, ..self }
    }
}
