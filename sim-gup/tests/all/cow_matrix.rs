//! The rows of Linux's own COW tests (`cow.c`) that apply to base pages and to references without `FOLL_PIN`, on kernels of
//! several releases. For example, a read of a pipe must give what was there when the pipe was filled.
//!
//! Before v5.9 the vmsplice rows fail. v5.8 mends those in which the pipe is filled after fork. If a row holds, it holds in
//! every order of what the two processes do.

use std::cell::Cell;

use crate::KERNELS;
use proptest::prelude::{any, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use sim_core::{BoxFuture, MemoryBuilder};
use sim_gup::CATALOGUE;
use sim_gup::callers::{Pipe, pipe_read, vmsplice};
use sim_mm::{Choices, CowReuse, KernelConfig, MmId};
use sim_mm_testing::{Machine, Setup, Shell, address, cases, parse, schedule};

const RELEASES: [&str; 9] = ["v3.0", "v4.20", "v5.0", "v5.7", "v5.8", "v5.9", "v5.18", "v5.19", "latest"];

const OLD: u64 = 1;
const NEW: u64 = 2;
const PAGE: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// The parent writes after fork, the child reads.
    Basic,
    /// The child fills the pipe and unmaps the page, the parent writes, the child reads the pipe.
    SpliceInChild,
    /// The parent fills the pipe before fork and unmaps the page, the child writes, the parent reads.
    SpliceInParentBeforeFork,
    /// The same, but the parent fills the pipe after fork.
    SpliceInParentAfterFork,
}

/// Each row with the first release that holds it.
const ROWS: [(Row, &str); 4] = [
    (Row::Basic, "v2.6.27"),
    (Row::SpliceInChild, "v5.8"),
    (Row::SpliceInParentBeforeFork, "v5.9"),
    (Row::SpliceInParentAfterFork, "v5.8"),
];

async fn splice(shell: Shell<'_>, pipe: &Pipe) {
    assert_eq!(vmsplice(shell.cpu, pipe, address(PAGE), 1).await, Ok(1));
}

async fn unmap(shell: Shell<'_>) {
    shell.munmap(PAGE, 1).await.expect("it is mapped");
}

/// A process writes the new value; the shell goes back to `reader`.
async fn write_new(shell: Shell<'_>, writer: MmId, reader: MmId) {
    shell.enter(writer).await;
    assert_eq!(shell.write(PAGE, NEW).await, Ok(NEW));
    assert_eq!(shell.read(PAGE).await, Ok(NEW));
    shell.enter(reader).await;
}

/// Plays a row; answers what is read at its end.
async fn play_row(shell: Shell<'_>, pipe: &Pipe, row: Row) -> u64 {
    let parent = shell.new_process().await;
    shell.mmap(1, true, Some(PAGE)).await.expect("there is room");
    shell.write(PAGE, OLD).await.expect("it is writable");
    if row == Row::SpliceInParentBeforeFork {
        splice(shell, pipe).await;
    }
    let child = shell.fork().await.expect("there are frames");
    let read = match row {
        Row::Basic => {
            write_new(shell, parent, child).await;
            shell.read(PAGE).await.expect("it is mapped")
        }
        Row::SpliceInChild => {
            shell.enter(child).await;
            splice(shell, pipe).await;
            unmap(shell).await;
            write_new(shell, parent, child).await;
            pipe_read(shell.cpu, pipe, child).await
        }
        Row::SpliceInParentBeforeFork | Row::SpliceInParentAfterFork => {
            if row == Row::SpliceInParentAfterFork {
                splice(shell, pipe).await;
            }
            unmap(shell).await;
            write_new(shell, child, parent).await;
            pipe_read(shell.cpu, pipe, parent).await
        }
    };
    shell.exit_of(child).await;
    shell.exit_of(parent).await;
    read
}

/// Whether a kernel holds a row.
#[track_caller]
fn holds(kernel: KernelConfig, row: Row) -> bool {
    let mut memory = MemoryBuilder::default();
    let pipe = Pipe::new(&mut memory, "pipe");
    let machine = Machine::with(Setup { kernel, ..KERNELS.setup() }, memory);
    let read = Cell::new(0);
    machine.play(async |shell| read.set(play_row(shell, &pipe, row).await));
    assert!([OLD, NEW].contains(&read.get()), "{row:?} reads {}", read.get());
    read.get() == OLD
}

#[test]
fn every_release_holds_the_rows_that_it_should() {
    for (row, since) in ROWS {
        for version in RELEASES {
            let expected = parse(since) <= parse(version);
            assert_eq!(holds(KERNELS.release(version), row), expected, "{row:?} on {version}");
        }
    }
}

/// Parent and child run at the same time, each on its CPU. Answers what the reader of the row reads.
fn play_at_the_same_time(setup: Setup, row: Row, seed: u64) -> Result<u64, String> {
    let mut memory = MemoryBuilder::default();
    let pipe = Pipe::new(&mut memory, "pipe");
    let machine = Machine::with(setup, memory);
    let read = Cell::new(0);
    let writes = async |shell: Shell<'_>| {
        shell.write(PAGE, NEW).await.expect("it is writable");
        shell.exit().await;
    };
    let splices = async |shell: Shell<'_>, process: MmId| {
        if row != Row::SpliceInParentBeforeFork {
            splice(shell, &pipe).await;
        }
        unmap(shell).await;
        read.set(pipe_read(shell.cpu, &pipe, process).await);
        shell.exit().await;
    };
    let parent = async |shell: Shell<'_>| {
        let parent = shell.new_process().await;
        shell.mmap(1, true, Some(PAGE)).await.expect("there is room");
        shell.write(PAGE, OLD).await.expect("it is writable");
        if row == Row::SpliceInParentBeforeFork {
            splice(shell, &pipe).await;
        }
        let child = shell.fork().await.expect("there are frames");
        shell.give_birth(1, child);
        match row {
            Row::Basic | Row::SpliceInChild => writes(shell).await,
            _ => splices(shell, parent).await,
        }
    };
    let child = async |shell: Shell<'_>| {
        let child = shell.enter_when_born().await;
        match row {
            Row::Basic => {
                read.set(shell.read(PAGE).await.expect("it is mapped"));
                shell.exit().await;
            }
            Row::SpliceInChild => splices(shell, child).await,
            _ => writes(shell).await,
        }
    };
    let tasks: Vec<(u8, BoxFuture<'_>)> =
        vec![(0, Box::pin(parent(machine.shell(0, 0)))), (1, Box::pin(child(machine.shell(1, 1))))];
    let result = machine.run(schedule(seed), tasks);
    let told = |wrong: String| format!("{row:?}: {wrong}\n{}", machine.watch.story());
    result.map_err(told)?;
    if read.get() == OLD { Ok(OLD) } else { Err(told(format!("{} is read", read.get()))) }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn rows_hold_in_every_schedule(
        setup in KERNELS.setups(2),
        version in select(&RELEASES[..]),
        (row, since) in select(&ROWS[..]),
        seed in any::<u64>(),
    ) {
        if parse(since) <= parse(version) {
            let setup = Setup { kernel: KERNELS.release(version), ..setup };
            let sound = setup.sound();
            play_at_the_same_time(sound, row, seed).map_err(TestCaseError::fail)?;
        }
    }
}

/// The rule of reuse decides, in a kernel of any release.
#[test]
fn every_rule_but_that_of_mappings_holds_all_rows() {
    for version in ["v5.0", "latest"] {
        for rule in sim_mm_testing::every::<CowReuse>() {
            let kernel = KernelConfig::new(CATALOGUE, parse(version), &[], &[], &Choices::default().with(rule));
            for (row, _) in ROWS {
                let expected = row == Row::Basic || rule != CowReuse::Mapcount;
                assert_eq!(holds(kernel, row), expected, "{row:?} on {version} with {rule:?}");
            }
        }
    }
}
