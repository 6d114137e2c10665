//! A repository as teams keep them: ten files for each application, one of them a NetworkPolicy.

use std::fs;
use std::path::Path;

use anyhow::Result;

/// Writes so many applications in folders of their own, twenty in a namespace. Returns the number of bytes.
pub(crate) fn write(root: &Path, apps: usize) -> Result<usize> {
    let mut bytes = 0;
    for index in 0..apps {
        let namespace = format!("team-{:03}", index / 20);
        let folder = root.join(&namespace).join(format!("app-{index:04}"));
        fs::create_dir_all(&folder)?;
        for (name, template) in FILES {
            let text = template
                .replace("APP", &format!("app-{index:04}"))
                .replace("PEER", &format!("app-{:04}", index / 20 * 20 + (index + 1) % 20))
                .replace("TEAM", &namespace);
            bytes += text.len();
            fs::write(folder.join(name), text)?;
        }
    }
    Ok(bytes)
}

/// Files of one application.
pub(crate) const PER_APP: usize = FILES.len();

const FILES: [(&str, &str); 10] = [
    ("networkpolicy.yaml", NETWORK_POLICY),
    ("deployment.yaml", DEPLOYMENT),
    ("service.yaml", SERVICE),
    ("configmap.yaml", CONFIG_MAP),
    ("ingress.yaml", INGRESS),
    ("hpa.yaml", AUTOSCALER),
    ("serviceaccount.yaml", SERVICE_ACCOUNT),
    ("role.yaml", ROLE),
    ("values.yaml", VALUES),
    ("kustomization.yaml", KUSTOMIZATION),
];

const NETWORK_POLICY: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: APP
  namespace: TEAM
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: APP
  policyTypes:
    - Ingress
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app.kubernetes.io/name: PEER
      ports:
        - protocol: TCP
          port: 8080
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: monitoring
          podSelector:
            matchLabels:
              app.kubernetes.io/name: prometheus
      ports:
        - protocol: TCP
          port: 9090
";

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: APP
  namespace: TEAM
  labels:
    app.kubernetes.io/name: APP
    app.kubernetes.io/part-of: shop
spec:
  replicas: 3
  selector:
    matchLabels:
      app.kubernetes.io/name: APP
  template:
    metadata:
      labels:
        app.kubernetes.io/name: APP
        app.kubernetes.io/part-of: shop
    spec:
      serviceAccountName: APP
      securityContext:
        runAsNonRoot: true
      containers:
        - name: APP
          image: registry.example.com/shop/APP:1.4.2
          args: [\"--config=/etc/APP/config.yaml\", \"--listen=:8080\"]
          ports:
            - name: http
              containerPort: 8080
            - name: metrics
              containerPort: 9090
          env:
            - name: LOG_LEVEL
              value: info
            - name: POD_IP
              valueFrom:
                fieldRef:
                  fieldPath: status.podIP
          resources:
            requests:
              cpu: 100m
              memory: 128Mi
            limits:
              memory: 256Mi
          readinessProbe:
            httpGet:
              path: /ready
              port: http
          livenessProbe:
            httpGet:
              path: /live
              port: http
          volumeMounts:
            - name: config
              mountPath: /etc/APP
      volumes:
        - name: config
          configMap:
            name: APP
";

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata:
  name: APP
  namespace: TEAM
spec:
  selector:
    app.kubernetes.io/name: APP
  ports:
    - name: http
      port: 80
      targetPort: http
    - name: metrics
      port: 9090
      targetPort: metrics
";

const CONFIG_MAP: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: APP
  namespace: TEAM
data:
  config.yaml: |
    listen: :8080
    upstreams:
      - name: PEER
        url: http://PEER.TEAM.svc:80
        timeout: 2s
    features:
      search: true
      recommendations: false
    cache:
      size: 10000
      ttl: 5m
  motd: |
    Welcome to APP.
    Nothing here is read by a linter of network policies.
";

const INGRESS: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: APP
  namespace: TEAM
spec:
  ingressClassName: nginx
  rules:
    - host: APP.example.com
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: APP
                port:
                  name: http
";

const AUTOSCALER: &str = "\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: APP
  namespace: TEAM
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: APP
  minReplicas: 3
  maxReplicas: 10
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: 70
";

const SERVICE_ACCOUNT: &str = "\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: APP
  namespace: TEAM
automountServiceAccountToken: false
";

const ROLE: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: APP
  namespace: TEAM
rules:
  - apiGroups: [\"\"]
    resources: [configmaps]
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: APP
  namespace: TEAM
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: APP
subjects:
  - kind: ServiceAccount
    name: APP
    namespace: TEAM
";

const VALUES: &str = "\
replicaCount: 3
image:
  repository: registry.example.com/shop/APP
  tag: 1.4.2
  pullPolicy: IfNotPresent
service:
  type: ClusterIP
  port: 80
resources:
  requests:
    cpu: 100m
    memory: 128Mi
autoscaling:
  enabled: true
  minReplicas: 3
  maxReplicas: 10
";

const KUSTOMIZATION: &str = "\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: TEAM
resources:
  - networkpolicy.yaml
  - deployment.yaml
  - service.yaml
  - configmap.yaml
  - ingress.yaml
  - hpa.yaml
  - serviceaccount.yaml
  - role.yaml
";
