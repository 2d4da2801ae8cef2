//! A thread gets pages while another thread of the process changes the mappings. A page that was handed out is kept until it
//! is given back, and at the end all counts are right.

use crate::{
    KERNELS,
    common::{Gup, GupShell, WAYS},
};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use sim_core::BoxFuture;
use sim_gup::safeguards::{FOLLOW_PTL, GUP_IRQ_OFF, GUP_RECHECK_PUT};
use sim_mm::safeguards::GUP_REF_UNLESS_ZERO;
use sim_mm::{Errno, Flush, Settings, TableFree};
use sim_mm_testing::{Machine, Setup, Shell, cases, schedule};

/// Pages that both threads are about.
const FIRST: u64 = 2;
const PAGES: u64 = 4;

#[derive(Clone, Copy, Debug)]
enum Change {
    Munmap,
    Mmap,
    DontNeed,
    Write,
    /// Of a child that writes and exits.
    Fork,
}

#[derive(Clone, Debug)]
struct Case {
    gups: Vec<(Gup, u64, bool)>,
    changes: Vec<(Change, u64)>,
}

fn case() -> impl Strategy<Value = Case> {
    let change = prop_oneof![
        2 => Just(Change::Munmap),
        3 => Just(Change::Mmap),
        2 => Just(Change::DontNeed),
        4 => Just(Change::Write),
        1 => Just(Change::Fork),
    ];
    let gup = (select(&WAYS[..]), 0..PAGES, any::<bool>());
    (vec(gup, 1..5), vec((change, 0..PAGES), 1..8)).prop_map(|(gups, changes)| Case { gups, changes })
}

/// Gets pages and gives them back, while others change the mappings.
async fn gets(shell: Shell<'_>, case: &Case) {
    shell.enter_when_born().await;
    for (way, page, write) in &case.gups {
        let nr = PAGES - page;
        let got = shell.gup(*way, FIRST + page, nr, *write).await;
        let may_be = match got.result {
            Ok(0) => *way == Gup::FastOnly,
            Ok(pages) => pages <= nr,
            Err(errno) => errno == Errno::Efault && *way != Gup::FastOnly,
        };
        if !may_be {
            shell.machine.watch.wrong(**shell.cpu, format!("{way:?} of {nr} pages answers {:?}", got.result));
        }
        shell.put(got).await;
    }
    shell.exit().await;
}

/// Changes the mappings; what this thread writes, only it writes.
async fn changes(shell: Shell<'_>, case: &Case) {
    let mm = shell.new_process().await;
    shell.machine.kernel.adopt(mm);
    shell.mmap(PAGES, true, Some(FIRST)).await.expect("there is room");
    for page in FIRST..FIRST + PAGES {
        shell.write(page, page).await.expect("it is writable");
    }
    shell.give_birth(1, mm);
    for (value, (change, page)) in (100..).zip(&case.changes) {
        let page = FIRST + page;
        match change {
            Change::Munmap => shell.munmap(page, 2).await.expect("the range is right"),
            Change::Mmap => shell.mmap(1, true, Some(page)).await.unwrap_or(0),
            Change::DontNeed => shell.dontneed(page, 2).await.unwrap_or(0),
            Change::Write => {
                if shell.write(page, value).await.is_ok() {
                    let read = shell.read(page).await;
                    if read != Ok(value) {
                        shell.machine.watch.wrong(**shell.cpu, format!("{value} is written, {read:?} is read"));
                    }
                }
                0
            }
            Change::Fork => {
                let child = shell.fork().await.expect("there are frames");
                shell.enter(child).await;
                let _ = shell.write(page, value).await;
                shell.exit().await;
                shell.enter(mm).await;
                0
            }
        };
    }
    shell.exit().await;
}

fn run(setup: Setup, case: &Case, seed: u64) -> Result<(), String> {
    let machine = Machine::new(setup);
    let tasks: Vec<(u8, BoxFuture<'_>)> =
        vec![(0, Box::pin(changes(machine.shell(0, 0), case))), (1, Box::pin(gets(machine.shell(1, 1), case)))];
    let result = machine.run(schedule(seed), tasks);
    result.map_err(|wrong| format!("{wrong}\n{}", machine.watch.story()))
}

proptest! {
    #![proptest_config(cases(2500))]

    #[test]
    fn what_is_handed_out_is_kept(setup in KERNELS.setups(2), case in case(), seed in any::<u64>()) {
        run(setup.sound(), &case, seed).map_err(TestCaseError::fail)?;
    }
}

/// The test can find a defect: without each of these safeguards, a reference or a table is lost.
#[test]
fn a_missing_safeguard_is_noticed() {
    // Without interrupts, only the order of reference and second look protects a page.
    let no_ipi = Settings::default().with(Flush::NoIpi).with(TableFree::RcuSched);
    for (safeguard, change, platform) in [
        (GUP_REF_UNLESS_ZERO, Change::DontNeed, no_ipi),
        (GUP_RECHECK_PUT, Change::DontNeed, no_ipi),
        (FOLLOW_PTL, Change::DontNeed, no_ipi),
        (GUP_IRQ_OFF, Change::Munmap, Settings::default()),
    ] {
        let setup = Setup { cpus: 2, platform, kernel: KERNELS.without(safeguard), ..KERNELS.setup() };
        let gups = [Gup::Fast, Gup::Unlocked, Gup::Fast].map(|way| (way, 0, false)).to_vec();
        let case = Case { gups, changes: vec![(change, 0), (Change::Write, 0), (change, 0)] };
        let caught = (0..600).any(|seed| run(setup, &case, seed).is_err());
        assert!(caught, "600 runs without {}, and nothing is wrong", safeguard.key);
    }
}
