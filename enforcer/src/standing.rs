//! Whether this node's agent enforces, in words for others.

use crate::report::Report;

/// What an agent says of itself. It changes rarely: whoever reads it may be told of every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Policies are enforced on this node, or what they are about is closed.
    pub enforcing: bool,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in a sentence.
    pub message: String,
}

impl Standing {
    /// Before anything is known.
    #[must_use]
    pub fn starting() -> Self {
        Self { enforcing: false, reason: "Starting", message: "the agent starts".into() }
    }

    /// What a report comes to. `ever` is whether objects were ever enforced here, by this run or an earlier one.
    #[must_use]
    pub fn of(report: &Report, ever: bool) -> Self {
        let version = &report.version;
        let bare: Vec<&str> = report
            .links
            .iter()
            .filter(|link| link.role == "pod" && link.problem.is_some())
            .map(|link| link.name.as_str())
            .collect();
        let (enforcing, reason, message) = if !ever {
            (false, "NoObjects", "no objects were ever read on this node".to_owned())
        } else if !bare.is_empty() {
            (false, "HookMissing", format!("pods' links without a program: {}", bare.join(", ")))
        } else if report.synced.is_none() {
            (
                true,
                "EarlierRun",
                "what an earlier run programmed is enforced; no objects were read since".into(),
            )
        } else if !report.problems.is_empty() {
            (true, "Full", format!("what does not fit is closed: {}", report.problems.join("; ")))
        } else if !report.refused.is_empty() {
            (true, "Unreadable", format!("what can't be read is closed: {}", report.refused.join("; ")))
        } else {
            (true, "Enforcing", "networking.k8s.io/v1 NetworkPolicy, all of it".into())
        };
        Self { enforcing, reason, message: shortened(format!("netpol-enforcer {version}: {message}")) }
    }
}

/// Nobody reads a condition to its end.
fn shortened(mut message: String) -> String {
    const LONGEST: usize = 500;
    if message.len() > LONGEST {
        message.truncate((0..=LONGEST).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0));
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::LinkReport;

    fn report() -> Report {
        Report { version: "1.2.3".into(), synced: Some("now".into()), ..Report::default() }
    }

    fn link(role: &str, problem: Option<&str>) -> LinkReport {
        LinkReport {
            index: 4,
            name: "veth4".into(),
            role: role.into(),
            hooks: Vec::new(),
            problem: problem.map(Into::into),
        }
    }

    #[test]
    fn in_a_word() {
        let cases = [
            (report(), true, (true, "Enforcing")),
            (report(), false, (false, "NoObjects")),
            (Report { synced: None, ..report() }, true, (true, "EarlierRun")),
            (Report { links: vec![link("pod", Some("busy"))], ..report() }, true, (false, "HookMissing")),
            (Report { links: vec![link("uplink", Some("busy"))], ..report() }, true, (true, "Enforcing")),
            (Report { problems: vec!["full".into()], ..report() }, true, (true, "Full")),
            (Report { refused: vec!["é".repeat(600)], ..report() }, true, (true, "Unreadable")),
        ];
        for (report, ever, expected) in cases {
            let standing = Standing::of(&report, ever);
            assert_eq!((standing.enforcing, standing.reason), expected, "{standing:?}");
            assert!(standing.message.starts_with("netpol-enforcer 1.2.3: ") && standing.message.len() < 510);
        }
    }
}
