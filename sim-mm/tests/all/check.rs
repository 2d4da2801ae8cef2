//! The recount at rest: the books of a machine that did something add up, and one wrong entry in them is noticed.

use crate::KERNELS;
use sim_mm::{Miscount, Page};
use sim_mm_testing::Machine;
use sim_mmu::Pfn;

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
