//! The answer to a question.

use netpol_policy::evaluate::{Connections, Endpoint, Evaluator, Flow, Isolation, RuleRef, Verdict};
use netpol_policy::model::{Direction, Service, ServicePort, Traffic};

use super::name::Named;
use super::port::Ask;
use super::route::Way;
use super::seen::{self, Seen};

/// What was found out, way by way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'c> {
    /// The source's full name.
    pub from: String,
    /// The destination's full name.
    pub to: String,
    /// What was asked for; everything when `None`.
    pub port: Option<Ask>,
    /// The Service that was asked for.
    pub service: Option<&'c Service>,
    /// A Service of the destination's name, when the destination is a workload.
    pub namesake: Option<&'c Service>,
    /// One for each endpoint of a Service, and for each pair of addresses where these differ; never empty.
    pub routes: Vec<Route<'c>>,
}

/// One way from the source to the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'c> {
    /// Who opens the connection.
    pub source: Endpoint<'c>,
    /// Where it arrives, after translation.
    pub destination: Endpoint<'c>,
    /// The port of the Service that leads there.
    pub through: Option<&'c ServicePort>,
    /// What the destination sees of the source.
    pub seen: Seen,
    /// Where the address that arrives isn't known: the rules with blocks that let it in if they hold it.
    pub depends: Vec<RuleRef<'c>>,
    /// What was found out.
    pub finding: Finding<'c>,
}

/// Whether something passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passes {
    /// It does.
    Yes,
    /// It doesn't.
    No,
    /// It depends on an address that isn't known.
    Depends,
}

/// What was found out about one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding<'c> {
    /// Some traffic was asked for.
    Verdict(Traffic, Verdict<'c>),
    /// Everything was asked for.
    Connections {
        /// What passes.
        connections: Connections,
        /// What isolates the source.
        egress: Vec<Isolation<'c>>,
        /// What isolates the destination.
        ingress: Vec<Isolation<'c>>,
    },
}

pub(super) fn answer<'c>(
    evaluator: &Evaluator<'c>,
    from: Named<'c>,
    to: Named<'c>,
    port: Option<Ask>,
    ways: Vec<Way<'c>>,
) -> Answer<'c> {
    let mut routes: Vec<Route<'c>> = Vec::new();
    for way in ways {
        let (finding, depends) = finding(evaluator, &way);
        let Way { source, destination, through, seen, .. } = way;
        let route = Route { source, destination, through, seen, depends, finding };
        // The same pods at their other addresses, and the other nodes on the way, are worth a word only if the answer is
        // another.
        // Those of the same ends come one after another.
        if !routes.iter().rev().any(|known| known.says_the_same(&route)) {
            routes.push(route);
        }
    }
    let namesake = match to {
        Named::Pod(pod) => evaluator.cluster().services.iter().find(|service| {
            service.name.namespace == pod.name.namespace && service.name.name == pod.name.name
        }),
        _ => None,
    };
    let service = match to {
        Named::Service(service, _) => Some(service),
        _ => None,
    };
    Answer { from: from.to_string(), to: to.to_string(), port, service, namesake, routes }
}

fn finding<'c>(evaluator: &Evaluator<'c>, way: &Way<'c>) -> (Finding<'c>, Vec<RuleRef<'c>>) {
    let Some(traffic) = way.traffic else {
        let isolation = |end: Endpoint<'c>, direction| {
            end.as_pod().map(|pod| evaluator.isolation(pod, direction)).unwrap_or_default()
        };
        let finding = Finding::Connections {
            connections: evaluator.connections(way.source, way.destination),
            egress: isolation(way.source, Direction::Egress),
            ingress: isolation(way.destination, Direction::Ingress),
        };
        return (finding, Vec::new());
    };
    let (first_stop, traffic_there) = way.first_stop.unwrap_or((way.destination, traffic));
    let egress = evaluator.verdict(&Flow::new(way.source, first_stop, traffic_there)).egress;
    let (ingress, depends) = if way.seen.is_known() {
        let source = way.seen.endpoint(way.source);
        (evaluator.verdict(&Flow::new(source, way.destination, traffic)).ingress, Vec::new())
    } else {
        seen::unknown(evaluator, way.destination, traffic)
    };
    (Finding::Verdict(traffic, Verdict { egress, ingress }), depends)
}

impl Answer<'_> {
    /// Whether every way is open; where everything was asked for, whether something passes on every way.
    pub fn passes(&self) -> Passes {
        let is = |wanted: Passes| self.routes.iter().any(|route| route.passes() == wanted);
        match (is(Passes::No), is(Passes::Depends)) {
            (true, _) => Passes::No,
            (false, true) => Passes::Depends,
            (false, false) => Passes::Yes,
        }
    }

    /// Number of ways that are open.
    pub fn open(&self) -> usize {
        self.routes.iter().filter(|route| route.passes() == Passes::Yes).count()
    }

    /// Number of ways that surely aren't.
    pub fn closed(&self) -> usize {
        self.routes.iter().filter(|route| route.passes() == Passes::No).count()
    }
}

impl Route<'_> {
    /// Whether it is open; where everything was asked for, whether something passes.
    pub fn passes(&self) -> Passes {
        let passes = match &self.finding {
            Finding::Verdict(_, verdict) => {
                if verdict.egress.allows() && !self.depends.is_empty() {
                    return Passes::Depends;
                }
                verdict.allowed()
            }
            Finding::Connections { connections, .. } => !connections.is_none(),
        };
        if passes { Passes::Yes } else { Passes::No }
    }

    /// The same endpoints, whatever their addresses.
    pub(super) fn same_ends(&self, other: &Self) -> bool {
        let same = |a: &Endpoint<'_>, b: &Endpoint<'_>| match (a.as_pod(), b.as_pod()) {
            (Some(a), Some(b)) => a.name == b.name,
            (None, None) => a.address() == b.address(),
            _ => false,
        };
        same(&self.source, &other.source) && same(&self.destination, &other.destination)
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.same_ends(other)
            && self.through == other.through
            && self.finding == other.finding
            && self.depends == other.depends
    }
}
