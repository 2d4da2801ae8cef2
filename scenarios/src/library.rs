//! The library: scenario files that are a part of the binary.

use std::path::Path;

use include_dir::{Dir, include_dir};

pub use crate::json::ReadError;
use crate::json::{LoadErrors, quote, read_text};
use crate::scenario::{Scenario, load};

static LIBRARY: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/library");

/// A file of the library.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The folder in which it is.
    pub topic: &'static str,
    /// Its name, without `.json`.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Every file of the library, by topic and name.
pub fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = LIBRARY
        .dirs()
        .flat_map(|dir| dir.files().map(move |file| (dir, file)))
        .filter_map(|(dir, file)| {
            let topic = dir.path().file_name()?.to_str()?;
            let name = file.path().file_stem()?.to_str()?;
            Some(Entry { topic, name, text: file.contents_utf8()? })
        })
        .collect();
    entries.sort_by_key(|entry| (entry.topic, entry.name));
    entries
}

/// A scenario, with the text from which it was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The scenario.
    pub scenario: Scenario,
    /// Its JSON text.
    pub text: String,
}

/// Why a scenario could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file, and no scenario of that name in the library.
    #[error("no file and no scenario of the library is called {}{}", quote(.name), .meant.as_ref().map_or_else(
        || "; `mmsim list` shows what there is".to_owned(), |meant| format!("; did you mean `{meant}`?")))]
    Unknown {
        /// What was asked for.
        name: String,
        /// A name with a similar spelling.
        meant: Option<&'static str>,
    },
    /// The file cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The file is no scenario.
    #[error(transparent)]
    Bad(LoadErrors),
}

/// Opens a scenario by the path of a file or by its name in the library.
///
/// # Errors
/// See [`OpenError`].
pub fn open(name: &str) -> Result<Loaded, OpenError> {
    if let Some(entry) = entries().into_iter().find(|entry| entry.name == name) {
        let file = format!("{}/{}.json", entry.topic, entry.name);
        let scenario = load(&file, entry.text).map_err(OpenError::Bad)?;
        return Ok(Loaded { scenario, text: entry.text.to_owned() });
    }
    if !Path::new(name).exists() && !name.contains(['/', '.']) {
        let best = entries().into_iter().map(|entry| (strsim::jaro_winkler(entry.name, name), entry.name));
        let meant = best.filter(|(likeness, _)| *likeness > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
        return Err(OpenError::Unknown { name: name.to_owned(), meant: meant.map(|(_, name)| name) });
    }
    let text = read_text(Path::new(name))?;
    let scenario = load(name, &text).map_err(OpenError::Bad)?;
    Ok(Loaded { scenario, text })
}
