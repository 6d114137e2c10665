//! An answer for people.

use std::fmt;
use std::io::{self, Write};

use miette::{Diagnostic, LabeledSpan, SourceCode};
use netpol_policy::evaluate::{Decision, Endpoint, Isolation, Lack, NearMiss, RuleRef};
use netpol_policy::model::{DEFAULT_DENY_LABEL, Direction};
use netpol_policy::span::Span;

use super::answer::{Answer, Finding, Passes, Route};
use super::place::{At, Places};
use super::seen::Seen;
use super::service::translation;
use crate::file::SourceFile;
use crate::output::excerpt::Text;
use crate::output::full::{Look, handler};
use crate::output::plural;
use crate::output::printable::drawing;

/// Writes the verdict, then for each way what both ends say, with the rules that decide it.
pub fn write(answer: &Answer<'_>, files: &[SourceFile], look: Look, out: &mut dyn Write) -> io::Result<()> {
    Writer { places: Places::new(files), look, out }.answer(answer)
}

struct Writer<'f, 'o> {
    places: Places<'f>,
    look: Look,
    out: &'o mut dyn Write,
}

impl<'f> Writer<'f, '_> {
    fn answer(&mut self, answer: &Answer<'_>) -> io::Result<()> {
        let arrow = self.arrow();
        let port = answer.port.as_ref().map(|port| format!(", {port}")).unwrap_or_default();
        let (open, all) = (answer.open(), answer.routes.len());
        let (word, good) = match (answer.passes(), answer.closed()) {
            (Passes::Yes, _) => ("allowed", true),
            (Passes::Depends, _) => ("it depends", false),
            (Passes::No, closed) if closed == all => ("denied", false),
            (Passes::No, _) => ("partly denied", false),
        };
        let word = self.paint(word, good);
        let (from, to) = (&answer.from, &answer.to);
        match &answer.routes[..] {
            [Route { finding: Finding::Connections { connections, .. }, .. }] if !connections.is_none() => {
                writeln!(self.out, "{word}: {from} {arrow} {to}: {connections}")?;
            }
            _ => writeln!(self.out, "{word}: {from} {arrow} {to}{port}")?,
        }
        if let Some(service) = answer.service {
            let count = plural(all, "way");
            writeln!(
                self.out,
                "  Service {} is decided after translation: {open} of {count} open",
                service.name
            )?;
        }
        for route in &answer.routes {
            self.route(answer, route)?;
        }
        if let Some(service) = answer.namesake {
            let (namespace, name) = (&service.name.namespace, &service.name.name);
            writeln!(
                self.out,
                "\nnote: to go through the Service of that name, ask for {namespace}/Service/{name}"
            )?;
        }
        Ok(())
    }

    fn route(&mut self, answer: &Answer<'_>, route: &Route<'_>) -> io::Result<()> {
        let twins =
            answer.routes.iter().filter(|other| other.same_ends(route) && other.through == route.through);
        let by_address = twins.count() > 1;
        if answer.routes.len() > 1 || answer.service.is_some() {
            let word = match route.passes() {
                Passes::Yes => self.paint("allowed", true),
                Passes::No => self.paint("denied", false),
                Passes::Depends => self.paint("it depends", false),
            };
            let arrow = self.arrow();
            let name = |end: &Endpoint<'_>| match end.address() {
                Some(address) if by_address && end.as_pod().is_some() => format!("{end} at {address}"),
                _ => end.to_string(),
            };
            let (from, to) = (name(&route.source), name(&route.destination));
            let what = match &route.finding {
                Finding::Verdict(traffic, _) => format!(", {traffic}"),
                Finding::Connections { connections, .. } => format!(": {connections}"),
            };
            let through = route.through.map(|port| format!(" ({})", translation(port))).unwrap_or_default();
            writeln!(self.out, "\n{word}: {from} {arrow} {to}{what}{through}")?;
        }
        match &route.finding {
            Finding::Verdict(_, verdict) => {
                self.side(route.source, Direction::Egress, &verdict.egress)?;
                self.arrival(route)?;
                if route.depends.is_empty() {
                    self.side(route.destination, Direction::Ingress, &verdict.ingress)
                } else {
                    self.depends(route, verdict.ingress.isolation())
                }
            }
            Finding::Connections { egress, ingress, .. } => {
                self.isolation(route.source, Direction::Egress, egress)?;
                self.isolation(route.destination, Direction::Ingress, ingress)
            }
        }
    }

    /// What arrives as the source, when it is another.
    fn arrival(&mut self, route: &Route<'_>) -> io::Result<()> {
        let (source, what) = (
            route.source,
            match route.seen {
                Seen::Opener => return Ok(()),
                Seen::Node(address) => format!("from {address}, the address of the node that passes it on"),
                Seen::SomeNode => "from the address of the node that passes it on".to_owned(),
                Seen::Balancer => "from the load balancer".to_owned(),
            },
        );
        writeln!(self.out, "  it arrives {what}, not from {source}")
    }

    /// An address that isn't known, and the blocks that may hold it.
    fn depends(&mut self, route: &Route<'_>, isolation: &[Isolation<'_>]) -> io::Result<()> {
        let what = match route.seen {
            Seen::Balancer => "the address that the load balancer sends from",
            _ => "the address of that node, and no Node with one is given",
        };
        let rules: Vec<_> =
            route.depends.iter().map(|by| format!("policy {}, {by}", by.policy.name)).collect();
        let (verb, end) = (if rules.len() == 1 { "lets" } else { "let" }, route.destination);
        let message = format!(
            "ingress of {end}: depends on {what}; {} {verb} a block of addresses in",
            crate::words::list(&rules)
        );
        let labels = route.depends.iter().filter_map(|by| self.places.peer(by));
        let labels = labels.map(|at| (at, "it must be in this block".to_owned())).collect();
        self.diagnostic(miette::Severity::Warning, message, labels, isolation)
    }

    /// What isolates an end, where everything was asked for.
    fn isolation(
        &mut self,
        end: Endpoint<'_>,
        direction: Direction,
        isolation: &[Isolation<'_>],
    ) -> io::Result<()> {
        if isolation.is_empty() {
            return self.side(end, direction, &Decision::NotIsolated);
        }
        let by: Vec<_> = isolation.iter().map(|isolation| self.isolator(isolation)).collect();
        writeln!(self.out, "  {direction} of {end}: isolated by {}", crate::words::list(&by))
    }

    /// What one end says.
    fn side(&mut self, end: Endpoint<'_>, direction: Direction, decision: &Decision<'_>) -> io::Result<()> {
        let subject = format!("{direction} of {end}");
        match decision {
            Decision::Exempt(exemption) => writeln!(self.out, "  {subject}: open, {exemption}"),
            Decision::NotIsolated => writeln!(self.out, "  {subject}: open, no policy isolates it"),
            Decision::Allowed { isolation, by } => {
                let message = format!("{subject}: allowed by policy {}, {by}", by.policy.name);
                let mut labels = Vec::new();
                labels.extend(self.places.peer(by).map(|at| (at, self.matched(by))));
                if by.peer.is_some() && by.port.is_some() {
                    labels.extend(self.places.port(by).map(|at| (at, "and this port".to_owned())));
                }
                self.diagnostic(miette::Severity::Advice, message, labels, isolation)
            }
            Decision::Denied { isolation, closest: None } => {
                let message = format!("{subject}: denied, nothing that isolates it has a rule");
                self.diagnostic(miette::Severity::Error, message, Vec::new(), isolation)
            }
            Decision::Denied { isolation, closest: Some(miss) } => {
                let NearMiss { at, lacks } = miss;
                let mut message = format!("{subject}: denied; policy {} comes closest", at.policy.name);
                let mut labels = Vec::new();
                for about_port in [false, true] {
                    let lacks: Vec<_> =
                        lacks.iter().filter(|lack| is_about_port(lack) == about_port).collect();
                    let (place, path) = if about_port {
                        (self.places.port(at), port_path(at))
                    } else {
                        (self.places.peer(at), at.to_string())
                    };
                    let needed: Vec<_> = lacks.iter().map(ToString::to_string).collect();
                    let text = match lacks[..] {
                        [] => continue,
                        [Lack::NoPorts] => format!("{path}: this traffic needs a rule without ports"),
                        _ => format!("{path} would need {}", needed.join(" and ")),
                    };
                    match place {
                        Some(place) => labels.push((place, text)),
                        None => message.push_str(&format!("; {text}")),
                    }
                }
                self.diagnostic(miette::Severity::Error, message, labels, isolation)
            }
        }
    }

    fn matched(&self, rule: &RuleRef<'_>) -> String {
        match (rule.peer, rule.port) {
            (Some(_), _) => "this peer matches".to_owned(),
            (None, Some(_)) => "this rule matches: every peer, at one of its ports".to_owned(),
            (None, None) => "this rule allows everything".to_owned(),
        }
    }

    /// A message with the text around it; policies that isolate in other files are named below.
    fn diagnostic(
        &mut self,
        severity: miette::Severity,
        message: String,
        labels: Vec<(At<'f>, String)>,
        isolation: &[Isolation<'_>],
    ) -> io::Result<()> {
        let known = isolation.iter().map(|isolation| (isolation, self.place(isolation)));
        let main = labels
            .first()
            .map(|(at, _)| at.file)
            .or_else(|| known.clone().find_map(|(_, at)| Some(at?.file)));
        let (mut spans, mut elsewhere) = (Vec::new(), Vec::new());
        for (isolation, place) in known {
            match place {
                Some(at) if main.is_some_and(|file| std::ptr::eq(file, at.file)) => {
                    spans.push((at.span, "isolates it".to_owned()));
                }
                _ => elsewhere.push(self.isolator(isolation)),
            }
        }
        // Two things about one place are one label.
        for (at, text) in labels {
            match spans.iter_mut().find(|(span, _)| *span == at.span) {
                Some((_, label)) => {
                    label.push_str(&format!("; {text}"));
                }
                None => spans.push((at.span, text)),
            }
        }
        let help = (!elsewhere.is_empty()).then(|| {
            let also = if spans.iter().any(|(_, text)| text == "isolates it") { "also " } else { "" };
            format!("it is {also}isolated by {}", crate::words::list(&elsewhere))
        });
        let shown = Shown { severity, message, source: main.map(Text), spans, help };
        let mut text = String::new();
        handler(self.look).render_report(&mut text, &shown).map_err(io::Error::other)?;
        let text = drawing(text.trim_end().trim_start_matches('\n'), self.look.colour);
        writeln!(self.out, "{text}")
    }

    fn place(&self, isolation: &Isolation<'_>) -> Option<At<'f>> {
        match isolation {
            Isolation::Policy(policy) => self.places.policy(policy),
            Isolation::NamespaceLabel => None,
        }
    }

    fn isolator(&self, isolation: &Isolation<'_>) -> String {
        match (isolation, self.place(isolation)) {
            (Isolation::Policy(policy), Some(at)) => format!("policy {} ({at})", policy.name),
            (Isolation::Policy(policy), None) => format!("policy {}", policy.name),
            (Isolation::NamespaceLabel, _) => format!("the label {DEFAULT_DENY_LABEL} of its namespace"),
        }
    }

    fn arrow(&self) -> &'static str {
        if self.look.unicode { "→" } else { "->" }
    }

    fn paint(&self, word: &str, good: bool) -> String {
        let colour = if good { 32 } else { 31 };
        if self.look.colour { format!("\x1b[1;{colour}m{word}\x1b[0m") } else { word.to_owned() }
    }
}

/// The JSON path of the ports of a rule: `spec.ingress[0].ports[1]`.
fn port_path(rule: &RuleRef<'_>) -> String {
    let path = RuleRef { peer: None, ..*rule };
    let index = rule.port.map(|port| format!("[{port}]")).unwrap_or_default();
    format!("{path}.ports{index}")
}

fn is_about_port(lack: &Lack<'_>) -> bool {
    matches!(lack, Lack::Port(_) | Lack::Protocol(_) | Lack::NoPorts | Lack::PortNotDeclared(_))
}

/// One end's answer as miette wants it.
#[derive(Debug)]
struct Shown<'f> {
    severity: miette::Severity,
    message: String,
    source: Option<Text<'f>>,
    spans: Vec<(Span, String)>,
    help: Option<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let last = self.spans.len().saturating_sub(1);
        let source = self.source.as_ref()?;
        Some(Box::new(self.spans.iter().enumerate().map(move |(index, (span, text))| {
            let (text, span) = (Some(text.clone()), source.shown(*span));
            if index == last {
                LabeledSpan::new_primary_with_span(text, span)
            } else {
                LabeledSpan::new_with_span(text, span)
            }
        })))
    }
}
