//! `mmap()`, `munmap()` and `madvise()`: where mappings go, how they split, and which page tables stay. Nobody may use what is
//! gone.

use std::cell::Cell;

use crate::KERNELS;
use proptest::prelude::{any, proptest};
use proptest::test_runner::TestCaseError;
use sim_core::BoxFuture;
use sim_mm::safeguards::GATHER_FLUSH_FIRST;
use sim_mm::{Errno, MapFlags, Mmap, Prot, madvise_dontneed, sys_mmap, sys_munmap};
use sim_mm_testing::{Machine, Setup, Shell, address, cases, schedule};
use sim_mmu::VirtAddr;

#[test]
fn a_mapping_goes_to_the_highest_gap_that_fits() {
    for entries in [2, 4, 8, 512] {
        let machine = Machine::new(Setup { entries, ..KERNELS.setup() });
        machine.play(async |shell| {
            shell.new_process().await;
            let top = machine.kernel.mmu.geometry.task_size().vpn().0;
            assert_eq!(shell.mmap(2, true, None).await, Ok(top - 2));
            assert_eq!(shell.mmap(1, true, Some(top - 4)).await, Ok(top - 4));
            assert_eq!(shell.mmap(1, true, None).await, Ok(top - 3), "between the two");
            assert_eq!(shell.mmap(1, true, None).await, Ok(top - 5), "below all");
            shell.munmap(top - 2, 1).await.expect("it is mapped");
            assert_eq!(shell.mmap(2, true, None).await.is_ok(), entries > 2, "two pages fit below, if at all");
            assert_eq!(shell.mmap(1, true, None).await, Ok(top - 2), "one fits where one was");
            shell.exit().await;
        });
    }
}

#[test]
fn a_mapping_must_be_whole_pages_of_free_user_space() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        shell.new_process().await;
        let top = machine.kernel.mmu.geometry.task_size().vpn().0;
        let unaligned = Mmap {
            addr: Some(VirtAddr(0x5008)),
            pages: 1,
            prot: Prot::READ_WRITE,
            flags: MapFlags::FIXED,
            ..Mmap::default()
        };
        let unaligned = sys_mmap(shell.cpu, unaligned).await;
        assert_eq!(unaligned, Err(Errno::Einval));
        assert_eq!(shell.mmap(0, true, None).await, Err(Errno::Einval), "nothing");
        assert_eq!(shell.mmap(1, true, Some(0)).await, Err(Errno::Eperm), "page zero");
        assert_eq!(shell.mmap(top, true, None).await, Err(Errno::Enomem), "with page zero");
        assert_eq!(shell.mmap(2, true, Some(top - 1)).await, Err(Errno::Enomem), "across the end");
        assert_eq!(shell.mmap(u64::MAX, true, None).await, Err(Errno::Einval), "more bytes than there are");
        assert_eq!(shell.mmap(3, true, Some(10)).await, Ok(10));
        for page in 8..13 {
            assert!(shell.mmap(3, true, Some(page)).await.is_err(), "page {page} overlaps");
        }
        assert_eq!(sys_munmap(shell.cpu, VirtAddr(0xa008), VirtAddr(0xb000)).await, Err(Errno::Einval));
        assert_eq!(sys_munmap(shell.cpu, address(11), address(11)).await, Err(Errno::Einval));
        assert_eq!(shell.mmap(top - 13, true, None).await, Ok(13), "all that is left above");
        shell.exit().await;
    });
}

#[test]
fn unmapping_the_middle_leaves_two_mappings() {
    for entries in [2, 4, 8, 512] {
        let machine = Machine::new(Setup { entries, ..KERNELS.setup() });
        machine.play(async |shell| {
            let mm = shell.new_process().await;
            shell.mmap(5, true, Some(1)).await.expect("there is room");
            for page in 1..6 {
                shell.write(page, page).await.expect("it is writable");
            }
            shell.munmap(3, 1).await.expect("it is mapped");
            assert_eq!(machine.kernel.vma_list(machine.kernel.mm(mm)).len(), 2);
            for page in 1..6 {
                let expected = if page == 3 { Err(Errno::Efault) } else { Ok(page) };
                assert_eq!(shell.read(page).await, expected, "page {page} of {entries} entries");
            }
            shell.munmap(1, 6).await.expect("a part of it is mapped");
            assert!(machine.kernel.vma_list(machine.kernel.mm(mm)).is_empty());
            assert_eq!(machine.space(mm).tables, [], "{entries} entries");
            assert_eq!(shell.munmap(1, 6).await, Ok(0), "nothing is there to unmap");
            shell.exit().await;
        });
    }
}

/// A table is freed with the last mapping below it, and not before.
#[test]
fn tables_stay_while_a_neighbour_needs_them() {
    for entries in [2_u64, 4, 8, 512] {
        let machine = Machine::new(Setup { entries: entries as u32, ..KERNELS.setup() });
        machine.play(async |shell| {
            let mm = shell.new_process().await;
            // Two pages of one page table, and one of the next.
            let first = 2 * entries.min(8) - 2;
            let (here, next) = if entries == 2 { (2, 4) } else { (first, entries.max(first + 2)) };
            for page in [here, here + 1, next] {
                shell.mmap(1, true, Some(page)).await.expect("there is room");
                shell.write(page, page).await.expect("it is writable");
            }
            let all = machine.space(mm).tables;
            shell.munmap(here, 1).await.expect("it is mapped");
            assert_eq!(machine.space(mm).tables, all, "{entries} entries: page {} needs them", here + 1);
            assert_eq!(shell.read(here + 1).await, Ok(here + 1));
            shell.munmap(here + 1, 1).await.expect("it is mapped");
            let left = machine.space(mm).tables;
            let needed: Vec<_> = all.into_iter().filter(|t| (t.page..t.page + t.pages).contains(&next)).collect();
            assert_eq!(left, needed, "{entries} entries: page {next} needs these and no others");
            assert_eq!(shell.read(next).await, Ok(next));
            shell.exit().await;
        });
    }
}

#[test]
fn dontneed_forgets_the_contents_and_keeps_the_mapping() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        let mm = shell.new_process().await;
        shell.mmap(6, true, Some(2)).await.expect("there is room");
        shell.munmap(4, 1).await.expect("it is mapped");
        for page in [2, 3, 5, 6, 7] {
            shell.write(page, page).await.expect("it is writable");
        }
        let tables = machine.space(mm).tables;
        assert_eq!(shell.dontneed(3, 4).await, Err(Errno::Enomem), "page 4 is not mapped");
        assert_eq!(machine.space(mm).tables, tables);
        for (page, value) in [(2, 2), (3, 0), (5, 0), (6, 0), (7, 7)] {
            assert_eq!(shell.read(page).await, Ok(value), "page {page}");
        }
        assert_eq!(shell.dontneed(7, 1).await, Ok(0));
        assert_eq!(shell.dontneed(7, 0).await, Ok(0));
        assert_eq!(shell.dontneed(9, 1).await, Err(Errno::Enomem));
        assert_eq!(shell.write(7, 1).await, Ok(1));
        shell.exit().await;
    });
}

/// Outside any address space there is nothing to map.
#[test]
fn a_task_without_memory_gets_none() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        assert_eq!(sys_mmap(shell.cpu, Mmap { pages: 1, ..Mmap::default() }).await, Err(Errno::Einval));
        assert_eq!(sys_munmap(shell.cpu, address(1), address(2)).await, Err(Errno::Einval));
        assert_eq!(madvise_dontneed(shell.cpu, address(1), address(2)).await, Err(Errno::Einval));
        assert_eq!(shell.read(1).await, Err(Errno::Efault));
    });
}

/// The call that takes a page away from two threads, and what a read answers once the call has returned.
#[derive(Clone, Copy, Debug)]
enum Taken {
    ByMunmap,
    ByDontNeed,
}

/// One thread takes a page away that another, on another CPU, has in its TLB. Before the call the page
/// holds 7; a read that begins after it has returned finds it gone.
fn taken_away(setup: Setup, taken: Taken, seed: u64) -> Result<(), String> {
    let machine = Machine::new(setup);
    let returned = Cell::new(false);
    let taker = async |shell: Shell<'_>| {
        let mm = shell.new_process().await;
        machine.kernel.adopt(mm);
        // The neighbour keeps the page tables in use.
        shell.mmap(2, true, Some(2)).await.expect("there is room");
        shell.write(2, 7).await.expect("it is writable");
        shell.write(3, 8).await.expect("it is writable");
        // The other thread must find what was written. Of a huge page the second write does not fault, which would have drained the buffer.
        shell.drained().await;
        shell.give_birth(1, mm);
        match taken {
            Taken::ByMunmap => shell.munmap(2, 1).await.expect("it is mapped"),
            Taken::ByDontNeed => shell.dontneed(2, 1).await.expect("it is mapped"),
        };
        returned.set(true);
        shell.exit().await;
    };
    let reader = async |shell: Shell<'_>| {
        shell.enter_when_born().await;
        for _ in 0..6 {
            let gone = returned.get();
            let read = shell.read(2).await;
            let after = match taken {
                Taken::ByMunmap => Err(Errno::Efault),
                Taken::ByDontNeed => Ok(0),
            };
            if read != after && (gone || read != Ok(7)) {
                machine.watch.wrong(**shell.cpu, format!("{taken:?}: reads {read:?}, returned: {gone}"));
            }
        }
        shell.exit().await;
    };
    let tasks: Vec<(u8, BoxFuture<'_>)> =
        vec![(0, Box::pin(taker(machine.shell(0, 0)))), (1, Box::pin(reader(machine.shell(1, 1))))];
    let result = machine.run(schedule(seed), tasks);
    result.map_err(|wrong| format!("{wrong}\n{}", machine.watch.story()))
}

/// Two threads, each with both pages in its TLB, give up one page each at the same time. When a CPU has done one of the two
/// flushes, it must still do the other.
fn two_flushes(setup: Setup, seed: u64) -> Result<(), String> {
    let machine = Machine::new(setup);
    let given_up = [Cell::new(false), Cell::new(false)];
    let give_up = async |shell: Shell<'_>, which: usize| {
        for page in [2, 3] {
            let _ = shell.read(page).await;
        }
        shell.dontneed(2 + which as u64, 1).await.expect("it is mapped");
        given_up[which].set(true);
        for _ in 0..3 {
            for (page, gone) in (2..).zip(&given_up) {
                let gone = gone.get();
                let read = shell.read(page).await;
                if read != Ok(0) && (gone || read != Ok(7)) {
                    machine.watch.wrong(**shell.cpu, format!("reads {read:?} from page {page}, given up: {gone}"));
                }
            }
        }
        shell.exit().await;
    };
    let first = async |shell: Shell<'_>| {
        let mm = shell.new_process().await;
        machine.kernel.adopt(mm);
        shell.mmap(2, true, Some(2)).await.expect("there is room");
        for page in [2, 3] {
            shell.write(page, 7).await.expect("it is writable");
        }
        // What the other thread sees is what it held before it was given up.
        shell.drained().await;
        shell.give_birth(1, mm);
        give_up(shell, 0).await;
    };
    let second = async |shell: Shell<'_>| {
        shell.enter_when_born().await;
        give_up(shell, 1).await;
    };
    let tasks: Vec<(u8, BoxFuture<'_>)> =
        vec![(0, Box::pin(first(machine.shell(0, 0)))), (1, Box::pin(second(machine.shell(1, 1))))];
    let result = machine.run(schedule(seed), tasks);
    result.map_err(|wrong| format!("{wrong}\n{}", machine.watch.story()))
}

/// The test can find a defect: it catches a kernel that frees before it flushes.
#[test]
fn freeing_before_the_flush_is_noticed() {
    let kernel = KERNELS.without(GATHER_FLUSH_FIRST);
    let caught = (0..600).any(|seed| {
        let setup = Setup { cpus: 2, kernel, ..KERNELS.setup() };
        taken_away(setup, Taken::ByDontNeed, seed).is_err()
    });
    assert!(caught, "600 runs without gather-flush-first, and nothing is wrong");
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn what_is_taken_away_is_gone_everywhere(setup in KERNELS.setups(2), dontneed in any::<bool>(), seed in any::<u64>()) {
        let taken = if dontneed { Taken::ByDontNeed } else { Taken::ByMunmap };
        taken_away(setup, taken, seed).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn flushes_at_the_same_time_do_not_hide_each_other(setup in KERNELS.setups(2), seed in any::<u64>()) {
        two_flushes(setup, seed).map_err(TestCaseError::fail)?;
    }
}
