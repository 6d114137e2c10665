//! A list of CNI plugins, edited so that everything else in it stays as it was written.

use std::fmt;

use anyhow::{Context, Result, bail};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A configuration list.
#[derive(Debug)]
pub(super) struct Conflist {
    fields: Vec<(String, Box<RawValue>)>,
    plugins: Vec<Box<RawValue>>,
}

/// What is looked at in a plugin's entry.
#[derive(Deserialize)]
struct Plugin {
    r#type: String,
    #[serde(default)]
    socket: Option<String>,
}

impl Conflist {
    /// Reads one.
    pub(super) fn read(text: &str) -> Result<Self> {
        let Fields(fields) = serde_json::from_str(text).context("it is no JSON object")?;
        let plugins = fields.iter().find(|(key, _)| key == "plugins").context("it has no `plugins`")?;
        let plugins: Vec<Box<RawValue>> =
            serde_json::from_str(plugins.1.get()).context("its `plugins` are no list")?;
        for plugin in &plugins {
            serde_json::from_str::<Plugin>(plugin.get()).context("one of its `plugins` has no `type`")?;
        }
        if plugins.is_empty() {
            bail!("its list of `plugins` is empty");
        }
        let list = Self { fields, plugins };
        list.check_version()?;
        Ok(list)
    }

    /// The list that runtimes make of the configuration of one plugin.
    pub(super) fn of_one(text: &str) -> Result<Self> {
        let Fields(fields) = serde_json::from_str(text).context("it is no JSON object")?;
        serde_json::from_str::<Plugin>(text).context("it has no `type`")?;
        let kept = fields.into_iter().filter(|(key, _)| key == "cniVersion" || key == "name").collect();
        let list = Self { fields: kept, plugins: vec![RawValue::from_string(text.trim().to_owned())?] };
        list.check_version()?;
        Ok(list)
    }

    /// Its text with an entry of this type at the end, or in place of the one that is there; `None` if that changes nothing.
    pub(super) fn with(mut self, kind: &str, entry: &str) -> Result<Option<String>> {
        let entry = RawValue::from_string(entry.to_owned())?;
        let present = self.plugins.iter().position(|plugin| is(plugin, kind));
        match present.map(|index| &mut self.plugins[index]) {
            Some(plugin) => {
                if serde_json::from_str::<serde_json::Value>(plugin.get())? == serde_json::to_value(&entry)? {
                    return Ok(None);
                }
                *plugin = entry;
            }
            None => self.plugins.push(entry),
        }
        Ok(Some(self.text()))
    }

    /// Its text without entries of this type; `None` if there are none.
    pub(super) fn without(mut self, kind: &str) -> Option<String> {
        let before = self.plugins.len();
        self.plugins.retain(|plugin| !is(plugin, kind));
        (self.plugins.len() != before).then(|| self.text())
    }

    /// The `socket` of its entry of this type.
    pub(super) fn socket_of(&self, kind: &str) -> Option<String> {
        let entry = self.plugins.iter().find(|plugin| is(plugin, kind))?;
        Some(serde_json::from_str::<Plugin>(entry.get()).ok()?.socket.unwrap_or_default())
    }

    /// Plugins can be chained from version 0.3.0 on.
    fn check_version(&self) -> Result<()> {
        let field =
            |name: &str| self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.get());
        let version: Option<String> = field("cniVersion").and_then(|text| serde_json::from_str(text).ok());
        match version.as_deref() {
            None | Some("" | "0.1.0" | "0.2.0") => bail!(
                "its cniVersion is {}: plugins can be chained from 0.3.0 on",
                version.as_deref().unwrap_or("missing")
            ),
            Some(_) => Ok(()),
        }
    }

    fn text(&self) -> String {
        let plugins: Vec<String> =
            self.plugins.iter().map(|plugin| format!("    {}", plugin.get())).collect();
        let plugins = format!("[\n{}\n  ]", plugins.join(",\n"));
        let mut fields: Vec<(&str, &str)> = self
            .fields
            .iter()
            .map(|(key, value)| (key.as_str(), if key == "plugins" { plugins.as_str() } else { value.get() }))
            .collect();
        if !fields.iter().any(|(key, _)| *key == "plugins") {
            fields.push(("plugins", &plugins));
        }
        let lines: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("  {}: {value}", serde_json::Value::from(*key)))
            .collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }
}

fn is(plugin: &RawValue, kind: &str) -> bool {
    serde_json::from_str::<Plugin>(plugin.get()).is_ok_and(|plugin| plugin.r#type == kind)
}

/// The fields of an object in their order, with their values as they are written.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"type":"netpol-cni","timeoutSeconds":10}"#;
    const FLANNEL: &str = r#"{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": { "hairpinMode": true, "big": 12345678901234567890123 }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ],
  "unknown": [1.0, 2e3]
}
"#;

    fn with(text: &str) -> Option<String> {
        Conflist::read(text).and_then(|list| list.with("netpol-cni", ENTRY)).expect("it can be read")
    }

    #[test]
    fn an_entry_comes_and_goes_and_the_rest_stays() {
        let chained = with(FLANNEL).expect("it changes");
        let kept = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let mut expected = kept(FLANNEL);
        expected["plugins"].as_array_mut().expect("a list").push(kept(ENTRY));
        assert_eq!(kept(&chained), expected);
        assert!(chained.contains("12345678901234567890123") && chained.contains("2e3"), "{chained}");
        assert_eq!(with(&chained), None, "a second time changes nothing");
        // Another spelling of the same is the same; other settings are not.
        assert_eq!(with(&chained.replace(ENTRY, r#"{"timeoutSeconds": 10, "type": "netpol-cni"}"#)), None);
        assert_eq!(with(&chained.replace(":10", ":20")), Some(chained.clone()));
        let without = Conflist::read(&chained).expect("read").without("netpol-cni").expect("it changes");
        assert_eq!(kept(&without), kept(FLANNEL));
        assert_eq!(Conflist::read(&without).expect("read").without("netpol-cni"), None);
    }

    #[test]
    fn one_plugin_becomes_a_list() {
        let conf = r#"{"cniVersion":"1.0.0","name":"pods","type":"bridge","ipam":{"type":"host-local"}}"#;
        let list = Conflist::of_one(conf).and_then(|list| list.with("netpol-cni", ENTRY)).expect("read");
        let list: serde_json::Value = serde_json::from_str(&list.expect("it changes")).expect("JSON");
        assert_eq!(list["name"], "pods");
        assert_eq!(list["cniVersion"], "1.0.0");
        assert_eq!(list["plugins"][0]["ipam"]["type"], "host-local");
        assert_eq!(list["plugins"][1]["type"], "netpol-cni");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in [
            "",
            "[]",
            "{",
            "{}",
            r#"{"cniVersion":"1.0.0","plugins":{}}"#,
            r#"{"cniVersion":"1.0.0","plugins":[]}"#,
            r#"{"cniVersion":"1.0.0","plugins":[{}]}"#,
            r#"{"cniVersion":"0.2.0","plugins":[{"type":"bridge"}]}"#,
            r#"{"plugins":[{"type":"bridge"}]}"#,
        ] {
            assert!(Conflist::read(text).is_err(), "{text}");
        }
    }
}
