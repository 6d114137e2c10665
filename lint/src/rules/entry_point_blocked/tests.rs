use crate::rules::testing::{clean, findings};

const WEB: &str = r"
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: web, ports: [{containerPort: 8080}]}]}
";
const INGRESS: &str = r"---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: shop}
spec: {ingressClassName: nginx, rules: [{http: {paths: [{backend: {service: {name: web, port: {name: http}}}}]}}]}
";
const ROUTE: &str = r"---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec: {parentRefs: [{name: edge, namespace: infra}], rules: [{backendRefs: [{name: web, port: 80}]}]}
";
const WEBHOOK: &str = r"---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: web}
webhooks: [{clientConfig: {service: {name: web, namespace: shop, port: 80}}}]
";
const SLICE: &str = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: kubernetes, labels: {kubernetes.io/service-name: kubernetes}}\naddressType: IPv4\nendpoints: [{addresses: [192.0.2.10]}]\nports: [{port: 6443}]\n";

fn policy(name: &str, selector: &str, ingress: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{podSelector: {selector}, policyTypes: [Ingress], ingress: {ingress}}}\n"
    )
}

fn pod(namespace: &str, labels: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: proxy, namespace: {namespace}, labels: {{{labels}}}}}\nspec: {spec}\n"
    )
}

fn web(selector: &str, ingress: &str, more: &[&str]) -> String {
    format!("{}{WEB}{}", policy("p", selector, ingress), more.concat())
}

const ALL: &str = "{}";
const ONE: &str = "{matchLabels: {app: web}}";
const FROM_SHOP: &str = "[{from: [{podSelector: {}}], ports: [{port: 8080}]}]";

#[test]
fn fails() {
    insta::assert_snapshot!(findings("NP512", &web(ALL, FROM_SHOP, &[WEBHOOK])), @"5:8 warning spec.podSelector: MutatingWebhookConfiguration web leads to Service shop/web, but no policy lets the API server in to its pods (shop/Pod/web) on 8080/TCP");
    let block = "[{from: [{ipBlock: {cidr: 198.51.100.0/24}}]}]";
    insta::assert_snapshot!(findings("NP512", &web(ALL, block, &[WEBHOOK, SLICE])), @"5:8 warning spec.podSelector: MutatingWebhookConfiguration web leads to Service shop/web, but no policy lets the API server in to its pods (shop/Pod/web) on 8080/TCP");
    insta::assert_snapshot!(findings("NP512", &web(ALL, "[]", &[INGRESS, ROUTE])), @"5:8 warning spec.podSelector: Ingress shop/web and HTTPRoute shop/web lead to Service shop/web, but no policy lets anybody in to its pods (shop/Pod/web) on 8080/TCP");
    insta::assert_snapshot!(findings("NP512", &web(ONE, "[{ports: [{port: 80}]}]", &[INGRESS])), @"5:35 warning spec.podSelector: Ingress shop/web leads to Service shop/web, but no policy lets anybody in to its pods (shop/Pod/web) on 8080/TCP");
    let controller = pod("front", "app.kubernetes.io/name: ingress-nginx", "{}");
    insta::assert_snapshot!(findings("NP512", &web(ONE, FROM_SHOP, &[INGRESS, &controller])), @"5:35 warning spec.podSelector: Ingress shop/web leads to Service shop/web, but no policy lets front/Pod/proxy in to its pods (shop/Pod/web) on 8080/TCP");
    let on_node = pod("front", "app.kubernetes.io/name: ingress-nginx", "{hostNetwork: true}");
    let from_front = "[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: front}}}]}]";
    insta::assert_snapshot!(findings("NP512", &web(ONE, from_front, &[INGRESS, &on_node])), @"5:35 warning spec.podSelector: Ingress shop/web leads to Service shop/web, but no policy lets front/Pod/proxy in to its pods (shop/Pod/web) on 8080/TCP");
    let proxy = pod("infra", "gateway.networking.k8s.io/gateway-name: edge", "{}");
    insta::assert_snapshot!(findings("NP512", &web(ONE, FROM_SHOP, &[ROUTE, &proxy])), @"5:35 warning spec.podSelector: HTTPRoute shop/web leads to Service shop/web, but no policy lets infra/Pod/proxy in to its pods (shop/Pod/web) on 8080/TCP");
    let api = "---\napiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v1.web.example.com}\nspec: {service: {name: web, namespace: shop, port: 80}}\n";
    insta::assert_snapshot!(findings("NP512", &web(ALL, FROM_SHOP, &[api])), @"5:8 warning spec.podSelector: APIService v1.web.example.com leads to Service shop/web, but no policy lets the API server in to its pods (shop/Pod/web) on 8080/TCP");
}

#[test]
fn the_narrowest_policy_answers() {
    let text = format!("{}{}", policy("all", ALL, "[]"), web(ONE, FROM_SHOP, &[WEBHOOK]));
    assert!(findings("NP512", &text).starts_with("10:"), "{}", findings("NP512", &text));
}

#[test]
fn passes() {
    clean("NP512", &web(ALL, "[{}]", &[WEBHOOK, INGRESS]));
    clean("NP512", &web(ALL, "[{ports: [{port: 8080}]}]", &[WEBHOOK, INGRESS]));
    clean("NP512", &web(ALL, "[{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]", &[WEBHOOK, INGRESS, ROUTE]));
    clean("NP512", &web(ALL, "[{from: [{ipBlock: {cidr: 192.0.2.0/24}}]}]", &[WEBHOOK, SLICE]));
    clean("NP512", &web(ALL, FROM_SHOP, &[INGRESS, ROUTE]));
    clean("NP512", &web("{matchLabels: {app: db}}", "[]", &[WEBHOOK, INGRESS]));
    let from_front = "[{from: [{namespaceSelector: {matchLabels: {team: front}}}]}]";
    let controller = pod("front", "app.kubernetes.io/name: ingress-nginx", "{}");
    clean("NP512", &web(ONE, from_front, &[INGRESS, &controller]));
    // Neither the Service nor its pods are known.
    let alone = format!("{}{WEBHOOK}{INGRESS}", policy("p", ALL, "[]"));
    clean("NP512", &alone);
    // Another policy lets the caller in.
    clean(
        "NP512",
        &format!("{}{}", policy("open", ONE, "[{ports: [{port: 8080}]}]"), web(ALL, "[]", &[WEBHOOK])),
    );
}
