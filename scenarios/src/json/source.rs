//! The text that a value was read from, for errors that are found later.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::{LoadErrors, Problem};

/// A text, and where in it each value stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    file: String,
    text: String,
    /// The bytes of each value, by its path.
    spots: BTreeMap<String, Range<usize>>,
}

impl Source {
    /// A text of which only the name of its file matters.
    pub(crate) fn named(self, file: &str) -> Source {
        Source { file: file.to_owned(), ..self }
    }

    pub(super) fn new(file: &str, text: &str, spots: BTreeMap<String, Range<usize>>) -> Source {
        Source { file: file.to_owned(), text: text.to_owned(), spots }
    }

    /// An error of the value at a path; of the file as a whole, if it has none there.
    pub(crate) fn error(&self, path: &str, message: String) -> LoadErrors {
        let range = self.spots.get(path).cloned().unwrap_or_default();
        let problem = Problem { range, path: path.to_owned(), message, help: None };
        LoadErrors::locate(&self.file, &self.text, vec![problem])
    }
}
