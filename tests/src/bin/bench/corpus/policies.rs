//! Policy files and nothing else.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const APPS: [&str; 8] = ["frontend", "backend", "db", "cache", "queue", "search", "billing", "auth"];

/// Writes `count` files, one policy each, in folders of a hundred. Returns the number of bytes.
pub(crate) fn write(root: &Path, count: usize) -> Result<usize> {
    let mut bytes = 0;
    for index in 0..count {
        let folder = root.join(format!("team-{:03}", index / 100));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let text = policy(index);
        bytes += text.len();
        let file = folder.join(format!("policy-{index:05}.yaml"));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(bytes)
}

/// A policy that a reviewer would pass: explicit types, three rules, a comment.
fn policy(index: usize) -> String {
    TEMPLATE
        .replace("APP", APPS[index % APPS.len()])
        .replace("PEER", APPS[(index / 3 + 1) % APPS.len()])
        .replace("INDEX", &index.to_string())
        .replace("TEAM", &format!("team-{:03}", index / 100))
        .replace("PORT", &(1024 + index * 7 % 60000).to_string())
        .replace("OCTET", &(index % 200).to_string())
}

const TEMPLATE: &str = "\
# Who may reach APP number INDEX.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: APP-INDEX
  namespace: TEAM
  labels:
    app.kubernetes.io/part-of: shop
spec:
  podSelector:
    matchLabels:
      app: APP
  policyTypes:
    - Ingress
    - Egress
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: PEER
      ports:
        - protocol: TCP
          port: PORT
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: monitoring
          podSelector:
            matchExpressions:
              - key: app
                operator: In
                values: [prometheus, agent]
      ports:
        - protocol: TCP
          port: 9090
          endPort: 9099
  egress:
    - to:
        - ipBlock:
            cidr: 10.OCTET.0.0/16
            except:
              - 10.OCTET.OCTET.0/24
      ports:
        - protocol: TCP
          port: 443
    - ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
";
