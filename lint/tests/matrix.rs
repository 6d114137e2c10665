//! `netpol-lint matrix`: as people run it, and against the evaluator.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::{Command, Output};

use ipnet::IpNet;
use netpol_lint::SourceFile;
use netpol_lint::matrix::{Matrix, html, json};
use netpol_policy::evaluate::{Endpoint, Evaluator, Flow};
use netpol_policy::model::{Cluster, Protocol, Traffic};
use netpol_policy::source;
use serde_json::Value;

const SHOP: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec: {template: {metadata: {labels: {app: web}}, spec: {}}}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: c, ports: [{name: mysql, containerPort: 3306}]}]}
status: {podIP: 10.1.0.9}
---
apiVersion: v1
kind: Pod
metadata: {name: cron, namespace: ops, labels: {app: cron}}
spec: {}
---
apiVersion: v1
kind: Pod
metadata: {name: done, namespace: ops, labels: {app: cron}}
spec: {}
status: {phase: Succeeded}
---
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: ops}
spec: {hostNetwork: true, nodeName: n}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: mysql}, {port: 8000, endPort: 8100}, {port: 53, protocol: UDP}]
  - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}, {ipBlock: {cidr: 10.1.2.0/24}}]
    ports: [{port: 22}]
  - from: [{ipBlock: {cidr: 10.1.0.9/32}}, {ipBlock: {cidr: '2001:db8::/32'}}]
";

fn cluster(text: &str) -> Cluster {
    source::load([((), text)], "default").cluster
}

fn pairs(cluster: &Cluster) -> BTreeMap<(String, String), Value> {
    let evaluator = Evaluator::new(cluster);
    let mut out = Vec::new();
    json::write(&Matrix::new(&evaluator).unwrap(), &mut out).unwrap();
    let list: Vec<Value> = serde_json::from_slice(&out).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let count = list.len();
    let pairs: BTreeMap<_, _> = list
        .into_iter()
        .map(|pair| ((text(&pair["src"]), text(&pair["dst"])), pair["connections"].clone()))
        .collect();
    assert_eq!(pairs.len(), count, "each pair once");
    pairs
}

fn matrix(args: &[&str], files: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol-lint"));
    command.current_dir(folder.path()).arg("matrix").args(args).output().unwrap()
}

fn stdout(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn table() {
    insta::assert_snapshot!(stdout(matrix(&[], &[("shop.yaml", SHOP)])), @r"
        from \ to              1    2    3    4    5    6    7    8    9   10
     1  ops/Pod/agent             all  all    -  all  all  all  all  all  all
     2  ops/Pod/cron         all       all    -  all  all  all  all  all  all
     3  shop/Deployment/web  all  all  all  (a)  all  all  all  all  all  all
     4  shop/Pod/db *^         -    -    -         -    -    -    -    -    -
     5  0.0.0.0/0            all  all  all    -
     6  10.0.0.0/8           all  all  all   22
     7  10.1.0.0/16          all  all  all    -
     8  10.1.2.0/24          all  all  all   22
     9  ::/0                 all  all  all    -
    10  2001:db8::/32        all  all  all    -

     a  TCP 3306,8000-8100; UDP 53

    all: everything passes; -: nothing; ports without a protocol: TCP; *: isolated for ingress; ^: for egress
    ");
}

/// The API server makes a name of its own of each `generateName`: none of these takes the place of another.
#[test]
fn names_that_are_yet_to_be_made() {
    let one = "
{apiVersion: batch/v1, kind: Job, metadata: {generateName: run-}, spec: {template: {metadata: {labels: {app: a}}, spec: {}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {generateName: run-}, spec: {template: {metadata: {labels: {app: b}}, spec: {}}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {generateName: deny-}, spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress]}}
";
    let two = "
{apiVersion: batch/v1, kind: Job, metadata: {generateName: run-}, spec: {template: {metadata: {labels: {app: c}}, spec: {}}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {generateName: deny-}, spec: {podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress]}}
";
    insta::assert_snapshot!(stdout(matrix(&[], &[("one.yaml", one), ("two.yaml", two)])), @r"
       from \ to             1  2    3    4
    1  default/Job/run-… *   -  -  all  all
    2  default/Job/run-…2 *  -  -  all  all
    3  default/Job/run-…3    -  -  all  all
    4  0.0.0.0/0             -  -  all

    all: everything passes; -: nothing; ports without a protocol: TCP; *: isolated for ingress; ^: for egress
    ");
    let page = stdout(matrix(&["--output-format", "html"], &[("one.yaml", one), ("two.yaml", two)]));
    for name in ["default/deny-…<", "default/deny-…2<"] {
        assert!(page.contains(&format!("Ingress isolated by</dt><dd>policy {name}")), "{name}: {page}");
    }
}

#[test]
fn wide_tables_become_lists() {
    let mut text = String::new();
    for index in 0..60 {
        text += &format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p{index}, labels: {{n: p{index}}}}}, spec: {{}}}}\n---\n"
        );
    }
    let deny = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {matchLabels: {n: p7}}, policyTypes: [Ingress, Egress]}}";
    let shown = stdout(matrix(&["many.yaml"], &[("many.yaml", &(text + deny))]));
    assert!(shown.contains("default/Pod/p7 *^\n  -> nobody\n"), "{shown}");
    assert!(shown.contains("default/Pod/p1\n  -> default/Pod/p0: all\n"), "{shown}");
    assert!(!shown.contains("-> default/Pod/p7"), "{shown}");
}

#[test]
fn nothing_to_show() {
    let none = matrix(&[], &[]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("no workloads given"), "{none:?}");
    assert_eq!(stdout(none), "");
    assert_eq!(stdout(matrix(&["--output-format", "json"], &[])), "[]\n");
    assert!(stdout(matrix(&["--output-format", "html"], &[])).contains("0 workloads, 0 policies"));
}

/// The shape that is promised: src, dst, and "all" or protocols with ports as texts.
#[test]
fn json_shape() {
    let shown = stdout(matrix(&["--output-format", "json", "."], &[("shop.yaml", SHOP)]));
    let list: Vec<Value> = serde_json::from_str(&shown).unwrap();
    assert!(list.iter().all(|pair| pair.as_object().unwrap().len() == 3));
    let found = list.iter().find(|pair| pair["src"] == "shop/Deployment/web" && pair["dst"] == "shop/Pod/db");
    assert_eq!(
        found.unwrap()["connections"],
        serde_json::json!([
            {"protocol": "TCP", "ports": ["3306", "8000-8100"]},
            {"protocol": "UDP", "ports": ["53"]},
        ])
    );
    assert!(
        !list.iter().any(|pair| pair["src"] == "ops/Pod/cron" && pair["dst"] == "shop/Pod/db"),
        "left out"
    );
    assert!(!shown.contains("ops/Pod/done"), "a pod that has ended");
    assert!(list.iter().any(|pair| pair["src"] == "ops/Pod/agent" && pair["connections"] == "all"));
    // The pod's own address in a block is the pod, not the world.
    assert!(!shown.contains("10.1.0.9/32"));
}

/// Read as documented, narrowest block first, the list gives the evaluator's verdict for every address.
#[test]
fn the_world_is_complete() {
    let cluster = cluster(SHOP);
    let pairs = pairs(&cluster);
    let evaluator = Evaluator::new(&cluster);
    let addresses = [
        "10.0.0.0",
        "10.0.255.255",
        "10.1.0.0",
        "10.1.1.255",
        "10.1.2.0",
        "10.1.2.255",
        "10.1.3.0",
        "10.255.255.255",
        "11.0.0.0",
        "9.255.255.255",
        "0.0.0.0",
        "255.255.255.255",
        "::",
        "2001:db8::",
        "2001:db8:ffff::",
        "2001:db9::",
    ];
    let traffic = [
        Traffic::port(Protocol::Tcp, 22).unwrap(),
        Traffic::port(Protocol::Tcp, 23).unwrap(),
        Traffic::port(Protocol::Udp, 22).unwrap(),
        Traffic::Icmp,
    ];
    let mut passed = 0;
    for pod in cluster.pods.iter().filter(|pod| !pod.finished) {
        for address in addresses.map(|address| address.parse::<IpAddr>().unwrap()) {
            for traffic in traffic {
                let (inside, outside) = (Endpoint::pod(pod), Endpoint::outside(address));
                let name = pod.name.to_string();
                for (flow, listed) in [
                    (
                        Flow::new(outside, inside, traffic),
                        from_list(&pairs, address, |cidr| (cidr, name.clone()), traffic),
                    ),
                    (
                        Flow::new(inside, outside, traffic),
                        from_list(&pairs, address, |cidr| (name.clone(), cidr), traffic),
                    ),
                ] {
                    // A pod with an IPv4 address only has no way to talk to an IPv6 one.
                    let possible = pod.addresses.is_empty() || address.is_ipv4();
                    let expected = possible && evaluator.verdict(&flow).allowed();
                    assert_eq!(listed, expected, "{} to {} {traffic}", flow.source, flow.destination);
                    passed += u32::from(expected);
                }
            }
        }
    }
    assert!(passed > 100, "{passed}");
}

/// A CIDR stands for its addresses that belong to no pod (docs/lint.md): a pod that has one of them is not the block.
#[test]
fn blocks_are_no_pods() {
    let text = |block: &str, address: &str| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata: {{name: web, namespace: a}}
spec: {{}}
status: {{podIP: '{address}'}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: deny, namespace: a}}
spec:
  podSelector: {{}}
  policyTypes: [Ingress, Egress]
  ingress: [{{from: [{{ipBlock: {{cidr: '{block}'}}}}], ports: [{{port: 443}}]}}]
"
        )
    };
    for (block, address) in [
        ("10.1.0.0/24", "10.1.0.1"),
        ("10.1.0.0/24", "10.1.0.0"),
        ("10.244.1.4/30", "10.244.1.5"),
        ("0.0.0.0/0", "0.0.0.1"),
        ("fd00::/64", "fd00::1"),
        ("::/0", "::1"),
    ] {
        let cluster = cluster(&text(block, address));
        let expected = [(
            (block.to_owned(), "a/Pod/web".to_owned()),
            serde_json::json!([{"protocol": "TCP", "ports": ["443"]}]),
        )];
        assert_eq!(pairs(&cluster), BTreeMap::from(expected), "{block} and {address}");
    }
    // All addresses of the block are the pod's: there is nothing that it could stand for.
    assert_eq!(pairs(&cluster(&text("10.1.0.1/32", "10.1.0.1"))), BTreeMap::new());
}

fn many_blocks(pods: usize, blocks: usize) -> String {
    let mut text = String::from(
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {}, ingress: [{from: [",
    );
    for block in 0..blocks {
        text +=
            &format!("{{ipBlock: {{cidr: 10.{}.{}.{}/32}}}}, ", block >> 16, block >> 8 & 255, block & 255);
    }
    text += "]}]}}";
    for pod in 0..pods {
        text += &format!("\n---\n{{apiVersion: v1, kind: Pod, metadata: {{name: p{pod}}}, spec: {{}}}}");
    }
    text
}

/// The work is in proportion to the blocks, not to their square: 20,000 would take 32 GB then.
#[test]
fn many_blocks_of_one_rule() {
    let cluster = cluster(&many_blocks(1, 20_000));
    let evaluator = Evaluator::new(&cluster);
    let matrix = Matrix::new(&evaluator).unwrap();
    assert_eq!(matrix.ends().len(), 20_002);
    assert!(matrix.connections(1, 0).unwrap().is_none(), "the rest of the world");
    assert!((2..20_002).all(|block| matrix.connections(block, 0).unwrap().is_all()));
    assert!((1..20_002).all(|block| matrix.connections(0, block).unwrap().is_all()));
    assert_eq!(matrix.connections(1, 2), None);
}

#[test]
fn too_many_pairs_are_refused() {
    let output = matrix(&[], &[("many.yaml", &many_blocks(200, 130_000))]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    insta::assert_snapshot!(String::from_utf8(output.stderr).unwrap(), @"netpol-lint: 200 workloads and 130001 blocks of addresses make more than 50 million pairs, too many for a matrix; give fewer files, such as those of one namespace, or ask about one pair with `netpol-lint reach`");
}

/// What the list says about an address: of the blocks listed for this pair, the narrowest counts.
fn from_list(
    pairs: &BTreeMap<(String, String), Value>,
    address: IpAddr,
    key: impl Fn(String) -> (String, String),
    traffic: Traffic,
) -> bool {
    let blocks = pairs.keys().flat_map(|(src, dst)| [src, dst]).filter_map(|name| name.parse::<IpNet>().ok());
    let found = blocks
        .filter(|block| block.contains(&address))
        .filter_map(|block| Some((block.prefix_len(), pairs.get(&key(block.to_string()))?)));
    let Some((_, connections)) = found.max_by_key(|(length, _)| *length) else { return false };
    if connections == "all" {
        return true;
    }
    let Traffic::Port(protocol, port) = traffic else { return false };
    connections.as_array().unwrap().iter().any(|item| {
        let within = |range: &Value| {
            let range = range.as_str().unwrap();
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            (first.parse::<u16>().unwrap()..=last.parse().unwrap()).contains(&port.get())
        };
        item["protocol"] == protocol.as_str() && item["ports"].as_array().unwrap().iter().any(within)
    })
}

/// Names come from files: none of them may become markup or script.
#[test]
fn html_escapes_everything() {
    let evil = "'</script><img src=x onerror=alert(1)>&\"'";
    let text = SHOP
        .replace("name: cron", &format!("name: {evil}"))
        .replace("namespace: ops", &format!("namespace: {evil}"));
    let text = text.replace(
        "name: db, namespace: shop}\nspec:\n",
        &format!("name: db, namespace: shop}}\nspec:\n  # {evil}\n"),
    );
    let file = SourceFile::read(format!("{evil}.yaml"), text.clone(), &"default".into());
    let cluster = cluster(&text);
    let evaluator = Evaluator::new(&cluster);
    let mut out = Vec::new();
    html::write(&Matrix::new(&evaluator).unwrap(), &[file], &mut out).unwrap();
    let page = String::from_utf8(out).unwrap();
    assert!(cluster.pods.iter().any(|pod| pod.name.name.contains("</script>")), "the name got this far");
    assert!(page.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;"), "shown as it is");
    assert!(!page.contains("<img"));
    assert_eq!(page.matches("</script>").count(), 3, "data and two scripts");
    assert_eq!(page.matches("<script").count(), 3);
}

#[test]
fn html_without_a_table_when_there_are_too_many() {
    let mut text = String::new();
    for index in 0..250 {
        text += &format!("{{apiVersion: v1, kind: Pod, metadata: {{name: p{index}}}, spec: {{}}}}\n---\n");
    }
    let page = stdout(matrix(&["--output-format", "html"], &[("many.yaml", &text)]));
    assert!(page.contains("Too many for a table") && !page.contains("<table"));
    assert_eq!(page.matches("<details").count(), 250);
    assert!(page.contains("<dd>everyone</dd>"));
}

#[test]
fn html_stands_alone() {
    let page = stdout(matrix(&["--output-format", "html"], &[("shop.yaml", SHOP)]));
    for outside in ["http:", "https:", "src=", "@import", "url(", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    // The table is there without scripts, and the reasons with places for those who have them.
    let (before_scripts, scripts) = page.split_once("<script").unwrap();
    assert!(
        before_scripts.contains("<table id=\"matrix\">") && before_scripts.contains("Ingress isolated by")
    );
    assert_eq!(
        before_scripts.matches("<th scope=\"row\">").count(),
        before_scripts.matches("<th scope=\"col\"").count()
    );
    let data = scripts.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: Value = serde_json::from_str(data).unwrap();
    let texts = data["texts"].as_array().unwrap();
    assert!(texts.iter().any(|text| {
        text.as_str().unwrap().contains("spec.ingress[0].from[0] of policy shop/db (shop.yaml:")
    }));
    let missed = "spec.ingress[0].from[0] of policy shop/db (shop.yaml:36:12), which would need the peer to be in namespace shop, not ops and the label app=web on the pod";
    assert!(texts.iter().any(|text| text.as_str().unwrap().contains(missed)), "{texts:#?}");
    assert_eq!(data["ends"].as_array().unwrap().len(), before_scripts.matches("<th scope=\"row\">").count());
}
