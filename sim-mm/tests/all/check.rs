//! The recount at rest: on a machine that did something, all counts are right. If one of them is made wrong, that is noticed.

use crate::KERNELS;
use sim_mm::{MapFlags, Miscount, Mmap, Order, Page, PageAlloc, Prot, sys_mmap};
use sim_mm_testing::{Machine, Setup};
use sim_mmu::{Geometry, Level, Pfn};

/// The page that the process in `play` has behind its one mapping.
fn page_of(machine: &Machine) -> Page {
    let frames = (0..machine.kernel.config.frames).map(|pfn| Page(Pfn(pfn)));
    let count = |page: &Page| machine.kernel.core().memory.get(machine.kernel.mapcount(*page).loc());
    frames.into_iter().find(|page| count(page) == 1).expect("one page is mapped once")
}

#[test]
fn wrong_counts_and_strays_are_noticed() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        shell.new_process().await;
        shell.mmap(1, true, Some(1)).await.expect("there is room");
        shell.write(1, 7).await.expect("it is mapped");
        let kernel = &machine.kernel;
        assert_eq!(kernel.check(|_| 0), Ok(()));

        let page = page_of(&machine);
        assert_eq!(
            kernel.check(|other| u64::from(other == page)),
            Err(Miscount::Refcount { page, count: 1, holders: 2 })
        );

        let memory = &kernel.core().memory;
        let mapcount = kernel.mapcount(page).loc();
        memory.set(mapcount, 2);
        assert_eq!(kernel.check(|_| 0), Err(Miscount::Mapcount { page, count: 2, entries: 1 }));
        memory.set(mapcount, 1);

        assert_eq!(kernel.check(|_| 0), Ok(()));
        shell.munmap(1, 1).await.expect("it is mapped");
        assert_eq!(kernel.check(|_| 0), Ok(()));
        shell.exit().await;
    });
}

#[test]
fn free_lists_that_do_not_add_up_are_noticed() {
    let base = KERNELS.setup();
    let machine = Machine::new(Setup { platform: base.platform.with(PageAlloc::Buddy), ..base });
    let kernel = &machine.kernel;
    let memory = &kernel.core().memory;
    assert_eq!(kernel.check(|_| 0), Ok(()));

    // Of 64 frames, the last 32 are one block.
    let page = Page(Pfn(32));
    let (order, next) = (kernel.page(page).private().loc(), kernel.page(page).lru().loc());
    assert_eq!(memory.get(order), 5);
    memory.set(order, 4);
    assert_eq!(kernel.check(|_| 0), Err(Miscount::NoBlock { page, order: 5 }));
    memory.set(order, 5);
    memory.set(next, 32 + 1);
    assert_eq!(kernel.check(|_| 0), Err(Miscount::FreeTwice { page }));
    memory.set(next, 16 + 1);
    assert_eq!(kernel.check(|_| 0), Err(Miscount::FreeTwice { page: Page(Pfn(16)) }));
    memory.set(next, 0);
    assert_eq!(kernel.check(|_| 0), Ok(()));
}

#[test]
fn a_shared_mapping_that_maps_other_pages_than_its_file_has_is_noticed() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        let mm = shell.new_process().await;
        let request = Mmap { pages: 2, prot: Prot::READ_WRITE, flags: MapFlags::SHARED, ..Mmap::default() };
        let first = sys_mmap(shell.cpu, request).await.expect("there is room").vpn().0;
        shell.write(first, 7).await.expect("it is mapped");
        shell.write(first + 1, 8).await.expect("it is mapped");
        let kernel = &machine.kernel;
        assert_eq!(kernel.check(|_| 0), Ok(()));

        // The two entries change places. Counts and permissions stay right.
        let memory = &kernel.core().memory;
        let root = Pfn(memory.get(kernel.mm(mm).pgd().loc()));
        let address = |page: u64| sim_mmu::Vpn(page).base();
        let mapped = |page: u64| kernel.mmu.frame_under(root, address(page)).expect("it was written");
        let frames = [mapped(first), mapped(first + 1)];
        let entries: Vec<_> = (0..kernel.config.frames)
            .flat_map(|table| (0..kernel.mmu.geometry.entries(Level::Pte)).map(move |index| (Pfn(table), index)))
            .filter(|(table, index)| {
                let entry = kernel.mmu.entry_now(*table, *index);
                entry.is_present() && frames.contains(&entry.pfn())
            })
            .map(|(table, index)| kernel.mmu.phys.word(table, index))
            .collect();
        let [one, other] = entries[..] else { panic!("two entries lead to the two pages") };
        let swap = || {
            let value = memory.get(one);
            memory.set(one, memory.get(other));
            memory.set(other, value);
        };
        swap();
        let found = Miscount::OtherPage { mm, va: address(first), page: Page(frames[1]) };
        assert_eq!(kernel.check(|_| 0), Err(found));
        swap();
        assert_eq!(kernel.check(|_| 0), Ok(()));
        shell.exit().await;
    });
}

#[test]
fn the_order_of_an_entry_follows_the_shape_of_the_tables() {
    let pages = |geometry| [Level::Pte, Level::Pmd, Level::Pud].map(|level| Order::of(level, geometry).pages());
    assert_eq!(pages(Geometry::default()), [1, 512, 512 * 512]);
    let small = Geometry::of_levels([2, 8, 8, 4]).expect("each is a power of two");
    assert_eq!(pages(small), [1, 2, 16]);
    assert_eq!(Order::of(Level::Pte, small), Order::PTE);
}
