//! Agents that read a real API server.

mod away;
mod churn;
mod enforcement;
mod pod_events;
mod standing;

use netpol_tests::agent::Agent;
use netpol_tests::apiserver::{ApiServer, skip as no_server};
use netpol_tests::cluster::mirror::{self, Mirror, Passage};
use netpol_tests::lab::Shape;
use netpol_tests::lab::requirements::skip;

use crate::common::Enforced;

/// A cluster whose objects are in an API server, with agents that read them there.
pub(crate) struct InCluster {
    pub(crate) enforced: Enforced,
    pub(crate) server: ApiServer,
    pub(crate) mirror: Mirror,
    _passages: Vec<Passage>,
}

impl InCluster {
    /// The objects of these manifests and policy files. `None` where this can't run.
    pub(crate) fn new(test: &str, shape: Shape, manifests: &str, policies: &[(&str, &str)]) -> Option<Self> {
        if skip(test) || no_server(test) {
            return None;
        }
        let mut enforced = Enforced::without_agents(shape, manifests);
        enforced.running.set_policies(policies.iter().copied()).unwrap();
        let server = ApiServer::start_with(|_| Ok(mirror::arguments())).unwrap();
        let mut mirror = Mirror::default();
        mirror.write(&server, &enforced.running).unwrap();
        let nodes = 0..enforced.running.lab.nodes.len();
        let passages =
            nodes.map(|node| Passage::new(&enforced.running, node, server.kubeconfig()).unwrap()).collect();
        let mut cluster = Self { enforced, server, mirror, _passages: passages };
        cluster.start_agents();
        Some(cluster)
    }

    pub(crate) fn start_agents(&mut self) {
        let running = &self.enforced.running;
        self.enforced.agents = (0..running.lab.nodes.len())
            .map(|node| Agent::start_in_cluster(running, node, self.server.kubeconfig(), &[]).unwrap())
            .collect();
        self.enforced.wait_until_programmed();
    }

    /// Replaces all policies, by the API.
    pub(crate) fn edit(&mut self, policies: &[(&str, &str)]) {
        self.enforced.edit(policies);
        self.mirror.write(&self.server, &self.enforced.running).unwrap();
    }
}
