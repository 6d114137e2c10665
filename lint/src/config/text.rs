//! Values that are written as texts.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use clap::ValueEnum;
use netpol_policy::source::nearest;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use super::options::NamespaceName;
use crate::finding::Severity;
use crate::output::Format;
use crate::select::RuleSelector;
use crate::settings::{ExternalNamespaces, ExternalPods, Pattern};

/// A text with the reason why it can't be read; the reader of the configuration knows the place.
struct Text<T> {
    what: &'static str,
    parse: fn(&str) -> Result<T, String>,
    marker: PhantomData<T>,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(E::custom)
    }
}

macro_rules! texts {
    ($($type:ident: $what:literal, [$($example:literal),+];)+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let parse = |text: &str| $type::from_str(text).map_err(|error| error.to_string());
                deserializer.deserialize_str(Text { what: $what, parse, marker: PhantomData })
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $what, "examples": [$($example),+] })
            }
        }
    )+};
}

texts! {
    RuleSelector: "a code, a name, a group or a severity of rules, or ALL",
        ["NP101", "split-peer-selectors", "NP1", "info", "ALL"];
    Pattern: "a pattern of files as in .gitignore", ["legacy/", "*.gen.yaml", "/deploy/**/test.yaml"];
    NamespaceName: "the name of a namespace", ["default"];
    ExternalNamespaces: "the name or the labels of namespaces", ["monitoring", "team=ops,stage=live"];
    ExternalPods: "labels of pods, perhaps after a namespace and a colon",
        ["app=prometheus", "monitoring:app=prometheus"];
}

macro_rules! choices {
    ($($type:ident: $what:literal;)+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text { what: $what, parse: |text| choice(text, $what), marker: PhantomData })
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $what, "enum": names::<$type>() })
            }
        }
    )+};
}

choices! {
    Severity: "a severity";
    Format: "a form of the output";
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.to_possible_value().expect("no variant is skipped");
        serializer.serialize_str(value.get_name())
    }
}

fn choice<T: ValueEnum>(text: &str, what: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let names = names::<T>();
        let near = nearest(text, names.iter().map(String::as_str));
        let hint = near.map(|name| format!("did you mean `{name}`? Or ")).unwrap_or_default();
        format!("`{text}` is not {what}: {hint}use {}", names.join(", "))
    })
}

fn names<T: ValueEnum>() -> Vec<String> {
    T::value_variants()
        .iter()
        .filter_map(|variant| variant.to_possible_value().map(|value| value.get_name().to_owned()))
        .collect()
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
