//! Work on many things by several threads, with the results in order.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `work` on each thing, by `jobs` threads. The results come in the order of the things, whichever thread was first. A
/// thing that was not begun when `stop` was set has `None`. Each thread has a value of its own, which `begin` makes.
pub(crate) fn in_order<T: Sync, S, R: Send>(
    things: &[T],
    jobs: usize,
    stop: &AtomicBool,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> R + Sync,
) -> Vec<Option<R>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<Option<R>>> = Mutex::new(things.iter().map(|_| None).collect());
    let thread = || {
        let mut own = begin();
        while !stop.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(nth) else { return };
            let result = work(&mut own, thing);
            results.lock().unwrap_or_else(PoisonError::into_inner)[nth] = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs.min(things.len()) {
            scope.spawn(thread);
        }
        thread();
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}
