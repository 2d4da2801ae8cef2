//! Copy on write as a matrix: kinds of tests, by kinds of private memory, by releases. Each row is a scenario that is generated, one thread
//! after the other. It says what processes, pipes and devices must read, and what they do read decides how the row comes out.
//!
//! The rows are those of Linux's own test of copy on write (`tools/testing/selftests/mm/cow.c`). The memory of hugetlb is left out, because it
//! is not modelled. A write by the child is added, since Linux's test lets only the parent write.
//!
//! A rule of thumb says that pins for reading go wrong before v5.19, and `vmsplice()` before v5.9. It is not exact, because small pages, huge
//! pages and pages from swap got their rules at different times. [`TABLE`] says what is so, and these are the reasons:
//!
//! - v5.8 alone breaks COW for whoever takes a reference, also to read. So on v5.8 all pins for reading hold, and so does `vmsplice()` after
//!   fork. Before fork nothing is to be broken. The reference to the page is there, and the rule of v5.8 for a write only counts mappings.
//! - Since v5.9 a write reuses a small page only if nobody else has a reference. Until v5.17 that is not asked of a huge page that one entry
//!   maps, nor by a write that reads a page from swap. There `vmsplice()` goes wrong up to v5.17: in the first case always, and in the second
//!   where the parent still has its pages in swap when it writes.
//! - Kernels up to v5.8 count the mappings of that page of a huge page that is mapped most often. The half of a huge page that was moved is still
//!   mapped by both processes when the other half is unmapped. So nothing is reused there, and `vmsplice()` does no harm in any kernel.
//! - A kernel that counts mappings reuses the page that a device has, if no other process maps it. So before v5.9 pins of exclusive pages and
//!   of those that a child had once hold, and buffers of io_uring survive `mprotect()`. Kernels from v5.9 to v5.18 copy the page, because the
//!   pin is a reference, and the device goes on with the old one. For a huge page that one entry maps, this is so in v5.18 alone.
//! - Since v5.9 fork copies a page that is pinned. Before, parent and child share it, and the one that writes first leaves it to the other.
//! - Exclusive marks (v5.19) are for pages that a process has for itself. A pin for long of a page of a file, or of the zero page, takes that
//!   page up to v6.1. Since v6.2 it gets a page of its own.
//! - `MADV_COLLAPSE` refuses pages none of which is writable up to v6.17, as all are after fork. Linux's test is skipped there.

mod expected;
mod kinds;
mod memory;
mod program;
mod run;

use serde_json::json;
use sim_mm::Release;
use sim_mmu::{Entry, Level, VirtAddr};

use expected::{Came, TABLE, Table};
use kinds::{Backing, Collapse, How, collapse, long_pin, tests};
use memory::{MEMORIES, Mapped, Memory};
use program::{HUGE, Program};
use run::{prepared, run};

/// A row: the name of the test, that of the memory, and the program on a release. There is none if the release lacks an operation.
type Row = (String, String, Box<dyn Fn(Release) -> Option<Program>>);

fn memories() -> impl Iterator<Item = Memory> {
    MEMORIES.into_iter().flat_map(|mapped| [false, true].map(|swapped| Memory { mapped, swapped }))
}

fn rows_of_private_memory() -> Vec<Row> {
    let row = |test: kinds::Test, memory: Memory| -> Row {
        (test.name(), memory.name(), Box::new(move |release| Some(test.program(memory, release))))
    };
    tests().into_iter().flat_map(|test| memories().map(move |memory| row(test, memory))).collect()
}

fn rows_of_collapsing() -> Vec<Row> {
    let kinds = [Collapse::BeforeFork, Collapse::Fully, Collapse::Lower, Collapse::Upper];
    let row = |kind: Collapse| -> Row {
        let program = move |release| (release >= Release::v(6, 1)).then(|| collapse(kind));
        (kind.name().to_owned(), "pte".to_owned(), Box::new(program))
    };
    kinds.into_iter().map(row).collect()
}

fn rows_of_long_pins() -> Vec<Row> {
    let backings = [Backing::ZeroPage, Backing::HugeZeroPage, Backing::Memfd, Backing::File];
    let row = |backing: Backing, how: How| -> Row {
        let program = move |release| (release >= Release::v(5, 6)).then(|| long_pin(backing, how));
        (how.name_for_long().to_owned(), backing.name().to_owned(), Box::new(program))
    };
    backings.into_iter().flat_map(|backing| [How::Slow, How::Fast].map(|how| row(backing, how))).collect()
}

/// Runs rows on all releases of the table. Fails with every row that does not come out as the table says.
#[track_caller]
fn come_out_as_expected(rows: Vec<Row>) {
    let table = Table::read(TABLE);
    let mut different = Vec::new();
    for (test, memory, program) in rows {
        for (release, expected) in table.row(&test, &memory) {
            let (came, told) = match program(release) {
                None => (Came::Absent, "the release lacks an operation".to_owned()),
                Some(program) => {
                    let outcome = run(&program, release);
                    (outcome.came(), outcome.told())
                }
            };
            if came != expected {
                different.push(format!("{test} of {memory} on {release} is {came:?}, not {expected:?}: {told}"));
            }
        }
    }
    assert!(different.is_empty(), "{} rows differ:\n{}", different.len(), different.join("\n"));
}

#[test]
fn private_memory_is_as_the_table_says() {
    come_out_as_expected(rows_of_private_memory());
}

#[test]
fn collapsing_is_as_the_table_says() {
    come_out_as_expected(rows_of_collapsing());
}

#[test]
fn pins_for_long_are_as_the_table_says() {
    come_out_as_expected(rows_of_long_pins());
}

#[test]
fn the_table_has_each_row_once_and_nothing_fails_in_the_latest_kernel() {
    let table = Table::read(TABLE);
    let rows = [rows_of_private_memory(), rows_of_collapsing(), rows_of_long_pins()].into_iter().flatten();
    let mut names: Vec<_> = rows.map(|(test, memory, _)| (test, memory)).collect();
    names.sort();
    assert_eq!(table.names(), names);
    for (test, memory) in &names {
        let latest = table.row(test, memory).into_iter().find(|(release, _)| *release == Release::LATEST);
        assert_eq!(latest, Some((Release::LATEST, Came::Right)), "{test} of {memory}");
    }
}

#[test]
fn a_row_that_goes_wrong_tells_what_was_read() {
    let test = kinds::Test::VmspliceInChild { mprotect: false };
    let memory = Memory { mapped: Mapped::Base, swapped: false };
    let release = Release::v(5, 7);
    let outcome = run(&test.program(memory, release), release);
    assert_eq!(outcome.came(), Came::Wrong);
    assert!(outcome.told().contains("pipe-1 is 20 and must be 10"), "{}", outcome.told());
}

/// A row is only worth what its memory is: the page tables are looked at before a test begins.
#[test]
fn memory_is_mapped_as_its_name_says() {
    let buf = VirtAddr(0x4000);
    for release in Table::read(TABLE).releases() {
        for memory in memories() {
            let mut program = Program::default();
            memory.set_up(&mut program, *release);
            // A scenario has a thread.
            program.run("p", json!("mfence"));
            let name = format!("{} on {release}", memory.name());
            prepared(&program, *release, |kernel, root| {
                let entry = |page| kernel.mmu.lowest_under(root, buf.plus_pages(page));
                let mapped = |page: u64| entry(page).2.is_present();
                let is_huge = |page: u64| {
                    let frame = sim_mm::Page(entry(page).2.pfn());
                    kernel.folio_order(kernel.folio_of(frame)) > 0
                };
                let level = entry(0).1;
                if memory.swapped {
                    let gone = (0..memory.pages()).all(|page| !mapped(page) && entry(page).2 != Entry::NONE);
                    assert!(gone, "{name}: an entry names a slot of the swap area");
                    return;
                }
                assert_eq!(level, if memory.mapped == Mapped::Pmd { Level::Pmd } else { Level::Pte }, "{name}");
                assert_eq!(is_huge(0), memory.mapped != Mapped::Base, "{name}: the page is huge");
                // The page that a child had is read-only still.
                let was_shared = memory.mapped == Mapped::PartialShared;
                assert_eq!(entry(0).2.has(Entry::RW), !was_shared, "{name}: whether the first entry is writable");
                assert!(entry(memory.pages() - 1).2.has(Entry::RW), "{name}: the last entry is writable");
                assert!((0..memory.pages()).all(mapped), "{name}: its pages are mapped");
                let others = (memory.pages()..HUGE).all(|page| !mapped(page));
                assert!(memory.mapped == Mapped::Base || others, "{name}: its other pages are not mapped");
            });
        }
    }
}
