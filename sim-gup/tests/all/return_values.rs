//! The three ways to get pages: what they answer, which frames they hand out, and how they change the counts. The ranges are
//! mapped, untouched, read-only, shared, partly unmapped, or impossible.

use crate::{
    KERNELS,
    common::{Got, Gup, GupShell, WAYS},
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use sim_core::source::{Random, Source};
use sim_gup::callers::{device_read, device_write};
use sim_gup::{__get_user_pages_fast, FollFlags, Pages, get_user_pages_fast, get_user_pages_unlocked};
use sim_mm::{CowReuse, Errno, MmId, Reach, Thp};
use sim_mm_testing::model::{Call, Frames, Memory};
use sim_mm_testing::{Machine, Setup, Shell, address, cases, every};
use sim_mmu::{Entry, Level, Pfn, VirtAddr};

/// A process with mapped pages, each of which holds its number.
async fn process_with(shell: Shell<'_>, page: u64, pages: u64) -> MmId {
    let mm = shell.new_process().await;
    shell.mmap(pages, true, Some(page)).await.expect("there is room");
    for page in page..page + pages {
        shell.write(page, page).await.expect("it is writable");
    }
    mm
}

fn frames(got: &Got) -> Vec<Pfn> {
    got.pins.iter().map(|pin| pin.page.0).collect()
}

#[test]
fn a_mapped_page_is_handed_out_with_a_reference() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        let mm = process_with(shell, 5, 1).await;
        let frame = machine.frame_of(mm, 5).expect("it was written");
        for way in WAYS {
            for write in [false, true] {
                let got = shell.gup(way, 5, 1, write).await;
                assert_eq!(got.result, Ok(1), "{way:?}, write: {write}");
                assert_eq!(frames(&got), [frame]);
                assert_eq!((got.pins[0].va, got.pins[0].mm), (address(5), mm));
                assert_eq!((machine.refcount(frame), machine.mapcount(frame)), (2, 1));
                shell.put(got).await;
                assert_eq!((machine.refcount(frame), machine.mapcount(frame)), (1, 1));
            }
        }
        shell.exit().await;
    });
}

#[test]
fn an_untouched_page_is_faulted_in_by_the_ways_that_may_sleep() {
    for way in WAYS {
        let machine = Machine::new(KERNELS.setup());
        machine.play(async |shell| {
            let mm = shell.new_process().await;
            let page = shell.mmap(1, true, None).await.expect("there is room");
            let zero = machine.kernel.zero_page.0;
            let pages = u64::from(way != Gup::FastOnly);

            let read = shell.gup(way, page, 1, false).await;
            assert_eq!(read.result, Ok(pages), "{way:?}");
            assert_eq!(frames(&read), vec![zero; pages as usize], "{way:?} reads the zero page");
            assert_eq!(machine.refcount(zero), 1 + pages);
            shell.put(read).await;
            assert_eq!(machine.refcount(zero), 1);

            let write = shell.gup(way, page, 1, true).await;
            assert_eq!(write.result, Ok(pages), "{way:?}");
            let own: Vec<Pfn> = machine.frame_of(mm, page).into_iter().filter(|pfn| *pfn != zero).collect();
            assert_eq!(frames(&write), own, "{way:?} writes a page of the process's own");
            shell.put(write).await;
            shell.exit().await;
        });
    }
}

#[test]
fn writing_needs_a_writable_mapping() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        shell.new_process().await;
        shell.mmap(1, false, Some(5)).await.expect("there is room");
        for present in [false, true] {
            assert_eq!(shell.gup(Gup::Fast, 5, 1, true).await.result, Err(Errno::Efault), "present: {present}");
            assert_eq!(
                shell.gup(Gup::Unlocked, 5, 1, true).await.result,
                Err(Errno::Efault),
                "present: {present}"
            );
            assert_eq!(shell.gup(Gup::FastOnly, 5, 1, true).await.result, Ok(0), "present: {present}");
            assert_eq!(shell.read(5).await, Ok(0));
        }
        for way in [Gup::Fast, Gup::Unlocked] {
            let got = shell.gup(way, 5, 1, false).await;
            assert_eq!(got.result, Ok(1), "{way:?}");
            shell.put(got).await;
        }
        shell.exit().await;
    });
}

/// A write reference to a page shared by fork breaks COW first; a read reference takes what is there.
#[test]
fn a_write_reference_is_to_a_page_of_ones_own() {
    for rule in every::<CowReuse>() {
        for way in WAYS {
            let machine = Machine::new(Setup { kernel: KERNELS.reusing_by(rule), ..KERNELS.setup() });
            machine.play(async |shell| {
                let parent = process_with(shell, 5, 1).await;
                let child = shell.fork().await.expect("there are frames");
                let shared = machine.frame_of(child, 5).expect("it is inherited");
                let read = shell.gup(way, 5, 1, false).await;
                assert_eq!(frames(&read), [shared], "{rule:?}, {way:?}");
                shell.put(read).await;

                let write = shell.gup(way, 5, 1, true).await;
                if way == Gup::FastOnly {
                    assert_eq!(write.result, Ok(0), "{rule:?}: the entry is read-only");
                } else {
                    assert_eq!(Some(write.pins[0].page.0), machine.frame_of(parent, 5), "{rule:?}, {way:?}");
                    device_write(shell.cpu, write.pins[0], 99).await;
                    assert_eq!(shell.read(5).await, Ok(99), "{rule:?}, {way:?}");
                }
                shell.put(write).await;
                shell.enter(child).await;
                assert_eq!(shell.read(5).await, Ok(5), "{rule:?}, {way:?}: the child sees what is not its own");
                shell.exit().await;
                shell.exit_of(parent).await;
            });
        }
    }
}

/// `FOLL_FORCE`: a debugger writes where the mapping forbids it, to a copy that is the process's own.
/// The entry stays read-only.
#[test]
fn a_forced_write_breaks_cow_under_a_read_only_mapping() {
    let force = FollFlags::WRITE | FollFlags::FORCE;
    for rule in every::<CowReuse>() {
        let machine = Machine::new(Setup { kernel: KERNELS.reusing_by(rule), ..KERNELS.setup() });
        machine.play(async |shell| {
            let parent = shell.new_process().await;
            shell.mmap(1, false, Some(5)).await.expect("there is room");
            let force_write = async |value| {
                let mut pages = Pages::default();
                let result = get_user_pages_unlocked(shell.cpu, address(5), 1, &mut pages, force).await;
                assert_eq!(result, Ok(1), "{rule:?}");
                let pins = pages.take();
                device_write(shell.cpu, pins[0], value).await;
                shell.put(Got { result, pins }).await;
                assert_eq!(shell.read(5).await, Ok(value), "{rule:?}");
                let entry = machine.space(parent).leaves[&5];
                assert!(!entry.has(Entry::RW) && entry.has(Entry::DIRTY), "{rule:?}: {entry}");
            };
            force_write(70).await;
            let child = shell.fork().await.expect("there are frames");
            // Now the entry is dirty, and yet the page is not the process's own.
            force_write(71).await;
            shell.exit().await;
            shell.enter(child).await;
            assert_eq!(shell.read(5).await, Ok(70), "{rule:?}: the child sees what is not its own");
            shell.exit().await;
        });
    }
}

#[test]
fn a_range_ends_where_the_mappings_do() {
    for way in WAYS {
        let machine = Machine::new(KERNELS.setup());
        machine.play(async |shell| {
            process_with(shell, 5, 3).await;
            let nothing = if way == Gup::FastOnly { Ok(0) } else { Err(Errno::Efault) };
            for write in [false, true] {
                for (page, nr, expected) in [
                    (5, 3, Ok(3)),
                    (5, 4, Ok(3)),
                    (7, 9, Ok(1)),
                    (8, 1, nothing),
                    (4, 2, nothing),
                    (40, 1, nothing),
                ] {
                    let got = shell.gup(way, page, nr, write).await;
                    assert_eq!(got.result, expected, "{way:?} of {nr} pages from {page}, write: {write}");
                    shell.put(got).await;
                }
            }
            shell.exit().await;
        });
    }
}

/// Pages that the lockless walk has pinned stay pinned if the rest needs the locked path, and also if nothing can get the rest.
#[test]
fn the_locked_path_goes_on_where_the_lockless_walk_stopped() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        let mm = process_with(shell, 5, 2).await;
        shell.mmap(2, true, Some(7)).await.expect("there is room");
        shell.write(8, 8).await.expect("it is writable");
        assert_eq!(shell.gup(Gup::FastOnly, 5, 4, true).await.pins.len(), 2, "these stay pinned");
        let got = shell.gup(Gup::Fast, 5, 5, true).await;
        assert_eq!(got.result, Ok(4), "page 7 is untouched, page 9 is not mapped");
        let mapped: Vec<Pfn> = (5..9).filter_map(|page| machine.frame_of(mm, page)).collect();
        assert_eq!(frames(&got), mapped);
        assert_eq!(mapped.iter().map(|pfn| machine.refcount(*pfn)).collect::<Vec<_>>(), [3, 3, 2, 2]);
        shell.put(got).await;
        for frame in &mapped[..2] {
            sim_mm::put_page(shell.cpu, sim_mm::Page(*frame)).await;
        }
        shell.exit().await;
    });
}

#[test]
fn a_range_outside_user_space_is_refused_whole() {
    for entries in [2, 4, 8, 512] {
        let machine = Machine::new(Setup { entries, ..KERNELS.setup() });
        machine.play(async |shell| {
            let top = machine.kernel.mmu.geometry.task_size().vpn().0;
            process_with(shell, top - 1, 1).await;
            let got = shell.gup(Gup::Fast, top - 1, 1, true).await;
            assert_eq!(got.result, Ok(1), "the last page, {entries} entries");
            shell.put(got).await;
            let last_of_all = u64::MAX >> 12;
            for (page, nr) in
                [(top - 1, 2), (top, 1), (2 * top, 1), (last_of_all, 1), (last_of_all, 3), (1, last_of_all)]
            {
                let what = format!("{nr} pages from {page:#x}, {entries} entries");
                assert_eq!(shell.gup(Gup::Fast, page, nr, false).await.result, Err(Errno::Efault), "{what}");
                assert_eq!(shell.gup(Gup::FastOnly, page, nr, false).await.result, Ok(0), "{what}");
            }
            // The locked path looks at mappings only.
            let got = shell.gup(Gup::Unlocked, top - 1, 2, false).await;
            assert_eq!(got.result, Ok(1), "{entries} entries");
            shell.put(got).await;
            shell.exit().await;
        });
    }
}

#[test]
fn nothing_is_asked_for_or_nobody_asks() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        let (mut pages, nobody) = (Pages::default(), address(5));
        assert_eq!(get_user_pages_fast(shell.cpu, nobody, 1, false, &mut pages).await, Err(Errno::Efault));
        assert_eq!(__get_user_pages_fast(shell.cpu, nobody, 1, false, &mut pages).await, 0);
        process_with(shell, 5, 1).await;
        for way in WAYS {
            assert_eq!(shell.gup(way, 9, 0, true).await.result, Ok(0), "{way:?}");
        }
        for way in [Gup::Fast, Gup::Unlocked] {
            assert_eq!(shell.gup(way, 5, 0, true).await.result, Ok(0), "{way:?}");
        }
        shell.exit().await;
    });
}

/// The number of pages is signed. A negative number means no page.
#[test]
fn less_than_nothing_is_asked_for() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        process_with(shell, 5, 1).await;
        for (way, nr) in [Gup::Fast, Gup::FastOnly].into_iter().flat_map(|way| [-1_i64, -3].map(|nr| (way, nr))) {
            assert_eq!(shell.gup(way, 5, nr.cast_unsigned(), true).await.result, Ok(0), "{nr} by {way:?}");
        }
        shell.exit().await;
    });
}

/// `__get_user_pages_fast()` walks before it looks at the end of its range. So if it is asked for no page, it gets all pages
/// up to the first entry that it cannot use, or up to the end of the table.
#[test]
fn the_lockless_way_alone_begins_to_walk_even_for_nothing() {
    let machine = Machine::new(KERNELS.setup());
    let entries = u64::from(machine.kernel.mmu.geometry.entries(Level::Pte));
    for (first, mapped, pinned) in [(5, 2, 2), (2 * entries - 2, 4, 2)] {
        machine.play(async |shell| {
            let mm = process_with(shell, first, mapped).await;
            let got = shell.gup(Gup::FastOnly, first, 0, true).await;
            assert_eq!(got.result, Ok(pinned), "from {first}");
            let behind = (first..first + pinned).map(|page| machine.frame_of(mm, page).expect("it was written"));
            assert_eq!(frames(&got), behind.collect::<Vec<_>>());
            shell.put(got).await;
            shell.exit().await;
        });
    }
}

/// The lockless ways start at the page in which an address is.
#[test]
fn an_address_within_a_page_stands_for_the_page() {
    let machine = Machine::new(KERNELS.setup());
    machine.play(async |shell| {
        let mm = process_with(shell, 5, 2).await;
        let within = VirtAddr(address(5).0 + 0x123);
        let mut pages = Pages::default();
        assert_eq!(get_user_pages_fast(shell.cpu, within, 2, false, &mut pages).await, Ok(2));
        let got = Got { result: Ok(2), pins: pages.take() };
        assert_eq!(frames(&got), [5, 6].map(|page| machine.frame_of(mm, page).expect("it was written")));
        assert_eq!(got.pins[0].va, address(5));
        shell.put(got).await;
        shell.exit().await;
    });
}

/// What a page of a random address space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Unmapped,
    Untouched,
    /// Maps the zero page.
    Read,
    Written,
    /// Shared with a child since it was written.
    Shared,
    ReadOnly,
    /// Maps the zero page, and may not be written.
    ReadOnlyRead,
}

impl Is {
    /// Whether the lockless walk takes it.
    fn fast(self, write: bool) -> bool {
        self == Is::Written || self == Is::Shared && !write
    }

    /// Whether the locked path takes it.
    fn locked(self, write: bool) -> bool {
        self != Is::Unmapped && !(write && matches!(self, Is::ReadOnly | Is::ReadOnlyRead))
    }
}

fn is() -> impl Strategy<Value = Is> {
    prop_oneof![
        1 => Just(Is::Unmapped),
        1 => Just(Is::Untouched),
        1 => Just(Is::Read),
        6 => Just(Is::Written),
        3 => Just(Is::Shared),
        1 => Just(Is::ReadOnly),
        1 => Just(Is::ReadOnlyRead),
    ]
}

/// Makes an address space of it, and one for the child; answers them with what they hold.
async fn lay_out(shell: Shell<'_>, first: u64, layout: &[Is]) -> [(MmId, Memory); 2] {
    let parent = shell.new_process().await;
    let mut memory = Memory::default();
    let pages = || (first..).zip(layout.iter().copied());
    for (page, _) in pages().filter(|(_, is)| *is != Is::Unmapped) {
        let writable = !matches!(layout[(page - first) as usize], Is::ReadOnly | Is::ReadOnlyRead);
        shell.call_as(&mut memory, Call::Mmap { page: Some(page), pages: 1, writable }, Frames::Suffice).await;
    }
    for (page, _) in pages().filter(|(_, is)| *is == Is::Shared) {
        shell.call_as(&mut memory, Call::Write { page, word: 0, value: page }, Frames::Suffice).await;
    }
    let child = shell.fork().await.expect("there are frames");
    let inherited = memory.clone();
    for (page, is) in pages() {
        match is {
            Is::Written => {
                shell.call_as(&mut memory, Call::Write { page, word: 0, value: page }, Frames::Suffice).await
            }
            Is::Read | Is::ReadOnlyRead => {
                shell.call_as(&mut memory, Call::Read { page, word: 0 }, Frames::Suffice).await
            }
            _ => {}
        }
    }
    [(parent, memory), (child, inherited)]
}

/// How many pages from the start are taken.
fn leading(pages: &[Is], taken: impl Fn(Is) -> bool) -> usize {
    pages.iter().take_while(|is| taken(**is)).count()
}

async fn check_layout(shell: Shell<'_>, first: u64, layout: &[Is], range: (usize, usize), way: Gup, write: bool) {
    let machine = shell.machine;
    let wrong = |what: String| machine.watch.wrong(**shell.cpu, what);
    let processes = lay_out(shell, first, layout).await;
    let [(parent, memory), (child, inherited)] = &processes;
    let (start, nr) = range;
    let asked: Vec<Is> = (start..start + nr).map(|n| layout.get(n).copied().unwrap_or(Is::Unmapped)).collect();
    let fast = if way == Gup::Unlocked { 0 } else { leading(&asked, |is| is.fast(write)) };
    let slow = if way == Gup::FastOnly { 0 } else { leading(&asked[fast..], |is| is.locked(write)) };
    let expected = if fast + slow == 0 && nr > 0 && way != Gup::FastOnly {
        Err(Errno::Efault)
    } else {
        Ok((fast + slow) as u64)
    };

    let page = first + start as u64;
    let got = shell.gup(way, page, nr as u64, write).await;
    if got.result != expected {
        wrong(format!("{way:?} of {asked:?}, write: {write}, answers {:?}, not {expected:?}", got.result));
    }
    shell.drained().await;
    for (page, pin) in (page..).zip(&got.pins) {
        let frame = pin.page.0;
        // The first page of a folio counts the references to all of it.
        let head = machine.kernel.folio_of(pin.page);
        let pinned = got.pins.iter().filter(|other| machine.kernel.folio_of(other.page) == head).count() as u64;
        let mut reach = Reach::default();
        if let Err(what) = reach.walk(&machine.kernel) {
            wrong(what.to_string());
        }
        let counts = (machine.refcount(head.0), reach.entries(machine.kernel.folio_frames(head)));
        let zero = head == machine.kernel.zero_page || machine.kernel.huge_zero_page() == Some(head);
        if machine.frame_of(*parent, page) != Some(frame) || pin.va != address(page) {
            wrong(format!("{pin:?} is not what page {page} maps"));
        }
        if counts.0 != if zero { 1 } else { counts.1 } + pinned || zero && write {
            wrong(format!("{pin:?} is pinned {pinned} times, its _refcount and its entries are {counts:?}"));
        }
        let seen = device_read(shell.cpu, *pin).await;
        if seen != memory.page(page).map_or(0, |page| page.words[0]) {
            wrong(format!("{seen} is read through {pin:?}"));
        }
    }
    shell.put(got).await;
    shell.drained().await;
    if let Err(what) = machine.check_processes(&[(*parent, memory), (*child, inherited)]) {
        wrong(what);
    }
    shell.exit_of(*parent).await;
    shell.exit_of(*child).await;
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn ranges_of_random_address_spaces(
        setup in KERNELS.setups(1),
        layout in vec(is(), 1..14),
        shift in 0..7_u64,
        // Of no pages, each function has its own rule, and its own test.
        range in (0..10_usize, 1..10_usize),
        way in select(&WAYS[..]),
        write in any::<bool>(),
        seed in any::<u64>(),
    ) {
        // What each way answers follows from what is mapped page by page.
        let setup = Setup { platform: setup.platform.with(Thp::Never), ..setup };
        let entries = u64::from(setup.entries);
        // Around a border of tables of all levels, where there is room for that.
        let first = if entries == 2 { 1 } else { entries.pow(3) - shift };
        let pages = if entries == 2 { layout.len().min(6) } else { layout.len() };
        let layout = &layout[..pages];
        // Within user space: what lies outside is refused whole.
        let start = if entries == 2 { range.0 % 6 } else { range.0 };
        let range = (start, if entries == 2 { range.1.min(6 - start) } else { range.1 });
        let machine = Machine::new(setup);
        let source = Source::Random(Random::new(seed));
        let code = check_layout(machine.shell(0, 0), first, layout, range, way, write);
        let result = machine.run(source, vec![(0, Box::pin(code))]);
        result.map_err(|wrong| TestCaseError::fail(format!("{wrong}\n{}", machine.watch.story())))?;
    }
}
