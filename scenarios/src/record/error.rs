//! Why a record cannot be used.

use super::contents::FORMAT;
use crate::json::{LoadErrors, ReadError, quote, shown};
use crate::scenario::RECORD;

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The file is not JSON, or does not have the shape of a record.
    #[error("{}:{}:{}: not a record: {error}", shown(file), .error.line(), .error.column())]
    Shape {
        /// The file.
        file: String,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// This build cannot read its scenario.
    #[error(transparent)]
    Scenario(LoadErrors),
    /// The contents make no sense.
    #[error("{}: {what}", shown(file))]
    Bad {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
}

/// What to do with a record of another format.
pub(super) fn of_another_format(other: &str) -> String {
    let number = |format: &str| format.strip_prefix(RECORD).and_then(|number| number.parse::<u32>().ok());
    let whose = match (number(other), number(FORMAT)) {
        (Some(other), Some(own)) if other < own => "an older build wrote it",
        (Some(_), Some(_)) => "a newer build wrote it",
        _ => return format!("not a record: its format is {}, and this build reads `{FORMAT}`", quote(other)),
    };
    format!(
        "the record has format {}, and this build reads `{FORMAT}`: {whose}; \
         replay it with the build that wrote it, or find the race anew with `mmsim run`",
        quote(other)
    )
}
