//! The page allocator against a set of frames that knows neither lists nor CPUs.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::KERNELS;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;
use sim_core::source::Source;
use sim_core::{Bytes, Gate, Loc, MemoryBuilder, Op, OpKind, Shared};
use sim_mm::{
    __free_pages, FIRST_HIGH_FRAME, Gfp, MemoryMap, Page, PageAlloc, alloc_pages, compound_head, compound_order,
    get_page, put_page,
};
use sim_mm_testing::watch::BOOT_FRAMES;
use sim_mm_testing::{Machine, Setup, Shell, cases, schedule};
use sim_mmu::Pfn;

/// The largest blocks that are asked for: of 8 frames.
const MOST: u8 = 3;

/// More frames than a CPU keeps of a zone with less than 96.
const KEPT_AT_MOST: usize = 12;

/// What a CPU does.
#[derive(Clone, Copy, Debug)]
enum Do {
    Allocate {
        order: u8,
        gfp: Gfp,
    },
    /// Frees one of the blocks that there are.
    Free {
        which: usize,
    },
}

fn deeds() -> impl Strategy<Value = Do> {
    let gfp = (any::<bool>(), any::<bool>()).prop_map(|(low, compound)| {
        let mut gfp = Gfp::empty();
        gfp.set(Gfp::DMA32, low);
        gfp.set(Gfp::COMP, compound);
        gfp
    });
    // Single frames are the most.
    let order = prop_oneof![4 => 0..1_u8, 3 => 0..=MOST];
    prop_oneof![
        3 => (order, gfp).prop_map(|(order, gfp)| Do::Allocate { order, gfp }),
        2 => any::<usize>().prop_map(|which| Do::Free { which }),
    ]
}

/// A block that somebody has.
#[derive(Clone, Copy, Debug)]
struct Block {
    page: Page,
    order: u8,
    gfp: Gfp,
}

impl Block {
    fn frames(self) -> std::ops::Range<u64> {
        self.page.0.0..self.page.0.0 + (1 << self.order)
    }
}

/// The twin: all frames, and those that are free.
struct Twin {
    all: BTreeSet<u64>,
    free: BTreeSet<u64>,
    blocks: Vec<Block>,
    /// On each CPU the frame that it freed last, until it takes that frame or gives its frames back.
    hot: [Option<u64>; 2],
}

impl Twin {
    fn new(machine: &Machine) -> Twin {
        let all: BTreeSet<u64> =
            machine.kernel.mem_map.pfns().map(|pfn| pfn.0).filter(|pfn| *pfn >= BOOT_FRAMES).collect();
        Twin { free: all.clone(), all, blocks: Vec::new(), hot: [None; 2] }
    }

    fn has_block(&self, order: u8, gfp: Gfp) -> bool {
        let low = gfp.contains(Gfp::DMA32);
        let fits = |pfn: &u64| {
            pfn.is_multiple_of(1 << order)
                && (!low || *pfn < FIRST_HIGH_FRAME)
                && (*pfn..*pfn + (1 << order)).all(|pfn| self.free.contains(&pfn))
        };
        self.free.iter().any(fits)
    }

    /// What an allocation got, as far as it can be judged while others allocate and free.
    fn allocated(&mut self, block: Block) -> Result<(), String> {
        if !block.page.0.0.is_multiple_of(1 << block.order) {
            return Err(format!("{block:?} is not aligned"));
        }
        if block.gfp.contains(Gfp::DMA32) && block.page.0.0 >= FIRST_HIGH_FRAME {
            return Err(format!("{block:?} lies above 4 GiB"));
        }
        for pfn in block.frames() {
            if !self.free.remove(&pfn) {
                return Err(format!("{block:?} was not free"));
            }
        }
        self.blocks.push(block);
        Ok(())
    }

    fn take(&mut self, which: usize) -> Option<Block> {
        let count = self.blocks.len();
        (count > 0).then(|| self.blocks.swap_remove(which % count))
    }
}

/// Whether the descriptors of a block say what it is.
async fn is_one_page(shell: Shell<'_>, block: Block) -> Result<(), String> {
    let compound = block.gfp.contains(Gfp::COMP) && block.order > 0;
    let order = compound_order(shell.cpu, block.page);
    if order != if compound { block.order } else { 0 } {
        return Err(format!("{block:?} has the compound order {order}"));
    }
    for pfn in block.frames() {
        let head = compound_head(shell.cpu, Page(Pfn(pfn))).await;
        let count = shell.machine.refcount(Pfn(pfn));
        let is_first = Pfn(pfn) == block.page.0;
        if head != (if compound { block.page } else { Page(Pfn(pfn)) }) || count != u64::from(is_first) {
            return Err(format!("page {pfn} of {block:?} has the head {head:?} and _refcount {count}"));
        }
    }
    Ok(())
}

/// Frees a block: a compound page by the last reference, through any of its pages.
async fn free(shell: Shell<'_>, block: Block, which: usize) {
    if block.gfp.contains(Gfp::COMP) {
        let any = Page(Pfn(block.page.0.0 + (which as u64 >> 8) % (1 << block.order)));
        get_page(shell.cpu, any).await;
        put_page(shell.cpu, any).await;
        put_page(shell.cpu, any).await;
    } else {
        __free_pages(shell.cpu, block.page, block.order).await;
    }
}

fn setup(frames: u64, page_alloc: PageAlloc, map: MemoryMap) -> Setup {
    let base = KERNELS.setup();
    Setup { cpus: 2, frames, platform: base.platform.with(page_alloc).with(map), ..base }
}

/// Two CPUs take turns: each does what the list says, one after the other.
fn in_turn(setup: Setup, list: &[(bool, Do)]) -> Result<(), String> {
    let mut memory = MemoryBuilder::default();
    let turn = memory.words("turn", 1);
    let machine = Machine::with(setup, memory);
    let twin = RefCell::new(Twin::new(&machine));
    let plays = async |shell: Shell<'_>, me: bool| {
        for (index, (of, what)) in list.iter().enumerate().filter(|(_, (of, _))| *of == me) {
            wait_for(shell, turn, index as u64).await;
            if let Err(wrong) = alone(shell, &twin, usize::from(*of), *what).await {
                machine.watch.wrong(**shell.cpu, format!("{index}: {wrong}"));
            }
            shell.cpu.store(Shared::at(turn), index as u64 + 1).await;
        }
        wait_for(shell, turn, list.len() as u64).await;
        // CPU 0 frees what is left. Then all blocks are as large as at the start.
        while !me && let Some(block) = { twin.borrow_mut().take(0) } {
            free(shell, block, 0).await;
            twin.borrow_mut().free.extend(block.frames());
        }
        if !me {
            whole_again(shell, &twin).await;
        }
    };
    let [first, second] = [machine.shell(0, 0), machine.shell(1, 1)];
    let tasks: Vec<(u8, sim_core::BoxFuture<'_>)> =
        vec![(0, Box::pin(plays(first, false))), (1, Box::pin(plays(second, true)))];
    machine.run(Source::First, tasks)
}

async fn wait_for(shell: Shell<'_>, turn: Loc, index: u64) {
    let op = Op::new(OpKind::Wait, turn).behind(Gate::Is(turn, Bytes::of(0, 8), index)).sleeping();
    shell.cpu.step(op, |_| ()).await;
}

/// One deed while nobody else does anything: the twin knows exactly what can be had.
async fn alone(shell: Shell<'_>, twin: &RefCell<Twin>, cpu: usize, what: Do) -> Result<(), String> {
    let lists = shell.machine.kernel.config.setting::<PageAlloc>() == PageAlloc::Buddy;
    match what {
        Do::Allocate { order, gfp } => {
            let expected = twin.borrow().has_block(order, gfp);
            let Some(page) = alloc_pages(shell.cpu, order, gfp).await else {
                // No CPU keeps a frame any more.
                twin.borrow_mut().hot = [None; 2];
                return if expected { Err(format!("there is a block of order {order}")) } else { Ok(()) };
            };
            if !expected {
                return Err(format!("{page:?} of order {order} cannot be free"));
            }
            let block = Block { page, order, gfp };
            let hot = twin.borrow().hot[cpu];
            // A frame above 4 GiB comes first, wherever it was freed; so this is said of one zone alone.
            let one_zone = shell.machine.kernel.config.setting::<MemoryMap>() == MemoryMap::Low;
            if lists && one_zone && order == 0 && hot.is_some_and(|hot| hot != page.0.0) {
                return Err(format!("{hot:?} was freed last, and {page:?} comes next"));
            }
            // The other CPU keeps fewer than these, so there are others. When there are none, it has to give its own back.
            let enough = one_zone && twin.borrow().free.len() > KEPT_AT_MOST;
            let others = hot != Some(page.0.0) && twin.borrow().hot.contains(&Some(page.0.0));
            if lists && enough && order == 0 && others {
                return Err(format!("{page:?} is the other CPU's"));
            }
            // What it was before that, the twin does not remember. A large block may have come by taking all lists back.
            twin.borrow_mut().hot[cpu] = None;
            if order > 0 {
                twin.borrow_mut().hot = [None; 2];
            }
            twin.borrow_mut().allocated(block)?;
            is_one_page(shell, block).await
        }
        Do::Free { which } => {
            let Some(block) = twin.borrow_mut().take(which) else { return Ok(()) };
            free(shell, block, which).await;
            let twin = &mut *twin.borrow_mut();
            twin.free.extend(block.frames());
            if lists && block.order == 0 {
                twin.hot[cpu] = Some(block.page.0.0);
            }
            Ok(())
        }
    }
}

/// Everything is free: each of the largest blocks that alignment allows can be had, one after the other.
async fn whole_again(shell: Shell<'_>, twin: &RefCell<Twin>) {
    assert_eq!(twin.borrow().free, twin.borrow().all, "all is free");
    let mut blocks = Vec::new();
    for order in (0..=MOST).rev() {
        while twin.borrow().has_block(order, Gfp::empty()) {
            let Some(page) = alloc_pages(shell.cpu, order, Gfp::empty()).await else {
                shell.machine.watch.wrong(**shell.cpu, format!("at the end there is no block of order {order}"));
                return;
            };
            let block = Block { page, order, gfp: Gfp::empty() };
            twin.borrow_mut().allocated(block).expect("it is free");
            blocks.push(block);
        }
    }
    for block in blocks {
        free(shell, block, 0).await;
    }
}

/// Two CPUs at the same time: no frame is handed out twice, and nothing is lost.
fn at_once(setup: Setup, lists: [&[Do]; 2], seed: u64) -> Result<(), String> {
    let machine = Machine::new(setup);
    let twin = RefCell::new(Twin::new(&machine));
    let plays = async |shell: Shell<'_>, list: &[Do]| {
        for what in list {
            match *what {
                Do::Allocate { order, gfp } => {
                    let Some(page) = alloc_pages(shell.cpu, order, gfp).await else { continue };
                    let got = { twin.borrow_mut().allocated(Block { page, order, gfp }) };
                    if let Err(wrong) = got {
                        machine.watch.wrong(**shell.cpu, wrong);
                    }
                }
                Do::Free { which } => {
                    let taken = twin.borrow_mut().take(which);
                    let Some(block) = taken else { continue };
                    // Free for the twin before it is: whoever gets it then got it from this CPU.
                    twin.borrow_mut().free.extend(block.frames());
                    free(shell, block, which).await;
                }
            }
        }
        while let Some(block) = { twin.borrow_mut().take(0) } {
            twin.borrow_mut().free.extend(block.frames());
            free(shell, block, 0).await;
        }
    };
    let [first, second] = [machine.shell(0, 0), machine.shell(1, 1)];
    let tasks: Vec<(u8, sim_core::BoxFuture<'_>)> =
        vec![(0, Box::pin(plays(first, lists[0]))), (1, Box::pin(plays(second, lists[1])))];
    machine.run(schedule(seed), tasks)
}

fn setups() -> impl Strategy<Value = Setup> {
    let split = any::<bool>().prop_map(|split| if split { MemoryMap::Split } else { MemoryMap::Low });
    let lists = prop_oneof![4 => 0..1_u8, 1 => 1..2_u8];
    (10..80_u64, lists, split).prop_map(|(frames, any_frame, map)| {
        setup(frames, if any_frame == 0 { PageAlloc::Buddy } else { PageAlloc::AnyFrame }, map)
    })
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_set_of_frames_says_what_can_be_had(setup in setups(), list in vec((any::<bool>(), deeds()), 0..80)) {
        in_turn(setup, &list).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn two_cpus_never_have_the_same_frame(
        setup in setups(),
        first in vec(deeds(), 0..20),
        second in vec(deeds(), 0..20),
        seed: u64,
    ) {
        at_once(setup, [&first, &second], seed).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn a_frame_comes_back_on_the_cpu_that_freed_it() {
    let machine = Machine::new(setup(64, PageAlloc::Buddy, MemoryMap::Low));
    machine.play(async |shell| {
        let cpu = shell.cpu;
        let alloc = async || alloc_pages(cpu, 0, Gfp::empty()).await.expect("a frame is free");
        let pages = [alloc().await, alloc().await, alloc().await];
        for page in pages {
            put_page(cpu, page).await;
        }
        let again = [alloc().await, alloc().await, alloc().await];
        assert_eq!(again, [pages[2], pages[1], pages[0]]);
        for page in again {
            put_page(cpu, page).await;
        }
    });
}

#[test]
fn a_reference_that_somebody_else_has_keeps_one_frame_of_a_block() {
    for page_alloc in [PageAlloc::Buddy, PageAlloc::AnyFrame] {
        let machine = Machine::new(setup(64, page_alloc, MemoryMap::Low));
        machine.play(async |shell| {
            let cpu = shell.cpu;
            let block = alloc_pages(cpu, 2, Gfp::empty()).await.expect("a block is free");
            get_page(cpu, block).await;
            __free_pages(cpu, block, 2).await;
            assert_eq!(machine.watch.allocated().len(), 1, "all but the first");
            put_page(cpu, block).await;
        });
    }
}
