//! Explanations for people.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::notes::Note;
use super::side::Side;
use super::{Effect, Entry, Meaning};
use crate::output::full::Look;
use crate::output::printable::one_line;

/// Writes explanations, and after them once each what readers often get wrong.
pub fn write(entries: &[Entry<'_>], look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut notes = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        Page { look, out: &mut *out }.entry(entry)?;
        if let Effect::Stored(meaning) = &entry.explanation.effect {
            notes.extend(&meaning.notes);
        }
    }
    if notes.is_empty() {
        return Ok(());
    }
    let mut page = Page { look, out };
    writeln!(page.out)?;
    page.line(0, "", &page.bold("Good to know"))?;
    notes.into_iter().try_for_each(|note: Note| page.line(1, "- ", note.text()))
}

struct Page<'o> {
    look: Look,
    out: &'o mut dyn Write,
}

impl Page<'_> {
    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let position = entry.position();
        let place = format!("{}:{}:{}", one_line(&entry.file.name), position.line, position.column);
        let title = self.bold(&entry.title());
        writeln!(self.out, "{title} ({})", one_line(&place))?;
        match &entry.explanation.effect {
            Effect::Rejected(why) => {
                self.line(
                    1,
                    "",
                    &format!("The API server would reject this policy, so it does nothing: {why}."),
                )?;
            }
            Effect::Stored(meaning) => self.meaning(entry, meaning)?,
        }
        if !entry.findings.is_empty() {
            self.line(1, "", &self.bold("Findings"))?;
        }
        for finding in &entry.findings {
            let line = entry.file.position(finding.place.span.start).line;
            let (code, severity, message) = (finding.rule.code, finding.severity, &finding.message);
            self.line(2, "- ", &format!("line {line}: {code} {severity}: {}", one_line(message)))?;
        }
        Ok(())
    }

    fn meaning(&mut self, entry: &Entry<'_>, meaning: &Meaning) -> io::Result<()> {
        self.line(1, "", &format!("{}.", meaning.subject.sentence()))?;
        for side in [&meaning.ingress, &meaning.egress] {
            self.side(entry, side)?;
        }
        self.line(1, "", &self.bold("Still open"))?;
        if meaning.still_open.is_empty() {
            self.line(2, "- ", "nothing but what the rules above allow")?;
        }
        meaning.still_open.iter().try_for_each(|open| self.line(2, "- ", open))
    }

    fn side(&mut self, entry: &Entry<'_>, side: &Side) -> io::Result<()> {
        let name = side.direction.policy_type();
        self.line(1, "", &side.summary.replacen(name, &self.bold(name), 1))?;
        for (index, rule) in side.rules.iter().enumerate() {
            let line = entry.rule_line(side.direction, index);
            let line = line.map(|line| format!(" (line {line})")).unwrap_or_default();
            let sentence = rule.sentence();
            match sentence.strip_suffix(':') {
                Some(sentence) => self.line(2, "- ", &format!("{sentence}{line}:"))?,
                None => self.line(2, "- ", &format!("{sentence}{line}"))?,
            }
            rule.list().iter().try_for_each(|peer| self.line(4, "- ", &peer.sentence()))?;
        }
        Ok(())
    }

    /// A paragraph at a depth of two columns each, wrapped under the first character after its bullet.
    fn line(&mut self, depth: usize, bullet: &str, text: &str) -> io::Result<()> {
        let indent = " ".repeat(2 * depth);
        let hanging = " ".repeat(2 * depth + bullet.len());
        let mut column = hanging.len();
        write!(self.out, "{indent}{bullet}")?;
        for (index, word) in text.split(' ').enumerate() {
            let width = shown_width(word);
            if index > 0 && column + 1 + width > self.look.width {
                write!(self.out, "\n{hanging}")?;
                column = hanging.len();
            } else if index > 0 {
                write!(self.out, " ")?;
                column += 1;
            }
            write!(self.out, "{word}")?;
            column += width;
        }
        writeln!(self.out)
    }

    fn bold(&self, text: &str) -> String {
        if self.look.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Characters without those of colours.
fn shown_width(word: &str) -> usize {
    word.replace("\x1b[1m", "").replace("\x1b[0m", "").chars().count()
}
