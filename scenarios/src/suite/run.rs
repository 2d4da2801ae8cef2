//! Does the items of a plan on any number of threads, with one result.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
#[expect(clippy::disallowed_types, reason = "how long an item took is told to people; no run sees it")]
use std::time::Instant;

use super::evidence::Evidence;
use super::plan::{Item, Plan};
use super::shard::Shard;
use super::stop::Stop;
use super::work::Work;

/// The thread that waits for results looks so often whether it is time to end.
const LOOK: Duration = Duration::from_millis(50);

/// The one who does the items of a plan. It knows which of them were done before.
#[derive(Debug)]
pub struct Workers<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// The work for each item, in the order of the plan.
    pub works: &'p [Work],
    /// The part of it that must be done.
    pub shard: Shard,
    /// Threads.
    pub jobs: usize,
    /// The items that were done before.
    pub done: BTreeMap<usize, Evidence>,
}

/// The one who hears of results.
pub trait Listener {
    /// An item is begun.
    fn begun(&mut self, place: usize);
    /// An item is done. Items come here in any order. It says how long the item took, unless the item was done before.
    fn arrived(&mut self, place: usize, evidence: &Evidence, took: Option<Duration>);
    /// The next item in the order of the plan. An item of another shard has no evidence.
    fn next(&mut self, place: usize, item: &Item, evidence: Option<&Evidence>, stop: &Stop);
    /// This is called every now and then, for code that watches the clock.
    fn tick(&mut self, stop: &Stop);
}

/// A message of a worker about an item.
enum Said {
    Begun(usize),
    Done(usize, Evidence, Duration),
}

impl Workers<'_> {
    /// Does all items of its part that are left.
    pub fn run(&self, stop: &Stop, listener: &mut dyn Listener) {
        let items: Vec<&Item> = self.plan.items().map(|(_, item)| item).collect();
        let places: Vec<usize> = (0..items.len()).filter(|&place| self.is_open(place, items[place])).collect();
        let workers = self.jobs.clamp(1, places.len().max(1));
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        let work = |sender: mpsc::Sender<Said>, jobs: usize| {
            while let Some(&place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                #[expect(clippy::disallowed_types, reason = "as with the import")]
                let begin = Instant::now();
                // If nobody listens any more, the next message will fail.
                drop(sender.send(Said::Begun(place)));
                let evidence = if stop.is_requested() {
                    Evidence::NotReached { why: stop.why() }
                } else {
                    self.works[place].perform(items[place], &self.plan.options, self.shard, jobs, stop)
                };
                if sender.send(Said::Done(place, evidence, begin.elapsed())).is_err() {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for worker in 0..workers {
                // Threads that are left over help within a case.
                let jobs = self.jobs / workers + usize::from(worker < self.jobs % workers);
                let (sender, work) = (sender.clone(), &work);
                scope.spawn(move || work(sender, jobs));
            }
            drop(sender);
            self.collect(&items, &receiver, stop, listener);
        });
    }

    /// Whether an item belongs to this shard, and is still to be done.
    fn is_open(&self, place: usize, item: &Item) -> bool {
        let ours = item.is_shared() || self.shard.owns(place);
        ours && item.skip.is_none() && !self.done.contains_key(&place)
    }

    fn collect(&self, items: &[&Item], receiver: &mpsc::Receiver<Said>, stop: &Stop, listener: &mut dyn Listener) {
        let mut waiting = self.done.clone();
        for (&place, evidence) in &self.done {
            listener.arrived(place, evidence, None);
        }
        for (place, &item) in items.iter().enumerate() {
            while self.is_open(place, item) && !waiting.contains_key(&place) {
                listener.tick(stop);
                match receiver.recv_timeout(LOOK) {
                    Ok(Said::Begun(place)) => listener.begun(place),
                    Ok(Said::Done(place, evidence, took)) => {
                        listener.arrived(place, &evidence, Some(took));
                        waiting.insert(place, evidence);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    // A worker panicked. That is a defect, and the scope passes the panic on.
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            listener.next(place, item, waiting.get(&place), stop);
        }
    }
}
