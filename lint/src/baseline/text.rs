//! A baseline as a file: JSON with one finding on each line.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{BaselineError, Entry};

/// Of the format.
pub(super) const VERSION: u64 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[allow(dead_code, reason = "it is looked at before the rest, which may have another form")]
    version: u64,
    findings: BTreeMap<String, Vec<Entry>>,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

pub(super) fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Vec<Entry>>, BaselineError> {
    let error = |source| BaselineError::Syntax { path: path.to_owned(), source };
    let Versioned { version } = serde_json::from_str(text).map_err(error)?;
    if version != VERSION {
        return Err(BaselineError::Version { path: path.to_owned(), version });
    }
    let document: Document = serde_json::from_str(text).map_err(error)?;
    Ok(document.findings)
}

pub(super) fn render(entries: &BTreeMap<String, Vec<Entry>>) -> String {
    let files: Vec<_> = entries
        .iter()
        .map(|(name, entries)| {
            let entries: Vec<_> = entries.iter().map(|entry| format!("      {}", line(entry))).collect();
            format!("    {}: [\n{}\n    ]", quoted(name), entries.join(",\n"))
        })
        .collect();
    let files = if files.is_empty() { "{}".to_owned() } else { format!("{{\n{}\n  }}", files.join(",\n")) };
    format!("{{\n  \"version\": {VERSION},\n  \"findings\": {files}\n}}\n")
}

fn line(entry: &Entry) -> String {
    let Entry { code, namespace, object, path, message } = entry;
    let fields = [
        ("code", Some(code)),
        ("namespace", namespace.as_ref()),
        ("object", object.as_ref()),
        ("path", Some(path)),
        ("message", Some(message)),
    ];
    let fields = fields.into_iter().filter_map(|(key, value)| Some(format!("\"{key}\": {}", quoted(value?))));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
