//! The format `mmrec-1`: one JSON object on each line. The types here have the fields of a line as they stand in the file.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The name of the format. The first line of a trace has it.
pub const FORMAT: &str = "mmrec-1";

/// The first line: where and how the programs ran. Members that are only about the recording are not read.
#[derive(Clone, Debug, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// `uname -r`.
    pub kernel: String,
    /// The address of the window, in hexadecimal with `0x`.
    pub win: String,
    /// The length of the window in pages.
    pub pages: u64,
    /// `/sys/kernel/mm/transparent_hugepage/enabled`.
    pub thp: Option<String>,
    /// `/sys/kernel/mm/transparent_hugepage/shmem_enabled`.
    pub shmem_thp: Option<String>,
    /// Whether it had an area for swap.
    pub swap: Option<u8>,
    /// `/sys/kernel/mm/transparent_hugepage/use_zero_page`: `0` or `1`.
    pub zero_thp: Option<String>,
}

/// A line that begins a program.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Begin {
    /// Its number.
    pub prog: u64,
    /// The first step at which repeated recordings disagreed.
    pub nondet_from: Option<usize>,
}

/// A line that is a step.
#[derive(Clone, Debug, Deserialize)]
pub struct StepLine {
    /// Its number in the program.
    pub i: usize,
    /// The process that acts.
    pub p: u8,
    /// The name of the operation.
    pub op: String,
    /// Its arguments.
    pub a: Args,
    /// Its result.
    pub r: Returned,
    /// What changed, by process.
    pub o: BTreeMap<u8, Changed>,
}

/// The arguments of all operations. Each operation has some of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// The first page, counted from the window's.
    pub pg: Option<u64>,
    /// The number of pages.
    pub n: Option<u64>,
    /// The new number of pages.
    pub nn: Option<u64>,
    /// The new place.
    pub to: Option<u64>,
    /// A subset of `rwx`, or `none`.
    pub prot: Option<String>,
    /// `anon` or `file`.
    pub kind: Option<String>,
    /// `private` or `shared`.
    pub share: Option<String>,
    /// Flags, joined by commas.
    pub flags: Option<String>,
    /// The memfd.
    pub fd: Option<u64>,
    /// The page of the file.
    pub off: Option<u64>,
    /// The advice.
    pub adv: Option<String>,
    /// `read`, `write` or `exec`.
    pub acc: Option<String>,
    /// `user` or `kernel`.
    pub via: Option<String>,
    /// The byte to write.
    pub val: Option<u8>,
    /// The pipe, or the place of a pin.
    pub slot: Option<usize>,
    /// The new process.
    pub child: Option<u8>,
    /// The NUMA node.
    pub node: Option<u64>,
}

/// What an operation returned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returned {
    /// Its value, if it succeeded.
    pub ret: Option<i64>,
    /// The name of its errno, if it failed.
    pub err: Option<String>,
    /// Minor faults of the process that acted.
    #[serde(default)]
    pub minflt: u64,
    /// Major faults of the process that acted.
    #[serde(default)]
    pub majflt: u64,
    /// The result of each access, as runs of pages.
    #[serde(default)]
    pub acc: Vec<(u64, u64, Access)>,
}

/// What a trace says of a signal that the recorder has no name for.
pub const OTHER_SIGNAL: &str = "OTHER";

/// The result of an access to a page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Access {
    /// The byte that was read or written. Of a page that was to be moved: its node, or an errno below zero.
    Value(i16),
    /// The signal or the errno.
    Failed(String),
}

impl Access {
    /// The lowest byte of a word.
    pub fn byte(word: u64) -> Access {
        Access::Value(i16::from(word as u8))
    }
}

/// What changed of a process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// All its mappings, if any has changed.
    pub vma: Option<Vec<VmaLine>>,
    /// All its pages, if any has changed.
    pub pg: Option<Vec<PageLine>>,
}

/// A mapping: page, pages, permissions, backing, page of the file, `VmFlags`, statistics.
pub type VmaLine = (u64, u64, String, String, u64, String, BTreeMap<String, u64>);

/// A run of pages.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum PageLine {
    /// Present: page, pages, flags, frame, mapcount, byte 0.
    Present(u64, u64, String, u64, u64, u8),
    /// Present, as extended recorders write it: with the reference count of the page.
    Counted(u64, u64, String, u64, u64, u8, u64),
    /// Not present: page, pages, flags.
    Absent(u64, u64, String),
}
