//! Copy on write after fork: who sees which value, to which frame a write goes under each rule, and what the counts are.

use std::cell::Cell;

use crate::KERNELS;
use proptest::prelude::{any, proptest};
use proptest::test_runner::TestCaseError;
use sim_core::BoxFuture;
use sim_mm::safeguards::{FORK_FLUSH, FORK_WRITE_PROTECT};
use sim_mm::{CowReuse, Errno, MmId, Page, PageFlags};
use sim_mm_testing::{Machine, Setup, Shell, cases, every, schedule};
use sim_mmu::{Entry, Pfn};

/// Plays code under every rule by which COW reuses pages.
#[track_caller]
fn under_every_rule(code: impl AsyncFn(Shell<'_>, CowReuse)) {
    for rule in every::<CowReuse>() {
        let machine = Machine::new(Setup { kernel: KERNELS.reusing_by(rule), ..KERNELS.setup() });
        machine.play(async |shell| code(shell, rule).await);
    }
}

/// A process with a page that holds a value, and the frame of it.
async fn process_with_a_page(shell: Shell<'_>, value: u64) -> (MmId, u64, Pfn) {
    let mm = shell.new_process().await;
    let page = shell.mmap(1, true, None).await.expect("there is room");
    shell.write(page, value).await.expect("it is writable");
    (mm, page, shell.machine.frame_of(mm, page).expect("it was written"))
}

fn is_exclusive(machine: &Machine, pfn: Pfn) -> bool {
    let flags = machine.kernel.core().memory.get(machine.kernel.page_flags(Page(pfn)).loc());
    PageFlags::from_bits_retain(flags).contains(PageFlags::ANON_EXCLUSIVE)
}

#[test]
fn neither_side_sees_what_the_other_writes() {
    under_every_rule(async |shell, rule| {
        for parent_writes_first in [false, true] {
            let (parent, page, _) = process_with_a_page(shell, 1).await;
            let child = shell.fork().await.expect("there are frames");
            let (first, second) = if parent_writes_first { (parent, child) } else { (child, parent) };
            shell.enter(first).await;
            shell.write(page, 2).await.expect("it is writable");
            shell.enter(second).await;
            assert_eq!(shell.read(page).await, Ok(1), "{rule:?}");
            shell.write(page, 3).await.expect("it is writable");
            shell.enter(first).await;
            assert_eq!(shell.read(page).await, Ok(2), "{rule:?}");
            shell.exit().await;
            shell.exit_of(second).await;
        }
    });
}

/// Fork shares the frame read-only; the first to write gets a copy, the last keeps the frame.
#[test]
fn the_first_to_write_copies_and_the_last_reuses() {
    under_every_rule(async |shell, rule| {
        let machine = shell.machine;
        let (parent, page, frame) = process_with_a_page(shell, 1).await;
        let child = shell.fork().await.expect("there are frames");
        for mm in [parent, child] {
            let entry = machine.space(mm).leaves[&page];
            assert!(entry.pfn() == frame && !entry.has(Entry::RW), "{rule:?}: {entry}");
        }
        assert_eq!((machine.refcount(frame), machine.mapcount(frame)), (2, 2), "{rule:?}");

        shell.write(page, 2).await.expect("it is writable");
        assert_ne!(machine.frame_of(parent, page), Some(frame), "{rule:?}");
        assert_eq!((machine.refcount(frame), machine.mapcount(frame)), (1, 1), "{rule:?}");
        shell.enter(child).await;
        shell.write(page, 3).await.expect("it is writable");
        assert_eq!(machine.frame_of(child, page), Some(frame), "{rule:?}");
        shell.exit().await;
        shell.exit_of(parent).await;
    });
}

#[test]
fn who_is_left_alone_reuses() {
    under_every_rule(async |shell, rule| {
        let machine = shell.machine;
        let (parent, page, frame) = process_with_a_page(shell, 1).await;
        let child = shell.fork().await.expect("there are frames");
        shell.exit_of(child).await;
        shell.enter(parent).await;
        let before = machine.watch.allocations();
        shell.write(page, 2).await.expect("it is writable");
        assert_eq!(machine.frame_of(parent, page), Some(frame), "{rule:?}");
        assert_eq!(machine.watch.allocations(), before, "{rule:?}: nothing was copied");
        shell.exit().await;
    });
}

/// A reference that is no mapping does not matter for the rule that counts mappings. The other rules forbid reuse then.
#[test]
fn who_else_holds_the_page_is_asked_by_the_later_rules_only() {
    under_every_rule(async |shell, rule| {
        let machine = shell.machine;
        let (parent, page, frame) = process_with_a_page(shell, 1).await;
        let child = shell.fork().await.expect("there are frames");
        sim_mm::get_page(shell.cpu, Page(frame)).await;
        shell.exit_of(child).await;
        shell.enter(parent).await;
        shell.write(page, 2).await.expect("it is writable");
        let reused = machine.frame_of(parent, page) == Some(frame);
        assert_eq!(reused, rule == CowReuse::Mapcount, "{rule:?}");
        sim_mm::put_page(shell.cpu, Page(frame)).await;
        assert_eq!(shell.read(page).await, Ok(2), "{rule:?}");
        shell.exit().await;
    });
}

/// A page that was never shared belongs to its owner, whoever holds references to it. The exclusive mark says so.
#[test]
fn the_mark_of_exclusiveness_comes_and_goes() {
    under_every_rule(async |shell, rule| {
        let machine = shell.machine;
        let marks = rule == CowReuse::Exclusive;
        let (parent, page, frame) = process_with_a_page(shell, 1).await;
        assert_eq!(is_exclusive(machine, frame), marks, "a new page, {rule:?}");
        let child = shell.fork().await.expect("there are frames");
        assert!(!is_exclusive(machine, frame), "a shared page, {rule:?}");
        shell.exit_of(child).await;
        assert!(!is_exclusive(machine, frame), "a page that was shared, {rule:?}");
        shell.enter(parent).await;
        shell.write(page, 2).await.expect("it is writable");
        assert_eq!(is_exclusive(machine, frame), marks, "a page that was reused, {rule:?}");
        shell.exit().await;
        assert!(!is_exclusive(machine, frame) || machine.watch.frame(frame).is_none(), "{rule:?}");
    });
}

#[test]
fn three_generations_share_and_part() {
    under_every_rule(async |shell, rule| {
        let machine = shell.machine;
        let (parent, page, frame) = process_with_a_page(shell, 1).await;
        let child = shell.fork().await.expect("there are frames");
        shell.enter(child).await;
        let grandchild = shell.fork().await.expect("there are frames");
        assert_eq!((machine.refcount(frame), machine.mapcount(frame)), (3, 3), "{rule:?}");
        for (value, mm) in [(10, child), (20, parent), (30, grandchild)] {
            shell.enter(mm).await;
            assert_eq!(shell.read(page).await, Ok(1), "{rule:?}");
            shell.write(page, value).await.expect("it is writable");
        }
        for (value, mm) in [(10, child), (20, parent), (30, grandchild)] {
            shell.enter(mm).await;
            assert_eq!(shell.read(page).await, Ok(value), "{rule:?}");
            shell.exit().await;
        }
    });
}

#[test]
fn what_cannot_be_written_and_what_was_never_written_is_inherited() {
    under_every_rule(async |shell, rule| {
        shell.new_process().await;
        let read_only = shell.mmap(1, false, None).await.expect("there is room");
        let zero = shell.mmap(1, true, None).await.expect("there is room");
        let untouched = shell.mmap(1, true, None).await.expect("there is room");
        for page in [read_only, zero] {
            assert_eq!(shell.read(page).await, Ok(0));
        }
        let child = shell.fork().await.expect("there are frames");
        for page in [zero, untouched] {
            shell.write(page, 1).await.expect("it is writable");
        }
        shell.exit().await;
        shell.enter(child).await;
        assert_eq!(shell.write(read_only, 1).await, Err(Errno::Efault), "{rule:?}");
        for page in [read_only, zero, untouched] {
            assert_eq!(shell.read(page).await, Ok(0), "{rule:?}");
        }
        shell.exit().await;
    });
}

/// If a fork runs out of frames at any place, nothing of the child is left, and the parent is as it was.
#[test]
fn a_fork_that_fails_is_undone() {
    for frames in 12..24 {
        let machine = Machine::new(Setup { frames, ..KERNELS.setup() });
        machine.play(async |shell| {
            shell.new_process().await;
            // Two page tables, three pages.
            for page in [2, 3, 60] {
                shell.mmap(1, true, Some(page)).await.expect("there is room");
                shell.write(page, page).await.expect("it is writable");
            }
            let before = machine.watch.allocated();
            match shell.fork().await {
                Ok(child) => {
                    assert!(frames > 15, "{frames} frames");
                    let parent = shell.cpu.current_mm().expect("it is in one").id;
                    shell.exit_of(child).await;
                    shell.enter(parent).await;
                }
                Err(errno) => assert_eq!(errno, Errno::Enomem, "{frames} frames"),
            }
            assert_eq!(machine.watch.allocated(), before, "{frames} frames");
            for page in [2, 3, 60] {
                assert_eq!(shell.read(page).await, Ok(page));
                assert_eq!(shell.write(page, 9).await, Ok(9));
            }
            shell.exit().await;
        });
    }
}

/// While one thread forks, another writes through a translation that its CPU cached as writable. Once fork has returned, the
/// memory of the child does not change.
fn snapshot(setup: Setup, seed: u64) -> Result<(), String> {
    let machine = Machine::new(setup);
    let compared = Cell::new(false);
    let forks = async |shell: Shell<'_>| {
        let (mm, ..) = process_with_a_page(shell, 1).await;
        machine.kernel.adopt(mm);
        shell.give_birth(1, mm);
        let child = shell.fork().await.expect("there are frames");
        shell.give_birth(2, child);
        shell.exit().await;
    };
    let page = machine.kernel.mmu.geometry.task_size().vpn().0 - 1;
    let writes = async |shell: Shell<'_>| {
        shell.enter_when_born().await;
        for value in 2..200 {
            shell.write(page, value).await.expect("it is writable");
            if compared.get() {
                break;
            }
        }
        shell.exit().await;
    };
    let reads = async |shell: Shell<'_>| {
        shell.enter_when_born().await;
        let first = shell.read(page).await;
        for _ in 0..4 {
            let again = shell.read(page).await;
            if again != first {
                machine.watch.wrong(**shell.cpu, format!("the child reads {first:?}, then {again:?}"));
            }
        }
        compared.set(true);
        shell.exit().await;
    };
    let tasks: Vec<(u8, BoxFuture<'_>)> = vec![
        (0, Box::pin(forks(machine.shell(0, 0)))),
        (1, Box::pin(writes(machine.shell(1, 1)))),
        (2, Box::pin(reads(machine.shell(2, 2)))),
    ];
    let result = machine.run(schedule(seed), tasks);
    result.map_err(|wrong| format!("{wrong}\n{}", machine.watch.story()))
}

/// The test can find a defect: stale writable translations reach the memory of the child.
#[test]
fn a_fork_without_its_flush_is_noticed() {
    for safeguard in [FORK_FLUSH, FORK_WRITE_PROTECT] {
        let setup = Setup { cpus: 3, kernel: KERNELS.without(safeguard), ..KERNELS.setup() };
        let caught = (0..600).any(|seed| snapshot(setup, seed).is_err());
        assert!(caught, "600 runs without {}, and nothing is wrong", safeguard.key);
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_child_keeps_what_it_had_when_fork_returned(setup in KERNELS.setups(3), seed in any::<u64>()) {
        snapshot(setup, seed).map_err(TestCaseError::fail)?;
    }
}
