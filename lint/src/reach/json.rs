//! An answer for machines.

use std::io::{self, Write};

use netpol_policy::evaluate::{Decision, Endpoint, Isolation, RuleRef};
use netpol_policy::model::DEFAULT_DENY_LABEL;
use serde::Serialize;

use super::answer::{Answer, Finding, Passes, Route};
use super::connections::ConnectionsJson;
use super::place::{Places, Written};
use super::seen::Seen;
use crate::file::SourceFile;

/// Writes one JSON object: `from`, `to`, `port` (null for everything), `allowed`, and `routes`, one for each endpoint
/// of a Service and for each pair of addresses where the answers differ.
///
/// A route has `source`, `sourceAddress`, `destination`, `destinationAddress`, `allowed`, and either `port`, `egress` and
/// `ingress`, or `connections` as in the matrix. `egress` and `ingress` have a `decision` (`exempt`, `open`,
/// `allowed`, `denied` or `depends`), what isolates the pod, and the `rule` that allows it or is `closest`, with what it
/// `lacks`. Where a node or a load balancer puts another address in the place of the source's, that is `arrivesFrom`. What
/// depends on an address that isn't known has null as `allowed`, and the first `rule` with a block that may hold it.
pub fn write(answer: &Answer<'_>, files: &[SourceFile], out: &mut dyn Write) -> io::Result<()> {
    let places = Places::new(files);
    let json = AnswerJson {
        from: &answer.from,
        to: &answer.to,
        port: answer.port.as_ref().map(ToString::to_string),
        allowed: known(answer.passes()),
        routes: answer.routes.iter().map(|route| RouteJson::new(route, &places)).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &json)?;
    writeln!(out)
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    from: &'a str,
    to: &'a str,
    port: Option<String>,
    allowed: Option<bool>,
    routes: Vec<RouteJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteJson<'a> {
    source: String,
    source_address: Option<String>,
    destination: String,
    destination_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrives_from: Option<String>,
    allowed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<ConnectionsJson<'a>>,
    egress: SideJson,
    ingress: SideJson,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct SideJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    isolated_by: Vec<IsolationJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<RuleJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closest: Option<RuleJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum IsolationJson {
    Policy {
        name: String,
        #[serde(flatten)]
        place: Option<Written>,
    },
    NamespaceLabel(&'static str),
}

#[derive(Serialize)]
struct RuleJson {
    policy: String,
    path: String,
    #[serde(flatten)]
    place: Option<Written>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lacks: Vec<String>,
}

fn known(passes: Passes) -> Option<bool> {
    match passes {
        Passes::Yes => Some(true),
        Passes::No => Some(false),
        Passes::Depends => None,
    }
}

impl<'a> RouteJson<'a> {
    fn new(route: &'a Route<'_>, places: &Places<'_>) -> Self {
        let address = |end: &Endpoint<'_>| end.address().map(|address| address.to_string());
        let (mut port, mut connections) = (None, None);
        let (egress, ingress) = match &route.finding {
            Finding::Verdict(traffic, verdict) => {
                port = Some(traffic.to_string());
                let mut ingress = SideJson::new(&verdict.ingress, places);
                if let Some(by) = route.depends.first() {
                    ingress.decision = Some("depends");
                    ingress.closest = None;
                    ingress.rule = Some(rule(by, places, Vec::new()));
                }
                (SideJson::new(&verdict.egress, places), ingress)
            }
            Finding::Connections { connections: found, egress, ingress } => {
                connections = Some(ConnectionsJson(found));
                let isolated = |by: &[Isolation<'_>]| SideJson {
                    isolated_by: isolation(by, places),
                    ..SideJson::default()
                };
                (isolated(egress), isolated(ingress))
            }
        };
        Self {
            source: route.source.to_string(),
            source_address: address(&route.source),
            destination: route.destination.to_string(),
            destination_address: address(&route.destination),
            arrives_from: match route.seen {
                Seen::Opener => None,
                Seen::Node(address) => Some(address.to_string()),
                Seen::SomeNode => Some("a node".to_owned()),
                Seen::Balancer => Some("the load balancer".to_owned()),
            },
            allowed: known(route.passes()),
            port,
            connections,
            egress,
            ingress,
        }
    }
}

impl SideJson {
    fn new(decision: &Decision<'_>, places: &Places<'_>) -> Self {
        let side = |word| Self {
            decision: Some(word),
            isolated_by: isolation(decision.isolation(), places),
            ..Self::default()
        };
        match decision {
            Decision::Exempt(exemption) => Self { reason: Some(exemption.to_string()), ..side("exempt") },
            Decision::NotIsolated => side("open"),
            Decision::Allowed { by, .. } => {
                Self { rule: Some(rule(by, places, Vec::new())), ..side("allowed") }
            }
            Decision::Denied { closest, .. } => {
                let closest = closest
                    .as_ref()
                    .map(|miss| rule(&miss.at, places, miss.lacks.iter().map(ToString::to_string).collect()));
                Self { closest, ..side("denied") }
            }
        }
    }
}

fn isolation(isolation: &[Isolation<'_>], places: &Places<'_>) -> Vec<IsolationJson> {
    let json = |isolation: &Isolation<'_>| match isolation {
        Isolation::Policy(policy) => IsolationJson::Policy {
            name: policy.name.to_string(),
            place: places.policy(policy).map(|at| at.written()),
        },
        Isolation::NamespaceLabel => IsolationJson::NamespaceLabel(DEFAULT_DENY_LABEL),
    };
    isolation.iter().map(json).collect()
}

fn rule(rule: &RuleRef<'_>, places: &Places<'_>, lacks: Vec<String>) -> RuleJson {
    RuleJson {
        policy: rule.policy.name.to_string(),
        path: rule.to_string(),
        place: places.peer(rule).or_else(|| places.rule(rule)).map(|at| at.written()),
        lacks,
    }
}
