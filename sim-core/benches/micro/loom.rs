//! The program under Loom's exhaustive search, cut off after a number of executions.

use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Counter;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use loom::model::Builder;
use loom::sync::atomic::AtomicU64;
use loom::thread;

use crate::program::{Program, word};

word!(AtomicU64);

/// Runs `executions` executions. If the search ends before, it begins again from the start. Answers the steps of all of
/// them.
pub(crate) fn run(pages: u32, threads: usize, executions: u64) -> u64 {
    let steps = Arc::new(Counter::new(0));
    let done = Arc::new(Counter::new(0));
    while done.load(Relaxed) < executions {
        let (sum, done) = (steps.clone(), done.clone());
        // Loom looks at its bound before every `checkpoint_interval`th execution, counting from 1.
        let cut = (executions - done.load(Relaxed)) as usize + 1;
        let mut builder = Builder::new();
        builder.max_permutations = Some(cut);
        builder.checkpoint_interval = cut;
        builder.check(move || {
            let program = Arc::new(Program::<AtomicU64>::new(pages));
            let spawned: Vec<_> = (0..threads)
                .map(|id| {
                    let program = program.clone();
                    thread::spawn(move || program.thread(id))
                })
                .collect();
            let taken: u64 = spawned.into_iter().map(|thread| thread.join().unwrap()).sum();
            sum.fetch_add(taken, Relaxed);
            done.fetch_add(1, Relaxed);
        });
    }
    steps.load(Relaxed)
}
