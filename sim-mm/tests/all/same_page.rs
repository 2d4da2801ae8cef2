//! Two threads that fault on one page at the same time: both get the same frame, and no write is lost.

use std::cell::Cell;

use crate::KERNELS;
use proptest::prelude::{any, proptest};
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use sim_core::BoxFuture;
use sim_mm::safeguards::{ANON_FAULT_RECHECK, PTE_ALLOC_RECHECK, WP_FAULT_RECHECK, WP_FLUSH};
use sim_mm_testing::model::Call;
use sim_mm_testing::{Machine, Setup, Shell, cases, schedule};

/// The state of the page before the threads write to it.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// Nothing, not even page tables.
    Untouched,
    /// The zero page.
    Read,
    /// Shared with a child, which reads it all the while.
    Forked,
}

const ALL: [Before; 3] = [Before::Untouched, Before::Read, Before::Forked];

/// The threads write one word each. Both words are there, for both threads, once both have written.
fn both_write(setup: Setup, before: Before, seed: u64) -> Result<(), String> {
    let machine = Machine::new(setup);
    let page = 2;
    let written = Cell::new(0);
    let write = async |shell: Shell<'_>, word: u64| {
        let value = 10 + word;
        let own = [
            shell.call(Call::Read { page, word }).await.map(|old| old < 10),
            shell.call(Call::Write { page, word, value }).await.map(|now| now == value),
            shell.call(Call::Read { page, word }).await.map(|now| now == value),
        ];
        if own != [Ok(true); 3] {
            machine.watch.wrong(**shell.cpu, format!("word {word} as read, written and read: {own:?}"));
        }
        shell.drained().await;
        written.set(written.get() + 1);
        for _ in 0..4 {
            let both = written.get() == 2;
            let other = shell.call(Call::Read { page, word: 1 - word }).await;
            if both && other != Ok(11 - word) {
                machine.watch.wrong(**shell.cpu, format!("both words are written, but the other is {other:?}"));
            }
        }
    };
    let first = async |shell: Shell<'_>| {
        let mm = shell.new_process().await;
        machine.kernel.adopt(mm);
        shell.mmap(1, true, Some(page)).await.expect("there is room");
        match before {
            Before::Untouched => {}
            Before::Read => assert_eq!(shell.read(page).await, Ok(0)),
            Before::Forked => {
                shell.write(page, 1).await.expect("it is writable");
                let child = shell.fork().await.expect("there are frames");
                shell.give_birth(2, child);
            }
        }
        shell.give_birth(1, mm);
        write(shell, 0).await;
        shell.exit().await;
    };
    let second = async |shell: Shell<'_>| {
        shell.enter_when_born().await;
        write(shell, 1).await;
        shell.exit().await;
    };
    let child = async |shell: Shell<'_>| {
        shell.enter_when_born().await;
        for _ in 0..3 {
            let read = shell.read(page).await;
            if read != Ok(1) {
                machine.watch.wrong(**shell.cpu, format!("the child reads {read:?}"));
            }
        }
        shell.exit().await;
    };
    let mut tasks: Vec<(u8, BoxFuture<'_>)> =
        vec![(0, Box::pin(first(machine.shell(0, 0)))), (1, Box::pin(second(machine.shell(1, 1))))];
    if matches!(before, Before::Forked) {
        tasks.push((2, Box::pin(child(machine.shell(2, 2)))));
    }
    let result = machine.run(schedule(seed), tasks);
    result.map_err(|wrong| format!("{wrong}\n{}", machine.watch.story()))
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn no_write_is_lost(setup in KERNELS.setups(3), before in select(&ALL[..]), seed in any::<u64>()) {
        both_write(setup, before, seed).map_err(TestCaseError::fail)?;
    }
}

/// The test can find a defect: without the second look under the lock, the page of one thread is lost.
#[test]
fn a_missing_recheck_is_noticed() {
    for (safeguard, before) in [
        (ANON_FAULT_RECHECK, Before::Untouched),
        (PTE_ALLOC_RECHECK, Before::Untouched),
        (WP_FAULT_RECHECK, Before::Read),
        (WP_FAULT_RECHECK, Before::Forked),
        (WP_FLUSH, Before::Forked),
    ] {
        let setup = Setup { cpus: 3, kernel: KERNELS.without(safeguard), ..KERNELS.setup() };
        let caught = (0..600).any(|seed| both_write(setup, before, seed).is_err());
        assert!(caught, "600 runs without {}, and nothing is wrong", safeguard.key);
    }
}
