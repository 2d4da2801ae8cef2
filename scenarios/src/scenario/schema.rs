//! The JSON schema of scenario files.

use serde_json::{Value, json};

use super::fields::ScenarioFields;
use crate::operation;

/// The JSON schema (2020-12) of scenario files. It says all that can be said of a value by itself. Only the loader
/// compares parts of a file with each other. For example, it finds a name that nothing defines.
pub fn schema() -> Value {
    let mut schema = ScenarioFields::FACTS.schema();
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("mmsim scenario");
    schema["$defs"] = json!({ "operation": operation::schema() });
    schema
}
