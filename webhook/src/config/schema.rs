//! The JSON schema, made from the types.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Options;

/// The schema of the configuration, draft 2020-12.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Options>().into()
}
