//! Allocations that fail although there is memory: whatever a call had done by then, the books add up behind it.

use crate::KERNELS;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, proptest};
use proptest::test_runner::TestCaseError;
use sim_core::source::{Random, Replay, Source};
use sim_mm::{
    Advice, AllocFailures, MapFlags, Miscount, Mmap, Mremap, MremapFlags, Prot, TableFree, sys_madvise, sys_mmap,
    sys_mprotect, sys_mremap,
};
use sim_mm_testing::{Machine, Setup, Shell, address, cases};

/// Pages that calls are about: 1 to 6.
const PAGES: u64 = 6;

/// A call by number, with two pages and a number of pages.
type Call = (u8, u64, u64, u64);

fn calls() -> impl Strategy<Value = Vec<Call>> {
    vec((0..8_u8, 1..=PAGES, 1..=PAGES, 1..4_u64), 1..24)
}

async fn call(shell: Shell<'_>, (which, page, to, pages): Call) {
    let cpu = shell.cpu;
    let (start, end) = (address(page), address(page + pages));
    let flags = MapFlags::FIXED_NOREPLACE;
    // Whether a call succeeds is not asked: any of them may fail.
    match which {
        0 => {
            let shared = if to % 3 == 0 { MapFlags::SHARED } else { MapFlags::empty() };
            let request = Mmap {
                addr: Some(start),
                pages,
                prot: Prot::READ_WRITE,
                flags: flags | shared,
                ..Mmap::default()
            };
            let _ = sys_mmap(cpu, request).await;
        }
        1 => {
            let _ = shell.munmap(page, pages).await;
        }
        2 => {
            let _ = sys_mprotect(cpu, start, end, Prot::READ).await;
        }
        3 => {
            let _ = sys_mprotect(cpu, start, end, Prot::READ_WRITE).await;
        }
        4 => {
            let flags = MremapFlags::MAYMOVE | MremapFlags::FIXED;
            let move_to =
                Mremap { addr: start, old_pages: pages, new_pages: pages, flags, new_addr: Some(address(to)) };
            let _ = sys_mremap(cpu, move_to).await;
        }
        5 => {
            let _ = shell.write(page, pages).await;
        }
        6 => {
            let _ = sys_madvise(cpu, start, end, Advice::DontNeed).await;
        }
        _ => {
            if let Ok(child) = shell.fork().await {
                let parent = cpu.current_mm().expect("it is in a process").id;
                shell.enter(child).await;
                let _ = shell.write(page, pages).await;
                shell.exit().await;
                shell.enter(parent).await;
            }
        }
    }
}

fn add_up(setup: Setup, calls: &[Call], seed: u64) -> Result<(), String> {
    let platform = setup.platform.with(AllocFailures::Any);
    // A table that waits for a grace period has left the books already.
    let waits = platform.get::<TableFree>() == TableFree::RcuSched;
    let machine = Machine::new(Setup { platform, ..setup });
    let shell = machine.shell(0, 0);
    let play = async {
        // Until there is a process.
        while shell.try_new_process().await.is_err() {}
        for one in calls {
            call(shell, *one).await;
            shell.drained().await;
            match machine.kernel.check(|_| 0) {
                Ok(()) => {}
                Err(Miscount::Refcount { .. }) if waits => {}
                Err(wrong) => machine.watch.wrong(**shell.cpu, format!("after {one:?} {wrong}")),
            }
        }
        shell.exit().await;
    };
    machine.run(Source::Random(Random::new(seed)), vec![(0, Box::pin(play))])
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn what_fails_leaves_nothing_behind(setup in KERNELS.setups(1), calls in calls(), seed in any::<u64>()) {
        add_up(setup, &calls, seed).map_err(TestCaseError::fail)?;
    }
}

/// Two mappings with nothing between them, of which the one behind has a page: what fills the gap makes them one, and the one
/// before needs a link to the `anon_vma` of the other.
#[test]
fn a_merge_for_which_there_is_no_link_does_not_happen() {
    for release in ["v5.0", "v6.12", "latest"] {
        let kernel = KERNELS.release(release);
        let mut outcomes = Vec::new();
        // Decision after decision is the one by which something fails, as far as it is one of two.
        for fails in 0..200 {
            let setup = KERNELS.setup();
            let machine =
                Machine::new(Setup { kernel, platform: setup.platform.with(AllocFailures::One), ..setup });
            let shell = machine.shell(0, 0);
            let mut merged = None;
            let play = async {
                if shell.try_new_process().await.is_err() {
                    return;
                }
                let before = shell.mmap(1, true, Some(1)).await;
                let behind = shell.mmap(1, true, Some(3)).await;
                let touched = shell.write(3, 7).await;
                if [before, behind, touched].iter().all(Result::is_ok)
                    && shell.mmap(1, true, Some(2)).await.is_ok()
                {
                    let mm = shell.cpu.current_mm().expect("it is in a process");
                    merged = Some(machine.kernel.vma_list(mm).len());
                }
                shell.exit().await;
            };
            let decisions = (0..=fails).map(|nth| (u32::from(nth == fails), 2)).collect();
            let ran = machine.run(Source::Replay(Replay::lenient(decisions)), vec![(0, Box::pin(play))]);
            assert_eq!(ran, Ok(()), "{release}, decision {fails}");
            outcomes.extend(merged);
        }
        outcomes.sort_unstable();
        outcomes.dedup();
        // One mapping, or the two that were there and a third.
        assert_eq!(outcomes, [1, 3], "{release}");
    }
}
