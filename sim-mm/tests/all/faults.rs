//! Demand faults: which page the first read and the first write map, and what they refuse.

use crate::KERNELS;
use sim_mm::arch::fault::{Killed, Signal, user_access};
use sim_mm::{CowReuse, Errno, FrameUse};
use sim_mm_testing::{Machine, Setup, every};
use sim_mmu::{DataOp, Entry};

fn data_frames(machine: &Machine) -> usize {
    machine.watch.allocated().iter().filter(|(_, used)| *used == FrameUse::Data).count()
}

#[test]
fn the_first_read_maps_the_zero_page() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        let mm = shell.new_process().await;
        let page = shell.mmap(2, true, None).await.expect("there is room");
        assert_eq!(shell.read(page).await, Ok(0));
        let entry = machine.space(mm).leaves[&page];
        assert_eq!(entry.pfn(), machine.kernel.zero_page.0);
        assert!(entry.has(Entry::SPECIAL) && !entry.has(Entry::RW), "{entry}");
        assert_eq!(data_frames(&machine), 0, "{:?}", machine.watch.allocated());
        assert_eq!(machine.mapcount(entry.pfn()), 0, "the zero page is not counted");

        assert_eq!(shell.write(page, 7).await, Ok(7));
        let entry = machine.space(mm).leaves[&page];
        assert!(entry.has(Entry::RW | Entry::DIRTY) && !entry.has(Entry::SPECIAL), "{entry}");
        assert_eq!((machine.refcount(entry.pfn()), machine.mapcount(entry.pfn())), (1, 1));
        assert_eq!(shell.read(page).await, Ok(7));
        assert_eq!(shell.read(page + 1).await, Ok(0));
        shell.exit().await;
    });
}

#[test]
fn the_first_write_maps_a_page_of_zeroes() {
    // One frame more than the first page takes, so that the next two pages take its frame as well.
    let machine = Machine::new(Setup { frames: 8, ..KERNELS.setup() });
    machine.play(async |shell| {
        let mm = shell.new_process().await;
        let page = shell.mmap(1, true, None).await.expect("there is room");
        shell.write(page, 7).await.expect("it is writable");
        let frame = machine.frame_of(mm, page).expect("it was written");
        shell.dontneed(page, 1).await.expect("it is mapped");
        assert_eq!(machine.watch.frame(frame), None);
        let words = machine.kernel.mmu.phys.words_per_frame();
        for _ in 0..2 {
            let page = shell.mmap(1, true, None).await.expect("there is room");
            shell.write(page, 8).await.expect("it is writable");
            let frame = machine.frame_of(mm, page).expect("it was written");
            for word in 1..words {
                assert_eq!(machine.kernel.core().memory.get(machine.kernel.mmu.phys.word(frame, word)), 0);
            }
        }
        shell.exit().await;
    });
}

#[test]
fn user_code_reaches_only_what_is_mapped_and_writes_only_what_is_writable() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        shell.new_process().await;
        let page = shell.mmap(1, false, Some(5)).await.expect("there is room");
        for unmapped in [0, 4, 6] {
            assert_eq!(shell.read(unmapped).await, Err(Errno::Efault), "page {unmapped}");
            assert_eq!(shell.write(unmapped, 1).await, Err(Errno::Efault), "page {unmapped}");
        }
        // Before the page is there, and after.
        for _ in 0..2 {
            assert_eq!(shell.write(page, 1).await, Err(Errno::Efault));
            assert_eq!(shell.read(page).await, Ok(0));
        }
        shell.exit().await;
    });
}

#[test]
fn a_page_that_was_only_read_is_written_under_every_rule() {
    for rule in every::<CowReuse>() {
        let machine = Machine::new(Setup { kernel: KERNELS.reusing_by(rule), ..KERNELS.setup() });
        machine.play(async |shell| {
            let mm = shell.new_process().await;
            let page = shell.mmap(1, true, None).await.expect("there is room");
            assert_eq!(shell.read(page).await, Ok(0));
            assert_eq!(shell.write(page, 3).await, Ok(3), "{rule:?}");
            assert_ne!(machine.frame_of(mm, page), Some(machine.kernel.zero_page.0), "{rule:?}");
            shell.exit().await;
        });
    }
}

/// If frames run out, the access fails, and everything stays as it was.
#[test]
fn memory_runs_out() {
    let machine = Machine::new(Setup { frames: 12, ..KERNELS.setup() });
    machine.play(async |shell| {
        shell.new_process().await;
        let start = shell.mmap(16, true, None).await.expect("there is room");
        let mut written = 0;
        let errno = loop {
            match shell.write(start + written, written + 1).await {
                Ok(_) => written += 1,
                Err(errno) => break errno,
            }
        };
        assert_eq!(errno, Errno::Enomem);
        assert!(written > 2, "only {written} pages fit");
        for page in 0..written {
            assert_eq!(shell.read(start + page).await, Ok(page + 1));
        }
        shell.dontneed(start, 1).await.expect("it is mapped");
        assert_eq!(shell.write(start, 9).await, Ok(9), "a page that was given back is there to take");
        shell.exit().await;
    });
}

/// A retry cannot help: the walk finds the same bit again.
#[test]
fn a_reserved_bit_is_a_bug_of_the_kernel_and_no_endless_fault() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        let mm = shell.new_process().await;
        let page = shell.mmap(1, true, None).await.expect("there is room");
        shell.write(page, 7).await.expect("it is writable");
        let memory = &machine.kernel.core().memory;
        let slot = machine.slot_of(mm, page).expect("it was written");
        let good = memory.get(slot);
        // Bit 51 is above MAXPHYADDR of every processor that is modelled here.
        memory.set(slot, good | 1 << 51);
        let va = sim_mm_testing::address(page);
        shell.cpu.invlpg(va).await;
        assert_eq!(user_access(shell.cpu, va, DataOp::Read).await, Err(Killed::Oops));
        memory.set(slot, good);
        assert_eq!(shell.read(page).await, Ok(7));
        shell.exit().await;
    });
}

#[test]
fn an_access_that_is_refused_ends_in_its_signal() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        shell.new_process().await;
        let page = shell.mmap(1, false, None).await.expect("there is room");
        for (page, data, signal) in [
            (page, DataOp::Write(1), Signal::SegvAccerr),
            (page + 1, DataOp::Read, Signal::SegvMaperr),
            (page - 1, DataOp::Write(1), Signal::SegvMaperr),
        ] {
            let va = sim_mm_testing::address(page);
            assert_eq!(user_access(shell.cpu, va, data).await, Err(Killed::Signal(signal)), "{va}: {data:?}");
        }
        shell.exit().await;
    });
}
