//! Items of `ports`.

use crate::model::{PortMatch, PortName, Protocol, port_number};
use crate::source::problem::ProblemKind;
use crate::source::{PortSource, PortValue, Slot};
use crate::span::Span;
use crate::syntax::{Node, Value};

use super::context::Context;
use super::path::Path;

const FIELDS: [&str; 3] = ["protocol", "port", "endPort"];

pub(super) fn port(context: &mut Context, node: Node<'_>, path: &Path<'_>) -> Option<PortSource> {
    let fields = context.fields(node, path, FIELDS)?;
    let [protocol, number, end] = fields.known;
    let stray = context.stray(&fields.stray, path, "a port", &FIELDS);
    let source = PortSource {
        protocol: context.slot(protocol, |c, node| c.text(node, &path.field("protocol"))),
        port: context.slot(number, |c, node| port_value(c, node, &path.field("port"))),
        end_port: context.slot(end, |c, node| integer(c, node, &path.field("endPort"))),
        stray,
    };
    check_protocol(context, &source, path);
    check_port(context, &source, path);
    check_end_port(context, &source, path);
    Some(source)
}

/// What a port means. `None` when something in it is invalid, which is reported.
pub(super) fn port_model(source: &PortSource) -> Option<PortMatch> {
    let protocol = match source.protocol.value() {
        Some(protocol) => protocol.parse().ok()?,
        None => Protocol::Tcp,
    };
    match source.port.value() {
        None => Some(PortMatch::Every(protocol)),
        Some(PortValue::Text(name)) => Some(PortMatch::Named(protocol, PortName::new(name).ok()?)),
        Some(PortValue::Number(first)) => {
            let first = port_number(*first).ok()?;
            let last = match source.end_port.value() {
                Some(last) => port_number(*last).ok()?,
                None => first,
            };
            PortMatch::range(protocol, first, last).ok()
        }
    }
}

fn port_value(context: &mut Context, node: Node<'_>, path: &Path<'_>) -> Option<PortValue> {
    match node.value() {
        Some(Value::Int(number)) => Some(PortValue::Number(number)),
        Some(Value::Str(text)) => Some(PortValue::Text(text.into())),
        _ => {
            context.wrong_type(node, path, "a whole number up to 65535 or the name of a port").help = None;
            None
        }
    }
}

fn integer(context: &mut Context, node: Node<'_>, path: &Path<'_>) -> Option<i64> {
    match node.value() {
        Some(Value::Int(number)) => Some(number),
        Some(Value::Str(text)) if text.parse::<i64>().is_ok() => {
            context.wrong_type(node, path, "a number").help = Some("write it without quotes".into());
            None
        }
        _ => {
            context.wrong_type(node, path, "a whole number up to 65535").help = None;
            None
        }
    }
}

fn check_protocol(context: &mut Context, source: &PortSource, path: &Path<'_>) {
    let Some(field) = source.protocol.present() else { return };
    if let Err(error) = field.value.parse::<Protocol>() {
        let upper = field.value.to_ascii_uppercase();
        let help = match upper.parse::<Protocol>() {
            Ok(protocol) => format!("write `{protocol}`"),
            Err(_) if upper.starts_with("ICMP") => {
                "ICMP passes only through a rule without `ports`".to_owned()
            }
            Err(_) => "a rule without `ports` allows every protocol".to_owned(),
        };
        let path = path.field("protocol");
        let problem = context.problem(ProblemKind::InvalidEnum, field.span, &path, error.to_string());
        problem.help = Some(help.into());
    }
}

fn check_port(context: &mut Context, source: &PortSource, path: &Path<'_>) {
    let Some(field) = source.port.present() else { return };
    let path = path.field("port");
    let (message, help) = match &field.value {
        PortValue::Number(number) => match port_number(*number) {
            Ok(_) => return,
            Err(error) if *number == 0 => {
                (error.to_string(), Some("for every port of the protocol leave `port` out"))
            }
            Err(error) => (error.to_string(), None),
        },
        PortValue::Text(text) => match PortName::new(text) {
            Ok(_) => return,
            Err(_) if text.parse::<u16>().is_ok() => (
                format!("\"{text}\" is a text, so the API server takes it as a port's name and refuses it"),
                Some("write the number without quotes"),
            ),
            Err(_) if is_range(text) => (
                format!("`{text}` is no port: a range has a field of its own"),
                Some("write the first port as `port` and the last as `endPort`"),
            ),
            Err(error) => (error.to_string(), None),
        },
    };
    context.problem(ProblemKind::InvalidPort, field.span, &path, message).help = help.map(Into::into);
}

fn is_range(text: &str) -> bool {
    let number = |text: &str| text.trim().parse::<u16>().is_ok();
    text.split_once(['-', ':']).is_some_and(|(first, last)| number(first) && number(last))
}

fn check_end_port(context: &mut Context, source: &PortSource, path: &Path<'_>) {
    let Some(field) = source.end_port.present() else { return };
    let path = path.field("endPort");
    let mut wrong = |message: String, related: Option<Span>| {
        context.problem(ProblemKind::InvalidEndPort, field.span, &path, message).related = related;
    };
    match &source.port {
        Slot::Present(port) => match port.value {
            PortValue::Text(_) => wrong("`endPort` needs a numeric `port`".into(), Some(port.span)),
            PortValue::Number(first) if field.value < first => {
                wrong(format!("endPort {} is below port {first}", field.value), Some(port.span));
            }
            PortValue::Number(_) => {
                if let Err(error) = port_number(field.value) {
                    wrong(error.to_string(), None);
                }
            }
        },
        // Its own problem is reported.
        Slot::Wrong(_) => {}
        Slot::Absent | Slot::Null(_) => wrong("`endPort` needs a `port`".into(), None),
    }
}
