//! Explanations for machines.

use std::io::{self, Write};

use netpol_policy::model::Direction;
use serde::Serialize;

use super::notes::Note;
use super::side::Side;
use super::{Effect, Entry, Known, Meaning};
use crate::finding::Severity;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryJson<'a> {
    namespace: Option<&'a str>,
    name: Option<&'a str>,
    file: &'a str,
    line: u32,
    column: u32,
    /// Why the API server would reject it.
    rejected: Option<&'a str>,
    selects: Option<SelectsJson<'a>>,
    ingress: Option<SideJson<'a>>,
    egress: Option<SideJson<'a>>,
    still_open: &'a [String],
    notes: Vec<NoteJson>,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct SelectsJson<'a> {
    text: &'a str,
    #[serde(flatten)]
    known: KnownJson<'a>,
}

#[derive(Serialize)]
struct KnownJson<'a> {
    /// `namespace/Kind/name`.
    pods: &'a [String],
    /// Whether nothing else was given that could count.
    complete: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SideJson<'a> {
    isolated: bool,
    text: &'a str,
    rules: Vec<RuleJson<'a>>,
    ignored_rules: usize,
}

#[derive(Serialize)]
struct RuleJson<'a> {
    path: String,
    line: Option<u32>,
    everything: bool,
    ports: &'a str,
    /// `null` for everyone.
    peers: Option<Vec<PeerJson<'a>>>,
}

#[derive(Serialize)]
struct PeerJson<'a> {
    text: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    known: Option<KnownJson<'a>>,
}

#[derive(Serialize)]
struct NoteJson {
    id: Note,
    text: &'static str,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    code: &'a str,
    name: &'a str,
    severity: Severity,
    line: u32,
    message: &'a str,
}

/// Writes a JSON list with an object for each policy.
pub fn write(entries: &[Entry<'_>], out: &mut dyn Write) -> io::Result<()> {
    let entries: Vec<_> = entries.iter().map(entry).collect();
    serde_json::to_writer_pretty(&mut *out, &entries)?;
    writeln!(out)
}

fn entry<'a>(entry: &'a Entry<'_>) -> EntryJson<'a> {
    let metadata = &entry.policy.metadata;
    let name = entry.explanation.name.as_ref();
    let namespace = name.map(|name| &*name.namespace);
    let position = entry.position();
    let (rejected, meaning) = match &entry.explanation.effect {
        Effect::Rejected(why) => (Some(why.as_str()), None),
        Effect::Stored(meaning) => (None, Some(&**meaning)),
    };
    let side = |direction| meaning.map(|meaning: &'a Meaning| side(entry, meaning.side(direction)));
    let findings = entry.findings.iter().map(|finding| FindingJson {
        code: finding.rule.code,
        name: finding.rule.name,
        severity: finding.severity,
        line: entry.file.position(finding.place.span.start).line,
        message: &finding.message,
    });
    EntryJson {
        namespace: namespace.or_else(|| metadata.namespace.as_ref().map(|namespace| &*namespace.value)),
        name: metadata.name.as_ref().map(|name| &*name.value),
        file: &entry.file.name,
        line: position.line,
        column: position.column,
        rejected,
        selects: meaning.map(|meaning| SelectsJson {
            text: &meaning.subject.words,
            known: known(&meaning.subject.known),
        }),
        ingress: side(Direction::Ingress),
        egress: side(Direction::Egress),
        still_open: meaning.map(|meaning| meaning.still_open.as_slice()).unwrap_or_default(),
        notes: meaning
            .into_iter()
            .flat_map(|meaning| &meaning.notes)
            .map(|note| NoteJson { id: *note, text: note.text() })
            .collect(),
        findings: findings.collect(),
    }
}

fn side<'a>(entry: &Entry<'_>, side: &'a Side) -> SideJson<'a> {
    let direction = side.direction;
    let rules = side.rules.iter().enumerate().map(|(index, rule)| RuleJson {
        path: format!("spec.{direction}[{index}]"),
        line: entry.rule_line(direction, index),
        everything: rule.everything,
        ports: &rule.ports,
        peers: (!rule.peers.is_empty()).then(|| {
            let peer =
                |peer: &'a super::Peer| PeerJson { text: &peer.words, known: peer.known.as_ref().map(known) };
            rule.peers.iter().map(peer).collect()
        }),
    });
    SideJson {
        isolated: side.isolated,
        text: &side.summary,
        rules: rules.collect(),
        ignored_rules: side.ignored,
    }
}

fn known(known: &Known) -> KnownJson<'_> {
    KnownJson { pods: &known.pods, complete: known.complete }
}
