//! All pairs of some endpoints.

use crate::model::{Direction, NetworkPolicy};

use super::connections::Connections;
use super::endpoint::Endpoint;
use super::evaluator::{Evaluator, over_families};

/// Answers for every pair of some endpoints. Which policies isolate an endpoint is found once for each, not for each
/// pair: a pair costs as much as the rules of those policies.
#[derive(Debug)]
pub struct Reachability<'e, 'c> {
    evaluator: &'e Evaluator<'c>,
    endpoints: Vec<Prepared<'c>>,
}

#[derive(Debug)]
struct Prepared<'c> {
    endpoint: Endpoint<'c>,
    /// The policies that isolate it; `None` when nothing does.
    egress: Option<Vec<&'c NetworkPolicy>>,
    ingress: Option<Vec<&'c NetworkPolicy>>,
}

impl<'e, 'c> Reachability<'e, 'c> {
    pub(super) fn new(evaluator: &'e Evaluator<'c>, endpoints: Vec<Endpoint<'c>>) -> Self {
        let isolation = |endpoint: Endpoint<'c>, direction| {
            let pod = endpoint.as_pod()?;
            let isolated = !evaluator.isolation(pod, direction).is_empty();
            isolated.then(|| evaluator.selecting(pod, direction).collect())
        };
        let prepared = endpoints.into_iter().map(|endpoint| Prepared {
            endpoint,
            egress: isolation(endpoint, Direction::Egress),
            ingress: isolation(endpoint, Direction::Ingress),
        });
        Self { evaluator, endpoints: prepared.collect() }
    }

    /// For whoever knows already which policies isolate each endpoint for ingress and for egress: `None` where nothing
    /// does. The policies of the evaluator don't count then.
    pub fn of_isolated(
        evaluator: &'e Evaluator<'c>,
        endpoints: impl IntoIterator<Item = (Endpoint<'c>, [Option<Vec<&'c NetworkPolicy>>; 2])>,
    ) -> Self {
        type Isolated<'c> = (Endpoint<'c>, [Option<Vec<&'c NetworkPolicy>>; 2]);
        let prepared = |(endpoint, [ingress, egress]): Isolated<'c>| Prepared { endpoint, egress, ingress };
        Self { evaluator, endpoints: endpoints.into_iter().map(prepared).collect() }
    }

    /// The endpoints, in the order given.
    pub fn endpoints(&self) -> impl ExactSizeIterator<Item = Endpoint<'c>> {
        self.endpoints.iter().map(|prepared| prepared.endpoint)
    }

    /// Whether something isolates an endpoint in a direction.
    ///
    /// # Panics
    ///
    /// When there is no endpoint of that index.
    pub fn is_isolated(&self, endpoint: usize, direction: Direction) -> bool {
        self.endpoints[endpoint].policies(direction).is_some()
    }

    /// The same as [`Evaluator::connections`] for two of the endpoints, by their indexes.
    ///
    /// # Panics
    ///
    /// When there is no endpoint of one of the indexes.
    pub fn connections(&self, source: usize, destination: usize) -> Connections {
        let (from, to) = (&self.endpoints[source], &self.endpoints[destination]);
        over_families(from.endpoint, to.endpoint, |source, destination| {
            let one = |near: &Prepared<'c>, direction| {
                let Some(policies) = near.policies(direction) else { return Connections::all() };
                if self.evaluator.subject_or_exempt(source, destination, direction).is_err() {
                    return Connections::all();
                }
                self.evaluator.allowed_by(policies.iter().copied(), source, destination, direction)
            };
            let egress = one(from, Direction::Egress);
            if egress.is_none() { egress } else { egress.intersection(&one(to, Direction::Ingress)) }
        })
    }
}

impl<'c> Prepared<'c> {
    fn policies(&self, direction: Direction) -> Option<&[&'c NetworkPolicy]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}
