//! Files of text.

use std::path::Path;

use super::error::{LoadErrors, Problem};
use super::suggest::shown;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system gives an error.
    #[error("{}: {error}", shown(file))]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// The file is no text.
    #[error(transparent)]
    NotText(LoadErrors),
}

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String, ReadError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| ReadError::Unreadable { file: file.clone(), error })?;
    String::from_utf8(bytes).map_err(|error| ReadError::NotText(not_text(&file, &error)))
}

/// The place at which a text stops to be one.
fn not_text(file: &str, error: &std::string::FromUtf8Error) -> LoadErrors {
    let at = error.utf8_error().valid_up_to();
    let byte = error.as_bytes().get(at).copied().unwrap_or_default();
    // Up to there, the bytes are a text.
    let shown = String::from_utf8_lossy(error.as_bytes());
    let message = format!("byte 0x{byte:02x} is not UTF-8");
    LoadErrors::locate(file, &shown, vec![Problem { range: at..at, path: String::new(), message, help: None }])
}
