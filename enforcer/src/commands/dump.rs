//! `netpol-enforcer dump`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::{Map, Value};

use super::print;
use super::table::table;
use crate::cli::{Dump, Output};
use crate::kernel::{Dumped, Pins, Row, dump as read};
use crate::report::Report;

/// Shows maps as the programs see them.
pub(super) fn dump(dump: &Dump) -> Result<()> {
    let pins = Pins::at(&dump.places.bpffs);
    if !pins.exist() {
        bail!("there are no maps: no agent ever ran here (looked under {})", dump.places.bpffs.display());
    }
    let wanted = if dump.maps.is_empty() { Dumped::value_variants() } else { &dump.maps };
    let pods = Pods::of(Report::read(&dump.places.state_dir).ok());
    let mut maps = Vec::new();
    for map in wanted {
        let mut rows = read(&pins, *map)?;
        rows.iter_mut().for_each(|row| pods.name(row));
        maps.push((name(*map), rows));
    }
    let text = match dump.output_format {
        Output::Json => serde_json::to_string_pretty(&json(maps))? + "\n",
        Output::Text => text(&maps, io::stdout().is_terminal()),
    };
    print(text.as_bytes())
}

fn name(map: Dumped) -> String {
    map.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn json(maps: Vec<(String, Vec<Row>)>) -> Value {
    let object =
        |row: Row| row.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>();
    let rows = |rows: Vec<Row>| rows.into_iter().map(|row| Value::Object(object(row))).collect();
    Value::Object(maps.into_iter().map(|(name, of)| (name, rows(of))).collect())
}

fn text(maps: &[(String, Vec<Row>)], colour: bool) -> String {
    let mut out = String::new();
    for (number, (name, rows)) in maps.iter().enumerate() {
        let before = if number == 0 { "" } else { "\n" };
        let head = if colour { format!("\x1b[1m{name}\x1b[0m") } else { name.clone() };
        let _ = writeln!(out, "{before}{head}: {}", rows.len());
        let Some(first) = rows.first() else { continue };
        let head: Vec<String> = first.iter().map(|(key, _)| key.to_uppercase().replace('_', " ")).collect();
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        table(
            &mut out,
            &head,
            rows.iter().map(|row| row.iter().map(|(_, value)| cell(value)).collect()).collect(),
        );
    }
    out
}

fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The pods behind numbers, as far as the agent's state file tells.
#[derive(Default)]
struct Pods {
    by_generation: BTreeMap<u64, String>,
    by_link: BTreeMap<u64, String>,
}

impl Pods {
    fn of(report: Option<Report>) -> Self {
        let mut pods = Self::default();
        for endpoint in report.into_iter().flat_map(|report| report.endpoints) {
            if let Some(pod) = endpoint.pod {
                pods.by_link.insert(endpoint.link.into(), pod.clone());
                pods.by_generation.extend(endpoint.generation.map(|generation| (generation.into(), pod)));
            }
        }
        pods
    }

    /// Adds the pod to a row that names a generation or a link.
    fn name(&self, row: &mut Row) {
        let find =
            |key: &str| row.iter().find(|(column, _)| *column == key).and_then(|(_, value)| value.as_u64());
        let pod = match (find("generation"), find("link")) {
            (Some(generation), _) => self.by_generation.get(&generation),
            (None, Some(link)) => self.by_link.get(&link),
            (None, None) => return,
        };
        row.push(("pod", pod.map_or(Value::Null, |pod| pod.as_str().into())));
    }
}
