//! A machine can go back to a checkpoint: a run leaves no trace on the runs after it.

use crate::KERNELS;
use proptest::prelude::{any, prop_assert_eq, proptest};
use sim_core::source::{Random, Source};
use sim_core::{CpuId, Executor, Outcome, TaskId};
use sim_mm::MmId;
use sim_mm_testing::{Machine, Setup, cases};

/// A parent with a few pages, some of them written, and its child; no task runs in them.
fn set_up(machine: &Machine) -> [MmId; 2] {
    let processes = std::cell::Cell::new([MmId(0); 2]);
    let shell = machine.shell(0, 10);
    let mut executor = Executor::new(machine.kernel.core(), &machine.kernel);
    let code = async {
        let parent = shell.new_process().await;
        shell.mmap(5, true, Some(1)).await.expect("there is room");
        for page in [1, 2, 4] {
            shell.write(page, page).await.expect("it is writable");
        }
        processes.set([parent, shell.fork().await.expect("there are frames")]);
    };
    executor.spawn(CpuId(0), TaskId(10), Box::pin(code));
    assert!(matches!(executor.run(10_000), Outcome::Completed), "set-up ends");
    drop(executor);
    let [parent, child] = processes.get();
    machine.kernel.adopt(parent);
    for (task, mm) in [(0, parent), (1, parent), (2, child)] {
        machine.kernel.set_task_mm(TaskId(task), Some(mm));
    }
    machine.kernel.settle();
    machine.kernel.checkpoint();
    [parent, child]
}

/// Runs two threads of the parent and the child from the checkpoint; answers the steps taken, their
/// digest, and how many mappings the parent has in the end.
fn run(machine: &Machine, parent: MmId, seed: u64) -> (u64, u64, usize) {
    machine.kernel.rewind();
    let core = machine.kernel.core();
    core.set_source(Source::Random(Random::new(seed)));
    let [parent_0, parent_1, child] = [0, 1, 2].map(|task| machine.shell(task, task));
    let mut executor = Executor::new(core, &machine.kernel);
    let unmaps = async {
        let _ = parent_0.munmap(2, 1).await;
        let _ = parent_0.write(1, 10).await;
        let _ = parent_0.mmap(1, true, Some(2)).await;
        let _ = parent_0.read(2).await;
    };
    let forgets = async {
        let _ = parent_1.dontneed(4, 2).await;
        let _ = parent_1.write(4, 11).await;
    };
    let exits = async {
        let _ = child.write(1, 12).await;
        child.exit().await;
    };
    for cpu in 0..3 {
        machine.kernel.preset(CpuId(cpu), TaskId(cpu));
    }
    executor.spawn(CpuId(0), TaskId(0), Box::pin(unmaps));
    executor.spawn(CpuId(1), TaskId(1), Box::pin(forgets));
    executor.spawn(CpuId(2), TaskId(2), Box::pin(exits));
    let outcome = executor.run(50_000);
    assert!(matches!(outcome, Outcome::Completed), "{outcome:?}");
    (core.steps(), core.digest(), machine.kernel.vma_list(machine.kernel.mm(parent)).len())
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_run_after_others_is_the_same_run(setup in KERNELS.setups(3), seeds in any::<[u64; 2]>()) {
        let machine = Machine::new(Setup { frames: 64, ..setup });
        let [parent, _] = set_up(&machine);
        // The watch knows nothing of rewinding.
        machine.kernel.set_observer(None);
        machine.kernel.core().set_digested(true);
        let first = seeds.map(|seed| run(&machine, parent, seed));
        let again = seeds.map(|seed| run(&machine, parent, seed));
        prop_assert_eq!(first, again);
    }
}
