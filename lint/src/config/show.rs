//! What counts, as TOML, with where it comes from.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use toml::{Table, Value};

use super::resolve::from_here;
use super::{Config, Options};
use crate::output::printable::one_line;

impl Config {
    /// Writes everything that counts as a configuration, each key with its origin in a comment.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let file = self.file.as_ref();
        let name = file.map(|file| one_line(&from_here(&file.path).to_string_lossy()).into_owned());
        match &name {
            Some(name) => writeln!(out, "# from {name}")?,
            None => writeln!(out, "# no {} found", super::FILE_NAME)?,
        }
        let of_file = file.map(|file| table(&file.options)).unwrap_or_default();
        let flags = table(&self.flags);
        let origin = |keys: &[&str]| {
            let in_file = keys.iter().filter(|key| of_file.contains_key(**key)).map(|key| match keys.len() {
                1 => super::FILE_NAME.to_owned(),
                _ => format!("{} ({key})", super::FILE_NAME),
            });
            let given = keys.iter().filter(|key| flags.contains_key(**key)).map(|key| format!("--{key}"));
            let all: Vec<_> = in_file.chain(given).collect();
            if all.is_empty() { "default".to_owned() } else { all.join(", ") }
        };
        let codes: Vec<_> = self.settings.selection.rules().map(|rule| rule.code).collect();
        write_key(out, "select", &value(codes), &origin(&["select", "extend-select", "ignore"]))?;
        let baseline = flags.get("baseline").map(|value| (value, "--baseline"));
        let baseline = baseline.or(of_file.get("baseline").map(|value| (value, super::FILE_NAME)));
        if let Some((value, origin)) = baseline {
            write_key(out, "baseline", value, origin)?;
        }
        for (key, default) in self.defaults() {
            let given = flags.get(key).map(|value| (value, format!("--{key}")));
            let written = of_file.get(key).map(|value| (value, super::FILE_NAME.to_owned()));
            let (value, origin) = given.or(written).unwrap_or((&default, "default".to_owned()));
            write_key(out, key, value, &origin)?;
        }
        for key in ["severity", "per-file-ignores"] {
            let mut entries = BTreeMap::new();
            for (table, origin) in [(&of_file, super::FILE_NAME.to_owned()), (&flags, format!("--{key}"))] {
                let written = table.get(key).and_then(Value::as_table).into_iter().flatten();
                entries.extend(written.map(|(name, value)| (name, (value, origin.clone()))));
            }
            if !entries.is_empty() {
                writeln!(out, "\n[{key}]")?;
            }
            for (name, (value, origin)) in entries {
                write_key(out, &toml_key(name), value, &origin)?;
            }
        }
        Ok(())
    }

    /// The keys with one value, and what they are when nothing is said.
    fn defaults(&self) -> Vec<(&'static str, Value)> {
        let none = || value(Vec::<String>::new());
        let default = Config::resolve(None, Options::default(), std::path::Path::new("."));
        vec![
            ("fail-on", value(default.fail_on)),
            ("output-format", value(default.output_format)),
            ("namespace", value(&default.namespace)),
            ("external-namespaces", none()),
            ("external-pods", none()),
            ("dual-stack", value(default.settings.dual_stack)),
            ("wide-port-range", value(default.settings.wide_port_range)),
            ("include", none()),
            ("exclude", none()),
        ]
    }
}

fn table(options: &Options) -> Table {
    Table::try_from(options).expect("options are what a file may hold")
}

fn value(value: impl Serialize) -> Value {
    Value::try_from(value).expect("a value of the file")
}

/// As it must be written where it isn't a bare word.
fn toml_key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { Value::from(name).to_string() }
}

/// The widest line of a list.
const WIDTH: usize = 100;

fn write_key(out: &mut dyn Write, key: &str, value: &Value, origin: &str) -> io::Result<()> {
    let line = format!("{key} = {value}");
    let items = match value {
        Value::Array(items) if line.len() > WIDTH => items,
        _ => return writeln!(out, "{line}  # {origin}"),
    };
    writeln!(out, "{key} = [  # {origin}")?;
    let mut line = String::from("   ");
    for item in items {
        let item = format!(" {item},");
        if line.len() + item.len() > WIDTH {
            writeln!(out, "{line}")?;
            line.truncate(3);
        }
        line.push_str(&item);
    }
    writeln!(out, "{line}\n]")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::ConfigFile;

    #[test]
    fn what_is_shown_is_a_configuration() {
        let options = Options::parse(
            "netpol-lint.toml",
            "select = ['NP1', 'NP0']\nnamespace = 'shop'\nexclude = ['old/']\n[severity]\nNP101 = 'error'\n[per-file-ignores]\n'a b/*.yaml' = ['NP1']",
        );
        let file = ConfigFile { path: "/repo/netpol-lint.toml".into(), options: options.unwrap() };
        let flags = "ignore = ['NP0']\nfail-on = 'error'\nseverity = {NP102 = 'info'}";
        let config = Config::resolve(Some(file), Options::parse("flags", flags).unwrap(), Path::new("/repo"));
        let mut text = Vec::new();
        config.write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let again = Options::parse("shown", &text).unwrap();
        let again = Config::resolve(None, again, Path::new("/repo"));
        assert_eq!(again.settings.selection, config.settings.selection);
        let (_, rest) = text.split_once("fail-on").unwrap();
        insta::assert_snapshot!(format!("fail-on{rest}"), @r#"
        fail-on = "error"  # --fail-on
        output-format = "full"  # default
        namespace = "shop"  # netpol-lint.toml
        external-namespaces = []  # default
        external-pods = []  # default
        dual-stack = false  # default
        wide-port-range = 1000  # default
        include = []  # default
        exclude = ["old/"]  # netpol-lint.toml

        [severity]
        NP101 = "error"  # netpol-lint.toml
        NP102 = "info"  # --severity

        [per-file-ignores]
        "a b/*.yaml" = ["NP1"]  # netpol-lint.toml
        "#);
        assert!(text.contains("  # netpol-lint.toml (select), --ignore\n"), "{text}");
    }
}
