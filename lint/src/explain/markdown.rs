//! Explanations where Markdown is shown, such as the hover of an editor.

use std::fmt::Write as _;

use super::side::{Allowed, Side};
use super::subject::Subject;
use super::{Effect, Explanation};

/// The whole of a policy.
pub fn policy(explanation: &Explanation) -> String {
    let mut text = String::new();
    if let Some(name) = &explanation.name {
        let _ = writeln!(text, "**{name}**\n");
    }
    match &explanation.effect {
        Effect::Rejected(why) => {
            let why = escaped(why);
            let _ = writeln!(text, "The API server would reject this policy, so it does nothing: {why}.");
        }
        Effect::Stored(meaning) => {
            let _ = writeln!(text, "{}\n", self::subject(&meaning.subject));
            let _ = writeln!(text, "{}\n{}", self::side(&meaning.ingress), self::side(&meaning.egress));
            text += "**Still open**\n\n";
            if meaning.still_open.is_empty() {
                text += "- nothing but what the rules above allow\n";
            }
            for open in &meaning.still_open {
                let _ = writeln!(text, "- {}", escaped(open));
            }
            text += "\n**Good to know**\n\n";
            for note in &meaning.notes {
                let _ = writeln!(text, "- {}", note.text());
            }
        }
    }
    text
}

/// The pods that it selects.
pub fn subject(subject: &Subject) -> String {
    format!("{}.", escaped(&subject.sentence()))
}

/// One direction.
pub fn side(side: &Side) -> String {
    let name = side.direction.policy_type();
    let mut text = escaped(&side.summary).replacen(name, &format!("**{name}**"), 1);
    text.push('\n');
    if !side.rules.is_empty() {
        text.push('\n');
    }
    side.rules.iter().for_each(|allowed| text += &item(allowed));
    text
}

/// One rule.
pub fn rule(allowed: &Allowed, direction: netpol_policy::model::Direction) -> String {
    format!("This {direction} rule allows connections\n\n{}", item(allowed))
}

fn item(allowed: &Allowed) -> String {
    let mut text = format!("- {}\n", escaped(&allowed.sentence()));
    for peer in allowed.list() {
        let _ = writeln!(text, "  - {}", escaped(&peer.sentence()));
    }
    text
}

/// Plain text: what Markdown would take for a mark-up is shown as it is.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    let mut code = false;
    for character in text.chars() {
        code ^= character == '`';
        if !code && "\\*_<>[]#|~".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
