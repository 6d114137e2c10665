//! How pods start: through a chain of CNI plugins, and from which packet on they are isolated.

mod chain;
mod install;
mod race;

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use netpol_tests::cni::{self, Failure, Runtime, Sandbox};
use netpol_tests::lab::netns::NetNs;
use netpol_tests::lab::requirements;
use netpol_tests::lab::{ServiceProxy, Shape, Wiring};
use netpol_tests::programs;
use serde_json::{Value, json};

use crate::common::Enforced;

/// Pods that the cluster knows, though not their addresses: their network isn't there yet.
pub(crate) fn coming(pods: &[(&str, &str)]) -> String {
    let pod = |(name, role): &(&str, &str)| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{role: {role}}}}}\nspec: {{nodeName: node-1, \
             containers: [{{name: c, image: pause}}]}}\n---\n"
        )
    };
    pods.iter().map(pod).collect()
}

/// Isolates pods of a role in both directions.
pub(crate) fn deny(role: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: deny-{role}}}\nspec: {{podSelector: {{matchLabels: {{role: {role}}}}}, \
         policyTypes: [Ingress, Egress]}}\n---\n"
    )
}

/// A lab whose further pods are connected by a runtime.
pub(crate) struct Started {
    pub(crate) enforced: Enforced,
    pub(crate) runtime: Runtime,
    pub(crate) configurations: PathBuf,
}

impl Started {
    /// One node with a pod `peer`, and these manifests. No agent yet.
    pub(crate) fn new(plugin: &str, version: &str, manifests: &str) -> Self {
        let wiring = match plugin {
            "bridge" => Wiring::Bridge { call_iptables: true },
            _ => Wiring::PointToPoint,
        };
        let peer = "apiVersion: v1\nkind: Pod\nmetadata: {name: peer, labels: {role: peer}}\nspec: {containers: [{name: c, image: pause}]}\n";
        let mut enforced = Enforced::without_agents(Shape::one_node(wiring, ServiceProxy::Nftables), peer);
        enforced.edit(&[("start.yaml", manifests)]);
        let files = &enforced.running.files;
        let configurations = files.directory("net.d").unwrap();
        let network = cni::network(plugin, version, &files.directory("ipam").unwrap());
        fs::write(configurations.join("10-lab.conflist"), network.to_string()).unwrap();
        let own = programs::cni().unwrap().parent().unwrap();
        let runtime = Runtime::new(
            &configurations,
            &[&files.directory("bin").unwrap(), cni::reference_plugins().unwrap(), own],
        );
        Self { enforced, runtime, configurations }
    }

    /// Adds netpol-cni to the chain by hand.
    pub(crate) fn chain(&self, timeout: f64, unavailable: &str) {
        let path = self.configurations.join("10-lab.conflist");
        let mut list: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let plugins = list["plugins"].as_array_mut().unwrap();
        plugins.retain(|plugin| plugin["type"] != "netpol-cni");
        plugins.push(json!({
            "type": "netpol-cni",
            "socket": self.state().join("cni.sock"),
            "timeoutSeconds": timeout,
            "onUnavailable": unavailable,
        }));
        fs::write(path, list.to_string()).unwrap();
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.enforced.running.files.directory("state-node-1").unwrap()
    }

    pub(crate) fn node(&self) -> &NetNs {
        &self.enforced.running.lab.nodes[0].namespace
    }

    pub(crate) fn add(&self, sandbox: Sandbox<'_>) -> anyhow::Result<Value> {
        self.runtime.add(self.node(), sandbox)
    }

    /// The failure of the chained plugin.
    #[track_caller]
    pub(crate) fn failure(&self, result: anyhow::Result<impl std::fmt::Debug>) -> Failure {
        let error = result.expect_err("it fails");
        let failure = error
            .downcast::<Failure>()
            .unwrap_or_else(|error| panic!("{error:#}{}", self.enforced.explain()));
        assert_eq!(failure.plugin, "netpol-cni", "{failure}");
        failure
    }

    /// The agent with arguments.
    pub(crate) fn start_agent(&mut self, more: &[&OsStr]) {
        let program: &Path = programs::enforcer().unwrap();
        let agent = netpol_tests::agent::Agent::start_with(&self.enforced.running, 0, program, more).unwrap();
        self.enforced.agents = vec![agent];
    }
}

/// Whether the machine lacks what these tests need: what a lab needs, and Go to build the reference plugins.
pub(crate) fn skip(test: &str) -> bool {
    if requirements::skip(test) {
        return true;
    }
    match cni::reference_plugins() {
        Ok(_) => false,
        Err(why) => {
            // Not by a macro: the test harness would swallow it.
            let _ = writeln!(std::io::stderr(), "skipped: {test}: no reference CNI plugins: {why}");
            true
        }
    }
}
