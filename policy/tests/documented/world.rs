//! Small clusters and questions about them.

use netpol_policy::evaluate::{Endpoint, Evaluator, Flow, Verdict};
use netpol_policy::model::{Cluster, Traffic};
use netpol_policy::source::load;

/// The pods that most cases share: three in `default` with addresses, and one each in `other` and `third`.
pub(crate) const PODS: &str = "
kind: Namespace
metadata: {name: default, labels: {project: own}}
apiVersion: v1
---
kind: Namespace
metadata: {name: other, labels: {project: myproject}}
apiVersion: v1
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: default, labels: {role: db}},
 spec: {containers: [{name: c, ports: [{name: redis, containerPort: 6379}]}]},
 status: {podIPs: [{ip: 10.1.0.1}, {ip: 'fd00:1::1'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: frontend, namespace: default, labels: {role: frontend}},
 spec: {}, status: {podIPs: [{ip: 10.1.0.2}, {ip: 'fd00:1::2'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: plain, namespace: default}, spec: {}, status: {podIP: 10.1.0.3}}
---
{apiVersion: v1, kind: Pod, metadata: {name: frontend, namespace: other, labels: {role: frontend}},
 spec: {}, status: {podIP: 10.2.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: plain, namespace: other}, spec: {}, status: {podIP: 10.2.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: frontend, namespace: third, labels: {role: frontend}},
 spec: {}, status: {podIP: 10.3.0.1}}
";

/// A cluster read from manifests.
pub(crate) struct World(pub(crate) Cluster);

/// [`PODS`] and some policies; each is the text of a `spec`, in the namespace `default`.
pub(crate) fn with_policies<const N: usize>(specs: [&str; N]) -> World {
    let policies =
        specs.iter().enumerate().map(|(index, spec)| policy(&format!("default/policy-{index}"), spec));
    World::new([PODS.to_owned()].into_iter().chain(policies))
}

/// A policy with a `spec`, indented as one likes.
pub(crate) fn policy(name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap();
    let spec = spec.replace('\n', "\n  ");
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec:\n  {spec}\n"
    )
}

impl World {
    pub(crate) fn new(texts: impl IntoIterator<Item = String>) -> Self {
        let loaded = load(texts.into_iter().map(|text| ((), text)), "default");
        for (_, manifest) in &loaded.manifests {
            assert!(manifest.errors.is_empty(), "{:?}", manifest.errors);
            for policy in manifest.policies() {
                assert!(policy.problems.is_empty(), "{:?}", policy.problems);
            }
        }
        Self(loaded.cluster)
    }

    /// An end by `namespace/name` or by its address.
    pub(crate) fn end(&self, name: &str) -> Endpoint<'_> {
        if let Ok(address) = name.parse() {
            return Endpoint::at(&self.0, address);
        }
        let mut pods = self.0.pods.iter();
        let pod = pods.find(|pod| format!("{}/{}", pod.name.namespace, pod.name.name) == name);
        Endpoint::pod(pod.unwrap_or_else(|| panic!("no pod {name}")))
    }

    /// The verdict about `from to what`, such as `default/a 10.0.0.1 80/TCP`.
    pub(crate) fn verdict(&self, flow: &str) -> Verdict<'_> {
        let [from, to, what] = flow.split(' ').collect::<Vec<_>>()[..] else { panic!("{flow}") };
        let traffic = match what.split_once('/') {
            Some((port, protocol)) => {
                Traffic::port(protocol.parse().unwrap(), port.parse().unwrap()).unwrap()
            }
            None if what == "icmp" => Traffic::Icmp,
            None => Traffic::Other(what.parse().unwrap()),
        };
        Evaluator::new(&self.0).verdict(&Flow::new(self.end(from), self.end(to), traffic))
    }

    /// These flows pass.
    #[track_caller]
    pub(crate) fn open<const N: usize>(&self, flows: [&str; N]) -> &Self {
        for flow in flows {
            assert!(self.verdict(flow).allowed(), "should pass: {flow}\n{:#?}", self.verdict(flow));
        }
        self
    }

    /// These flows don't.
    #[track_caller]
    pub(crate) fn closed<const N: usize>(&self, flows: [&str; N]) -> &Self {
        for flow in flows {
            assert!(!self.verdict(flow).allowed(), "should not pass: {flow}\n{:#?}", self.verdict(flow));
        }
        self
    }
}
