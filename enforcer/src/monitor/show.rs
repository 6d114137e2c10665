//! Notices for people.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Lost, Notice, Side};

/// One notice as text: a line of what happened, and lines of why.
#[must_use]
pub fn text(notice: &Notice, colour: bool) -> String {
    let (word, code) = match &*notice.verdict {
        "drop" => ("DROP ", "31"),
        "audit" => ("AUDIT", "33"),
        _ => ("ALLOW", "32"),
    };
    let word = if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.into() };
    let icmp = notice.protocol.starts_with("ICMP");
    let what = if icmp {
        let number = |side: &Side| side.port.unwrap_or_default();
        format!("{} type {} code {}", notice.protocol, number(&notice.source), number(&notice.destination))
    } else {
        notice.protocol.clone()
    };
    let mut text = format!(
        "{} {word} {:7} {} -> {} {what}: {}",
        notice.time,
        notice.direction,
        side(&notice.source, !icmp),
        side(&notice.destination, !icmp),
        notice.text
    );
    if !notice.isolated_by.is_empty() {
        let pod = notice.pod.as_deref().unwrap_or("the pod");
        let _ = write!(text, "\n    {pod} is isolated by {}", notice.isolated_by.join(", "));
    }
    if let Some(rule) = &notice.rule {
        let _ = write!(text, "\n    {rule}");
    }
    text
}

/// That events were lost, and why.
#[must_use]
pub fn lost_text(lost: &Lost, colour: bool) -> String {
    let word = if colour { "\x1b[33mLOST \x1b[0m" } else { "LOST " };
    let counts = lost.lost;
    let causes = [
        (counts.rate_limited, "beyond the limit of events a pod (--event-limit)"),
        (counts.buffer_full, "because the agent was busy"),
        (counts.slow_reader, "because this monitor reads too slowly"),
    ];
    let causes: Vec<String> =
        causes.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    format!(
        "{} {word} events that are not shown: {}; the counters have them all",
        lost.time,
        causes.join(", ")
    )
}

/// One end of a flow, with its port.
#[must_use]
pub fn end(side: &Side) -> String {
    self::side(side, true)
}

fn side(side: &Side, with_port: bool) -> String {
    let address = match (side.address, side.port.filter(|_| with_port)) {
        (None, _) => "?".into(),
        (Some(address), None) => address.to_string(),
        (Some(IpAddr::V4(address)), Some(port)) => format!("{address}:{port}"),
        (Some(IpAddr::V6(address)), Some(port)) => format!("[{address}]:{port}"),
    };
    match &side.pod {
        Some(pod) => format!("{pod} ({address})"),
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_says_why() {
        let side = |address: &str, port, pod: &str| Side {
            address: Some(address.parse().expect("an address")),
            port: Some(port),
            pod: Some(pod.into()),
        };
        let notice = Notice {
            time: "T".into(),
            verdict: "drop".into(),
            direction: "ingress".into(),
            reason: "not-allowed".into(),
            text: "The direction is isolated, and no rule allows it.".into(),
            pod: Some("shop/db".into()),
            source: side("10.0.0.2", 40000, "shop/web"),
            destination: side("fd00::3", 3306, "shop/db"),
            protocol: "TCP".into(),
            link: "veth1".into(),
            isolated_by: vec!["shop/db-test".into()],
            rule: Some("closest rule: shop/db-test spec.ingress[0], which would need the label role=backend on the pod".into()),
        };
        let expected = "T DROP  ingress shop/web (10.0.0.2:40000) -> shop/db ([fd00::3]:3306) TCP: \
                        The direction is isolated, and no rule allows it.\n    \
                        shop/db is isolated by shop/db-test\n    \
                        closest rule: shop/db-test spec.ingress[0], which would need the label role=backend on the pod";
        assert_eq!(text(&notice, false), expected);
    }
}
