//! The JSON schema, made from the types.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Options;

/// The schema of the configuration, draft 2020-12.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Options>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_in_the_documentation_is_up_to_date() {
        let written = include_str!("../../../docs/netpol-webhook.schema.json");
        assert_eq!(
            written,
            format!("{:#}\n", schema()),
            "netpol-webhook config schema > docs/netpol-webhook.schema.json"
        );
    }
}
