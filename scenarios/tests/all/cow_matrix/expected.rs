//! How each row comes out on each release.

use std::str::FromStr;

use sim_mm::Release;

/// The matrix. A line has tests, kinds of memory, and a letter for each release of the first line: the line is about each of these tests
/// with each of these kinds.
///
/// - `+`: all values are right, and no oracle finds anything.
/// - `F`: a value is wrong.
/// - `r`: the kernel refuses an operation, so that there is nothing to see.
/// - `.`: the release does not have an operation.
pub(super) const TABLE: &str = "
    |                                                                | v4.19 v5.7 v5.8 v5.9 v5.17 v5.18 v5.19 v6.1 v6.2 v6.17 latest

    cow-parent cow-parent-mprotect cow-child cow-child-mprotect
    | base pmd pte single-pte mremap shared                          | +     +    +    +    +     +     +     +    +    +     +
    | base-swap pmd-swap pte-swap single-pte-swap mremap-swap        | +     +    +    +    +     +     +     +    +    +     +
    | shared-swap                                                    | +     +    +    +    +     +     +     +    +    +     +

    vmsplice-child vmsplice-child-mprotect
    | base pte single-pte shared                                     | F     F    +    +    +     +     +     +    +    +     +
    | pmd                                                            | F     F    +    F    F     +     +     +    +    +     +
    | mremap                                                         | +     +    +    +    +     +     +     +    +    +     +
    | base-swap pmd-swap pte-swap single-pte-swap                    | F     F    +    F    F     +     +     +    +    +     +
    | mremap-swap shared-swap                                        | F     F    +    F    F     +     +     +    +    +     +

    vmsplice-parent-after
    | base pte single-pte shared                                     | F     F    +    +    +     +     +     +    +    +     +
    | pmd                                                            | F     F    +    F    F     +     +     +    +    +     +
    | mremap                                                         | +     +    +    +    +     +     +     +    +    +     +
    | base-swap pmd-swap pte-swap single-pte-swap                    | F     F    +    +    +     +     +     +    +    +     +
    | mremap-swap shared-swap                                        | F     F    +    +    +     +     +     +    +    +     +

    vmsplice-parent-before
    | base pte single-pte shared                                     | F     F    F    +    +     +     +     +    +    +     +
    | pmd                                                            | F     F    F    F    F     +     +     +    +    +     +
    | mremap                                                         | +     +    +    +    +     +     +     +    +    +     +
    | base-swap pmd-swap pte-swap single-pte-swap                    | F     F    F    +    +     +     +     +    +    +     +
    | mremap-swap shared-swap                                        | F     F    F    +    +     +     +     +    +    +     +

    fixed-buffer-fork
    | base pmd pte single-pte mremap shared                          | F     F    F    +    +     +     +     +    +    +     +
    | base-swap pmd-swap pte-swap single-pte-swap                    | F     F    F    +    +     +     +     +    +    +     +
    | mremap-swap shared-swap                                        | F     F    F    +    +     +     +     +    +    +     +

    pin-shared-slow pin-shared-fast
    | base pmd pte single-pte mremap shared                          | F     F    +    F    F     F     +     +    +    +     +
    | base-swap pmd-swap pte-swap single-pte-swap                    | F     F    +    F    F     F     +     +    +    +     +
    | mremap-swap shared-swap                                        | F     F    +    F    F     F     +     +    +    +     +

    fixed-buffer-mprotect pin-previously-slow pin-previously-fast pin-exclusive-slow pin-exclusive-fast
    | base pte single-pte mremap shared                              | +     +    +    F    F     F     +     +    +    +     +
    | pmd                                                            | +     +    +    +    +     F     +     +    +    +     +
    | base-swap pmd-swap pte-swap single-pte-swap                    | +     +    +    F    F     F     +     +    +    +     +
    | mremap-swap shared-swap                                        | +     +    +    F    F     F     +     +    +    +     +

    collapse-before-fork collapse-lower-shared collapse-upper-shared
    | pte                                                            | .     .    .    .    .     .     .     +    +    +     +

    collapse-fully-shared
    | pte                                                            | .     .    .    .    .     .     .     r    r    r     +

    long-pin-slow long-pin-fast
    | zero-page huge-zero-page memfd file                            | .     F    +    F    F     F     F     F    +    +     +
";

/// How a row comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// All values are what they must be.
    Right,
    /// A value is not.
    Wrong,
    /// An operation failed.
    Refused,
    /// There is nothing to run.
    Absent,
}

/// The matrix, read.
pub(super) struct Table {
    releases: Vec<Release>,
    /// Test, memory, and what comes out on each release.
    rows: Vec<(String, String, Vec<Came>)>,
}

impl Table {
    pub(super) fn read(text: &str) -> Table {
        let mut table = Table { releases: Vec::new(), rows: Vec::new() };
        let mut tests: Vec<&str> = Vec::new();
        for line in text.lines() {
            let parts: Vec<Vec<&str>> = line.split('|').map(|part| part.split_whitespace().collect()).collect();
            match &parts[..] {
                [names] if names.is_empty() => {}
                [names] => tests.clone_from(names),
                [_, _, cells] if table.releases.is_empty() => {
                    let release = |name: &&str| Release::from_str(name).expect("the first line names releases");
                    table.releases = cells.iter().map(release).collect();
                }
                [_, memories, cells] => {
                    assert_eq!(cells.len(), table.releases.len(), "{line}");
                    let cells: Vec<Came> = cells.iter().map(|cell| came(cell)).collect();
                    let pairs = tests.iter().flat_map(|test| memories.iter().map(move |memory| (test, memory)));
                    table
                        .rows
                        .extend(pairs.map(|(test, memory)| (test.to_string(), memory.to_string(), cells.clone())));
                }
                _ => panic!("a line has one column or three: {line}"),
            }
        }
        table
    }

    pub(super) fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// The names of all rows, in order.
    pub(super) fn names(&self) -> Vec<(String, String)> {
        let mut names: Vec<_> = self.rows.iter().map(|(test, memory, _)| (test.clone(), memory.clone())).collect();
        names.sort();
        names
    }

    /// What is expected of a row on each release.
    pub(super) fn row(&self, test: &str, memory: &str) -> Vec<(Release, Came)> {
        let row = self.rows.iter().find(|(of, with, _)| of == test && with == memory);
        let (.., cells) = row.unwrap_or_else(|| panic!("the table lacks {test} of {memory}"));
        self.releases.iter().copied().zip(cells.iter().copied()).collect()
    }
}

fn came(cell: &str) -> Came {
    match cell {
        "+" => Came::Right,
        "F" => Came::Wrong,
        "r" => Came::Refused,
        "." => Came::Absent,
        other => panic!("no outcome is written {other}"),
    }
}
