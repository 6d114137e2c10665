//! An answer for people.

use std::fmt;
use std::fmt::Write as _;

use super::answer::{Answer, End, Half, Outcome, Path};

/// An answer as text; the verdict comes last.
#[must_use]
pub fn text(answer: &Answer, colour: bool) -> String {
    let paint = |text: &str, code: &str| {
        if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut out = String::new();
    for path in &answer.paths {
        let service =
            path.service.as_ref().map_or_else(String::new, |service| format!(" (sent to {service})"));
        let hidden = path
            .arrives_from
            .map_or_else(String::new, |address| format!(" (arrives from {address}, the node)"));
        let _ = writeln!(out, "{} -> {}, {}{service}{hidden}", path.source, path.destination, path.traffic);
        half(&mut out, "egress", &path.source, &path.egress, &paint);
        half(&mut out, "ingress", &path.destination, &path.ingress, &paint);
        let _ = writeln!(out);
    }
    for note in &answer.notes {
        let _ = writeln!(out, "note: {note}");
    }
    let verdict = match answer.outcome {
        Outcome::Allowed if audited(&answer.paths) => {
            paint("ALLOWED, but only because of audit mode: policies deny it", "33")
        }
        Outcome::Allowed => paint("ALLOWED", "32"),
        Outcome::Denied if answer.paths.iter().any(|path| path.outcome == Outcome::Allowed) => {
            let denied = answer.paths.iter().filter(|path| path.outcome == Outcome::Denied).count();
            paint(&format!("DENIED on {denied} of {} ways", answer.paths.len()), "31")
        }
        Outcome::Denied => paint("DENIED", "31"),
        Outcome::Unknown => paint("NOT KNOWN HERE", "33"),
        Outcome::Differ => paint(
            "KERNEL AND POLICIES DIFFER: the kernel does not do what the policies say. Please report this with the output \
             of `trace --output-format json` and `dump --output-format json`",
            "1;31",
        ),
    };
    let _ = write!(out, "{verdict}");
    if let Some(error) = &answer.error {
        let _ = write!(out, ": {error}");
    }
    let _ = writeln!(out, " (node {}, epoch {})", answer.node, answer.epoch);
    out
}

fn audited(paths: &[Path]) -> bool {
    let halves = paths.iter().flat_map(|path| [&path.egress, &path.ingress]);
    halves.filter_map(|half| half.kernel.as_ref()).any(|kernel| kernel.audited)
}

fn half(out: &mut String, what: &str, end: &End, half: &Half, paint: &dyn Fn(&str, &str) -> String) {
    let word = |allowed: bool| if allowed { paint("allowed", "32") } else { paint("denied", "31") };
    let policy = &half.policy;
    let why = match policy.why.strip_prefix("allowed ") {
        Some(by) => format!(" {by}"),
        None => format!(": {}", policy.why),
    };
    let _ = writeln!(out, "  {what:7} policies: {}{why}", word(policy.allowed));
    if !policy.isolated_by.is_empty() {
        let _ = writeln!(out, "                    isolated by {}", policy.isolated_by.join(", "));
    }
    match &half.kernel {
        Some(kernel) => {
            let said = match (kernel.allowed, kernel.audited) {
                (false, true) => paint("would be denied (audit)", "33"),
                (allowed, _) => word(allowed),
            };
            let set = kernel.set.map_or_else(String::new, |set| format!(", set {set}"));
            let _ = writeln!(
                out,
                "          kernel:   {said}: {} ({} at {}{set})",
                kernel.text, kernel.reason, kernel.link
            );
            if half.differs() {
                let _ = writeln!(out, "          {}", paint(">>> THEY DIFFER <<<", "1;31"));
            }
        }
        None if end.pod.is_some() => {
            let _ = writeln!(out, "          kernel:   not of this node");
        }
        None => {}
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pod {
            Some(pod) => write!(f, "{pod} ({})", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}
