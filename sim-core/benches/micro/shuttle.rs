//! The program under Shuttle's random scheduler.

use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Counter;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use shuttle::scheduler::RandomScheduler;
use shuttle::sync::atomic::AtomicU64;
use shuttle::{Config, Runner, thread};

use crate::program::{Program, word};

word!(AtomicU64);

/// Runs `executions` random walks; answers the steps of all of them.
pub(crate) fn run(pages: u32, threads: usize, seed: u64, executions: u64) -> u64 {
    let steps = Arc::new(Counter::new(0));
    let sum = steps.clone();
    let scheduler = RandomScheduler::new_from_seed(seed, executions as usize);
    Runner::new(scheduler, Config::default()).run(move || {
        let program = Arc::new(Program::<AtomicU64>::new(pages));
        let spawned: Vec<_> = (0..threads)
            .map(|id| {
                let program = program.clone();
                thread::spawn(move || program.thread(id))
            })
            .collect();
        let taken: u64 = spawned.into_iter().map(|thread| thread.join().unwrap()).sum();
        sum.fetch_add(taken, Relaxed);
    });
    steps.load(Relaxed)
}
