//! Kinds of tests: what is done with the memory, and what must be read then.

use serde_json::{Value, json};
use sim_mm::Release;

use super::memory::{Memory, old};
use super::program::{BUF, HUGE, Program, madvise, mprotect, page};

/// What page `page` holds after the test has changed it.
fn new(page: u64) -> u64 {
    20 + page
}

/// Which processes have mapped a page that is pinned to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// A child has it too.
    Shared,
    /// A child had it, and is gone.
    Previously,
    /// No other process ever had it. Yet the entry is read-only.
    Exclusive,
}

/// How pages are pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// Under `mmap_lock`.
    Slow,
    /// Without a lock.
    Fast,
}

impl How {
    /// The name in the table of a test in which pages are pinned so for long.
    pub(super) fn name_for_long(self) -> &'static str {
        match self {
            How::Slow => "long-pin-slow",
            How::Fast => "long-pin-fast",
        }
    }
}

/// The part of a huge page that a child shares while the page is collapsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Collapse {
    /// The fork comes afterwards.
    BeforeFork,
    /// All of it.
    Fully,
    /// Its lower half.
    Lower,
    /// Its upper half.
    Upper,
}

impl Collapse {
    /// The name of the test in the table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Collapse::BeforeFork => "collapse-before-fork",
            Collapse::Fully => "collapse-fully-shared",
            Collapse::Lower => "collapse-lower-shared",
            Collapse::Upper => "collapse-upper-shared",
        }
    }
}

/// What is behind a private mapping that was not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backing {
    /// Nothing: reading finds zeroes.
    ZeroPage,
    /// The same where a huge page fits.
    HugeZeroPage,
    /// A file in memory.
    Memfd,
    /// A file on a disk.
    File,
}

impl Backing {
    /// Its name in the table, as a kind of memory.
    pub(super) fn name(self) -> &'static str {
        match self {
            Backing::ZeroPage => "zero-page",
            Backing::HugeZeroPage => "huge-zero-page",
            Backing::Memfd => "memfd",
            Backing::File => "file",
        }
    }
}

/// A test of memory that a process has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// A process writes after fork. The other one does not see it.
    Cow { writer: &'static str, mprotect: bool },
    /// A child puts pages into a pipe and unmaps them. The parent writes. The child reads what the pipe has.
    VmspliceInChild { mprotect: bool },
    /// A parent puts pages into a pipe and unmaps them. The child writes. The parent reads what the pipe has.
    VmspliceInParent { before_fork: bool },
    /// Pages are a fixed buffer of io_uring. They are mapped read-only and back, or there is a fork. Then the process writes. A device sees
    /// it through the buffer.
    FixedBuffer { fork: bool },
    /// Pages that are mapped read-only are pinned to be read. Then the process writes. A device sees it through the pin.
    ReadPin { of: Sharing, how: How },
}

/// Both values of a switch.
const BOTH: [bool; 2] = [false, true];

/// All tests of private memory.
pub(super) fn tests() -> Vec<Test> {
    let hows = [How::Slow, How::Fast];
    let sharings = [Sharing::Shared, Sharing::Previously, Sharing::Exclusive];
    let cow = ["p", "child"].into_iter().flat_map(|writer| BOTH.map(|mprotect| Test::Cow { writer, mprotect }));
    let child = BOTH.map(|mprotect| Test::VmspliceInChild { mprotect });
    let parent = BOTH.map(|before_fork| Test::VmspliceInParent { before_fork });
    let buffer = BOTH.map(|fork| Test::FixedBuffer { fork });
    let pins = sharings.into_iter().flat_map(|of| hows.map(|how| Test::ReadPin { of, how }));
    cow.chain(child).chain(parent).chain(buffer).chain(pins).collect()
}

impl Test {
    /// Its name in the table.
    pub(super) fn name(self) -> String {
        let protect = |protect| if protect { "-mprotect" } else { "" };
        match self {
            Test::Cow { writer, mprotect } => {
                let writer = if writer == "p" { "parent" } else { writer };
                format!("cow-{writer}{}", protect(mprotect))
            }
            Test::VmspliceInChild { mprotect } => format!("vmsplice-child{}", protect(mprotect)),
            Test::VmspliceInParent { before_fork: true } => "vmsplice-parent-before".to_owned(),
            Test::VmspliceInParent { before_fork: false } => "vmsplice-parent-after".to_owned(),
            Test::FixedBuffer { fork: true } => "fixed-buffer-fork".to_owned(),
            Test::FixedBuffer { fork: false } => "fixed-buffer-mprotect".to_owned(),
            Test::ReadPin { of, how } => format!("pin-{of:?}-{how:?}").to_lowercase(),
        }
    }

    /// The scenario of a row.
    pub(super) fn program(self, memory: Memory, release: Release) -> Program {
        let mut program = Program::default();
        memory.set_up(&mut program, release);
        let pages = memory.pages();
        let body = &mut program;
        match self {
            Test::Cow { writer, mprotect } => {
                let reader = if writer == "p" { "child" } else { "p" };
                fork(body);
                read_all(body, reader, "before", pages, old);
                write_all(body, writer, pages, mprotect);
                read_all(body, reader, "after", pages, old);
                read_all(body, writer, "own", pages, new);
            }
            Test::VmspliceInChild { mprotect } => {
                fork(body);
                read_all(body, "child", "before", pages, old);
                splice_and_unmap(body, "child", pages, None);
                write_all(body, "p", pages, mprotect);
                read_pipe(body, "child", pages);
            }
            Test::VmspliceInParent { before_fork } => {
                read_all(body, "p", "before", pages, old);
                splice_and_unmap(body, "p", pages, Some(before_fork));
                write_all(body, "child", pages, false);
                read_pipe(body, "p", pages);
            }
            Test::FixedBuffer { fork: forks } => {
                body.run("p", json!({ "register_buffer": { "at": "buf", "pages": pages, "ring": "ring" } }));
                if forks {
                    fork(body);
                    read_all(body, "child", "before", pages, old);
                }
                write_all(body, "p", pages, !forks);
                for nth in 0..pages {
                    let read = json!({ "fixed_read": { "ring": "ring", "from": page(nth) } });
                    body.reads("p", "buffer", read, new(nth));
                }
                body.run("p", json!({ "unregister_buffer": { "ring": "ring" } }));
            }
            Test::ReadPin { of, how } => {
                read_all(body, "p", "before", pages, old);
                match of {
                    Sharing::Shared => {
                        fork(body);
                        read_all(body, "child", "before", pages, old);
                    }
                    Sharing::Previously => {
                        fork(body);
                        body.run("child", json!("exit"));
                    }
                    Sharing::Exclusive => {
                        // Since v6.0 mprotect() would make the entry writable again. It does not where that would hide a write from
                        // those who watch soft-dirty.
                        body.platform("soft_dirty", "on");
                        body.run("p", json!({ "clear_refs": { "process": "p" } }));
                        body.run("p", mprotect(0, pages, "r"));
                        body.run("p", mprotect(0, pages, "rw"));
                    }
                }
                pin(body, pages, how, release);
            }
        }
        program
    }
}

/// The scenario in which a huge page that was split is collapsed, and a write of the parent is not seen by the child.
pub(super) fn collapse(collapse: Collapse) -> Program {
    let collapses = || madvise(0, HUGE, "collapse");
    let mut program = Program::default();
    program.set_up(json!({ "mmap": { "as": "buf", "pages": HUGE, "at": BUF } }));
    program.set_up(madvise(0, HUGE, "hugepage"));
    for nth in 0..HUGE {
        program.set_up(json!({ "write": { "to": page(nth), "value": old(nth) } }));
    }
    program.set_up(mprotect(1, 1, "r"));
    program.set_up(mprotect(1, 1, "rw"));
    let half = HUGE / 2;
    let (shared, hidden) = match collapse {
        Collapse::BeforeFork | Collapse::Fully => (0..HUGE, None),
        Collapse::Lower => (0..half, Some(half)),
        Collapse::Upper => (half..HUGE, Some(0)),
    };
    if collapse == Collapse::BeforeFork {
        program.run("p", collapses());
    }
    if let Some(hidden) = hidden {
        program.run("p", madvise(hidden, half, "dontfork"));
    }
    fork(&mut program);
    for nth in shared.clone() {
        program.reads("child", "before", json!({ "read": { "from": page(nth) } }), old(nth));
    }
    if hidden.is_some() {
        program.run("p", madvise(0, HUGE, "dofork"));
    }
    if collapse != Collapse::BeforeFork {
        program.run("p", collapses());
    }
    write_all(&mut program, "p", HUGE, false);
    for nth in shared {
        program.reads("child", "after", json!({ "read": { "from": page(nth) } }), old(nth));
    }
    read_all(&mut program, "p", "own", HUGE, new);
    program
}

/// The scenario in which a page that the process has only for reading is pinned for long, and then written.
pub(super) fn long_pin(backing: Backing, how: How) -> Program {
    let mut program = Program::default();
    let body = &mut program;
    let (pages, holds) = match backing {
        Backing::ZeroPage => (1, 0),
        Backing::HugeZeroPage => (HUGE, 0),
        Backing::Memfd | Backing::File => (1, old(0)),
    };
    let mut map = json!({ "as": "buf", "pages": pages, "at": BUF });
    match backing {
        Backing::ZeroPage | Backing::HugeZeroPage => {}
        Backing::Memfd => {
            body.set_up(json!({ "memfd_create": { "as": "file", "pages": 1 } }));
            body.set_up(json!({ "pwrite": { "file": "file", "value": holds } }));
            map["file"] = "file".into();
        }
        Backing::File => {
            body.platform("disk", "plain");
            body.set_up(json!({ "open": { "as": "file", "pages": 1, "holds": holds } }));
            map["file"] = "file".into();
        }
    }
    body.set_up(json!({ "mmap": map }));
    if backing == Backing::HugeZeroPage {
        body.set_up(madvise(0, pages, "hugepage"));
    }
    read_all(body, "p", "before", pages, |_| holds);
    let name = match how {
        How::Slow => "pin",
        How::Fast => "pin_fast",
    };
    pin_by(body, pages, json!({ name: { "at": "buf", "pages": pages, "longterm": true, "as": "pin" } }));
    if matches!(backing, Backing::Memfd | Backing::File) {
        body.reads("p", "file", json!({ "pread": { "file": "file" } }), holds);
    }
    program
}

fn fork(program: &mut Program) {
    program.run("p", json!({ "fork": { "as": "child" } }));
}

fn read_all(program: &mut Program, process: &'static str, what: &str, pages: u64, value: impl Fn(u64) -> u64) {
    for nth in 0..pages {
        program.reads(process, what, json!({ "read": { "from": page(nth) } }), value(nth));
    }
}

/// A process writes to all pages, after it has made them read-only and writable again if `protects` says so.
fn write_all(program: &mut Program, process: &'static str, pages: u64, protects: bool) {
    if protects {
        program.run(process, mprotect(0, pages, "r"));
        program.run(process, mprotect(0, pages, "rw"));
    }
    for nth in 0..pages {
        program.run(process, json!({ "write": { "to": page(nth), "value": new(nth) } }));
    }
}

/// A process puts the pages into a pipe, and unmaps them. If it is the parent, this says whether the fork comes after the first of
/// the two or before both.
fn splice_and_unmap(program: &mut Program, process: &'static str, pages: u64, before_fork: Option<bool>) {
    if before_fork == Some(false) {
        fork(program);
    }
    program.run(process, json!({ "vmsplice": { "from": "buf", "pages": pages, "pipe": "pipe" } }));
    if before_fork == Some(true) {
        fork(program);
    }
    program.run(process, json!({ "munmap": { "at": "buf", "pages": pages } }));
}

/// What the pipe has is what the pages held when they came there.
fn read_pipe(program: &mut Program, process: &'static str, pages: u64) {
    for nth in 0..pages {
        program.reads(process, "pipe", json!({ "pipe_read": { "pipe": "pipe" } }), old(nth));
    }
}

/// Pins the pages to read. Kernels before v5.6 have only references for that.
fn pin(program: &mut Program, pages: u64, how: How, release: Release) {
    let name = match how {
        How::Slow if release < Release::v(5, 6) => "gup",
        How::Fast if release < Release::v(5, 6) => "gup_fast",
        How::Slow => "pin",
        How::Fast => "pin_fast",
    };
    pin_by(program, pages, json!({ name: { "at": "buf", "pages": pages, "as": "pin" } }));
}

/// The process pins its pages and writes to them. A device reads them through the pin.
fn pin_by(program: &mut Program, pages: u64, operation: Value) {
    program.run("p", operation);
    write_all(program, "p", pages, false);
    for nth in 0..pages {
        program.reads("p", "pin", json!({ "device_read": { "pin": "pin", "page": nth } }), new(nth));
    }
    program.run("p", json!({ "put_pages": { "pin": "pin" } }));
}
