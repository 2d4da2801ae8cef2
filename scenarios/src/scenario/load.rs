//! Reading a scenario from the text of a file.

use std::sync::Arc;

use serde::Deserialize;

use super::{Scenario, fields, validate};
use crate::json::{LoadErrors, Source, decode_with_notes};
use crate::shell::command;

/// The beginning of the format of every record.
pub(crate) const RECORD: &str = "mmsim-record-";

/// A field that a record has, and a scenario does not have.
#[derive(Deserialize)]
struct Head {
    format: String,
}

/// Reads a scenario.
///
/// # Errors
///
/// All that is wrong with it. Mistakes of the JSON come first. If there are none, all mistakes of its fields and of their
/// references come at once.
pub fn load(file_name: &str, text: &str) -> Result<Scenario, LoadErrors> {
    if serde_json::from_str::<Head>(text).is_ok_and(|head| head.format.starts_with(RECORD)) {
        let message =
            format!("this is the record of a run, not a scenario: use `{}`", command("replay", file_name));
        return Err(Source::default().named(file_name).error("", message));
    }
    decode_with_notes(file_name, text, |root, notes| {
        let mut scenario = fields::scenario(root);
        validate::validate(&scenario, notes);
        scenario.source = Arc::new(notes.source(file_name, text));
        Some(scenario)
    })
}
