//! Which lines of the kernel were stepped.
//!
//! What can be stepped are the lines of sim-mm and sim-gup that make a shared access themselves: those that
//! call an access function. An access function is one with `#[track_caller]`, which gives its caller's line
//! to the event; a line within one never shows. Lines that await another routine are not counted: that
//! routine's own lines are.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::Location;
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};

static SIM_CORE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sim-core/src");
static SIM_MMU: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sim-mmu/src");
static SIM_MM: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sim-mm/src");
static SIM_GUP: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sim-gup/src");

/// The crates whose lines count.
const COUNTED: [&str; 2] = ["sim-mm/src/", "sim-gup/src/"];

/// Access functions that touch no word: a step of theirs leaves no access in the event log.
const SILENT: [&str; 2] = ["invlpg", "broadcast_invalidate"];

/// A line: its file from the root of the workspace, its number from 1.
pub type Place = (&'static str, u32);

/// Every line that can be stepped, with its text.
static STEPPABLE: LazyLock<BTreeMap<(String, u32), &'static str>> = LazyLock::new(steppable);

/// A line of Rust, with what must be known of where it stands.
struct Code {
    number: u32,
    text: &'static str,
    /// The access function that it is part of.
    within: Option<&'static str>,
}

fn sources(dir: &'static Dir<'static>) -> Vec<(String, &'static str)> {
    let files = dir.files().filter_map(|file| Some((file.path().to_str()?.to_owned(), file.contents_utf8()?)));
    let below = dir.dirs().flat_map(sources);
    files.chain(below).filter(|(path, _)| path.ends_with(".rs")).collect()
}

/// The lines of a file that are code, up to its tests.
fn code(text: &'static str) -> Vec<Code> {
    let mut lines = Vec::new();
    // From the attribute to the closing brace in its column.
    let mut indent: Option<usize> = None;
    let mut within = None;
    for (number, text) in (1..).zip(text.lines()).take_while(|(_, line)| *line != "#[cfg(test)]") {
        let code = text.trim_start();
        if code.starts_with("//") {
            continue;
        }
        if code == "#[track_caller]" {
            indent = Some(text.len() - code.len());
        }
        if indent.is_some() && within.is_none() {
            within = function(code);
        }
        lines.push(Code { number, text, within: within.or(indent.map(|_| "")) });
        if indent.is_some_and(|indent| text.len() == indent + 1 && code == "}") {
            (indent, within) = (None, None);
        }
    }
    lines
}

/// The name of the function whose head the line is.
fn function(code: &str) -> Option<&str> {
    let (before, rest) = code.split_once("fn ")?;
    let is_head = before.is_empty() || before.starts_with("pub") || before.starts_with("async");
    rest.split(['<', '(']).next().filter(|_| is_head)
}

/// Whether the line calls the function, as a method of a CPU or by its name.
fn calls(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let named = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.' || c == ':');
        let called = after.starts_with('(');
        called
            && !before.ends_with("fn ")
            && (named || before.ends_with("cpu.") || before.ends_with("self.") || before.trim() == ".")
    })
}

fn steppable() -> BTreeMap<(String, u32), &'static str> {
    let all = [
        ("sim-core/src/", &SIM_CORE),
        ("sim-mmu/src/", &SIM_MMU),
        ("sim-mm/src/", &SIM_MM),
        ("sim-gup/src/", &SIM_GUP),
    ];
    let files: Vec<(String, Vec<Code>)> = all
        .into_iter()
        .flat_map(|(root, dir)| {
            sources(dir).into_iter().map(move |(path, text)| (format!("{root}{path}"), code(text)))
        })
        .collect();
    let accesses: BTreeSet<&str> = files
        .iter()
        .flat_map(|(_, lines)| lines.iter().filter_map(|line| line.within))
        .filter(|name| !name.is_empty() && *name != "new" && !SILENT.contains(name))
        .collect();
    let mut steppable = BTreeMap::new();
    for (file, lines) in &files {
        if !COUNTED.iter().any(|root| file.starts_with(root)) {
            continue;
        }
        for line in lines.iter().filter(|line| line.within.is_none()) {
            // An operation announced here, unless its place is somebody else's.
            let announces = line.text.contains("Op::new(") && !line.text.contains("..Op::new(");
            if announces || accesses.iter().any(|name| calls(line.text, name)) {
                steppable.insert((file.clone(), line.number), line.text.trim());
            }
        }
    }
    steppable
}

/// The lines that were stepped, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(BTreeMap<Place, u64>);

/// What was stepped of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLines {
    /// The file, from the root of the workspace.
    pub file: String,
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
        for ((file, number), text) in &*STEPPABLE {
            let lines =
                files.entry(file).or_insert_with(|| FileLines { file: file.clone(), total: 0, never: Vec::new() });
            lines.total += 1;
            if !self.0.keys().any(|(stepped, line)| (*stepped, line) == (file.as_str(), number)) {
                lines.never.push((*number, text));
            }
        }
        files.into_values().collect()
    }

    /// Lines that were stepped, and that do not count among those that can be: none, or a defect.
    pub fn unknown(&self) -> Vec<Place> {
        let known = |(file, line): &&Place| STEPPABLE.contains_key(&((*file).to_owned(), *line));
        self.0.keys().filter(|place| !known(place)).copied().collect()
    }
}
