//! The text from which values were read. It is kept for errors that are found later.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::{LoadErrors, Problem};

/// A text, and the place of each value in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    file: String,
    text: String,
    /// The bytes of each value, by its path.
    spots: BTreeMap<String, Range<usize>>,
}

impl Source {
    /// A text whose contents do not matter, only the name of its file.
    pub(crate) fn named(self, file: &str) -> Source {
        Source { file: file.to_owned(), ..self }
    }

    pub(super) fn new(file: &str, text: &str, spots: BTreeMap<String, Range<usize>>) -> Source {
        Source { file: file.to_owned(), text: text.to_owned(), spots }
    }

    /// An error of the value at a path. If the file has no value there, it is an error of the file as a whole.
    pub(crate) fn error(&self, path: &str, message: String) -> LoadErrors {
        let range = self.spots.get(path).cloned().unwrap_or_default();
        let problem = Problem { range, path: path.to_owned(), message, help: None };
        LoadErrors::locate(&self.file, &self.text, vec![problem])
    }
}
