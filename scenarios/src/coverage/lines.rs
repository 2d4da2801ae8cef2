//! Which lines of the kernel were stepped.
//!
//! A line can be stepped if it is in sim-mm or sim-gup and makes a shared access itself. `build/accesses.rs`
//! finds these lines in the sources when the program is built.

use std::collections::BTreeMap;
use std::panic::Location;

/// The crates whose lines count.
const COUNTED: [&str; 2] = ["sim-mm/src/", "sim-gup/src/"];

/// A line: its file from the root of the workspace, its number from 1.
pub type Place = (&'static str, u32);

/// Every line that can be stepped, in order, with its text.
static STEPPABLE: &[(&str, u32, &str)] = include!(concat!(env!("OUT_DIR"), "/steppable.rs"));

/// The lines that were stepped, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(BTreeMap<Place, u64>);

/// What was stepped of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLines {
    /// The file, from the root of the workspace.
    pub file: &'static str,
    /// Lines that can be stepped.
    pub total: usize,
    /// Those that never were: number and text.
    pub never: Vec<(u32, &'static str)>,
}

impl FileLines {
    /// Lines that were stepped.
    pub fn stepped(&self) -> usize {
        self.total - self.never.len()
    }
}

impl Lines {
    /// Adds an access made at `place`.
    pub(super) fn note(&mut self, place: &Location<'static>) {
        let file = place.file();
        if let Some(at) = COUNTED.iter().find_map(|root| file.find(root)) {
            *self.0.entry((&file[at..], place.line())).or_default() += 1;
        }
    }

    pub(super) fn add(&mut self, other: &Lines) {
        for (place, times) in &other.0 {
            *self.0.entry(*place).or_default() += times;
        }
    }

    /// Each file that has lines to step, in order of their names.
    pub fn files(&self) -> Vec<FileLines> {
        let mut files: BTreeMap<&str, FileLines> = BTreeMap::new();
        for &(file, number, text) in STEPPABLE {
            let lines = files.entry(file).or_insert_with(|| FileLines { file, total: 0, never: Vec::new() });
            lines.total += 1;
            if !self.0.contains_key(&(file, number)) {
                lines.never.push((number, text));
            }
        }
        files.into_values().collect()
    }

    /// Lines that were stepped although they do not count among those that can be. If there is one, it is a defect.
    pub fn unknown(&self) -> Vec<Place> {
        let known = |place: &&Place| STEPPABLE.iter().any(|(file, number, _)| (*file, *number) == **place);
        self.0.keys().filter(|place| !known(place)).copied().collect()
    }
}
