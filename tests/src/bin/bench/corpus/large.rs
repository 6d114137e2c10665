//! Many pods and many policies about them, as a dump of a large cluster has them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

/// How much there is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) namespaces: usize,
    /// In each namespace; every ten share their labels, as replicas do.
    pub(crate) pods: usize,
    /// In each namespace.
    pub(crate) policies: usize,
}

/// Writes two files for each namespace. Returns the number of bytes.
pub(crate) fn write(root: &Path, size: Size) -> Result<usize> {
    let mut bytes = 0;
    for namespace in 0..size.namespaces {
        let (pods, policies) = (pods(namespace, size), policies(namespace, size));
        bytes += pods.len() + policies.len();
        fs::write(root.join(format!("ns-{namespace:04}-pods.yaml")), pods)?;
        fs::write(root.join(format!("ns-{namespace:04}-policies.yaml")), policies)?;
    }
    Ok(bytes)
}

fn pods(namespace: usize, size: Size) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: ns-{namespace:04}\n  labels: {{team: team-{:02}}}\n",
        namespace % 20
    );
    for pod in 0..size.pods {
        let (app, tier) = (pod / 10, ["front", "back", "data"][pod / 10 % 3]);
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: Pod
metadata:
  name: app-{app}-{pod}
  namespace: ns-{namespace:04}
  labels:
    app: app-{app}
    tier: {tier}
spec:
  containers:
    - name: main
      image: registry.example.com/app
      ports:
        - name: http
          containerPort: 8080
"
        );
    }
    for app in 0..size.pods.div_ceil(10) {
        let _ = write!(
            text,
            "---
apiVersion: v1
kind: Service
metadata: {{name: app-{app}, namespace: ns-{namespace:04}}}
spec:
  selector: {{app: app-{app}}}
  ports:
    - port: 80
      targetPort: http
"
        );
    }
    text
}

fn policies(namespace: usize, size: Size) -> String {
    let apps = size.pods.div_ceil(10);
    let mut text = format!(
        "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: ns-{namespace:04}
spec:
  podSelector: {{}}
  policyTypes:
    - Ingress
    - Egress
"
    );
    // The first one is there already.
    for policy in 1..size.policies {
        let other = (namespace + 1 + policy % 7) % size.namespaces;
        let _ = write!(
            text,
            "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: policy-{policy}
  namespace: ns-{namespace:04}
spec:
  podSelector:
    matchLabels:
      app: app-{}
  policyTypes:
    - Ingress
    - Egress
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: app-{}
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: ns-{other:04}
          podSelector:
            matchLabels:
              tier: front
      ports:
        - protocol: TCP
          port: http
    - from:
        - namespaceSelector:
            matchLabels:
              team: team-{:02}
      ports:
        - protocol: TCP
          port: 8080
  egress:
    - to:
        - podSelector:
            matchLabels:
              app: app-{}
      ports:
        - protocol: TCP
          port: http
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
",
            policy % apps,
            (policy + 1) % apps,
            namespace % 20,
            (policy + apps - 1) % apps,
        );
    }
    text
}
