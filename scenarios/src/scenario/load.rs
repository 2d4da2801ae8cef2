//! From the text of a file to a scenario.

use super::{Scenario, fields, validate};
use crate::json::{LoadErrors, decode_with_notes};

/// Reads a scenario.
///
/// # Errors
///
/// All that is wrong with it: first as JSON; then, all at once, its fields and what they refer to.
pub fn load(file_name: &str, text: &str) -> Result<Scenario, LoadErrors> {
    decode_with_notes(file_name, text, |root, notes| {
        let scenario = fields::scenario(root);
        validate::validate(&scenario, notes);
        Some(scenario)
    })
}
