//! Interleaved timing. Machines are noisy, so the engines take turns, and each round is compared by itself.

use std::time::{Duration, Instant};

/// What is compared: `run(seed, executions)` answers the number of steps.
pub(crate) struct Engine<'a> {
    pub(crate) name: &'static str,
    run: Box<dyn FnMut(u64, u64) -> u64 + 'a>,
    /// Executions in one round.
    executions: u64,
    seed: u64,
    rounds: Vec<Round>,
}

#[derive(Clone, Copy)]
struct Round {
    executions_per_second: f64,
    ns_per_step: f64,
    steps_per_execution: f64,
}

/// The median of some figures, the smallest and the largest.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Spread {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(f64::total_cmp);
        Spread { median: figures[figures.len() / 2], min: figures[0], max: figures[figures.len() - 1] }
    }
}

impl<'a> Engine<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut(u64, u64) -> u64 + 'a) -> Engine<'a> {
        Engine { name, run: Box::new(run), executions: 1, seed: 0, rounds: Vec::new() }
    }

    fn time(&mut self) -> (Duration, u64) {
        let start = Instant::now();
        let steps = (self.run)(self.seed, self.executions);
        let elapsed = start.elapsed();
        self.seed += self.executions;
        (elapsed, steps)
    }

    /// Finds out how many executions fill `slice`. This also warms up.
    fn calibrate(&mut self, slice: Duration) {
        loop {
            let (elapsed, _) = self.time();
            if elapsed >= slice / 4 {
                let scale = slice.as_secs_f64() / elapsed.as_secs_f64();
                self.executions = (self.executions as f64 * scale).ceil() as u64;
                return;
            }
            self.executions *= 2;
        }
    }

    fn round(&mut self) {
        let (elapsed, steps) = self.time();
        self.rounds.push(Round {
            executions_per_second: self.executions as f64 / elapsed.as_secs_f64(),
            ns_per_step: elapsed.as_nanos() as f64 / steps as f64,
            steps_per_execution: steps as f64 / self.executions as f64,
        });
    }

    pub(crate) fn executions_per_second(&self) -> f64 {
        Spread::of(self.rounds.iter().map(|round| round.executions_per_second)).median
    }

    pub(crate) fn ns_per_step(&self) -> f64 {
        Spread::of(self.rounds.iter().map(|round| round.ns_per_step)).median
    }

    pub(crate) fn steps_per_execution(&self) -> f64 {
        Spread::of(self.rounds.iter().map(|round| round.steps_per_execution)).median
    }

    /// How many times the executions a second of `other`, in the same round.
    pub(crate) fn ratio(&self, other: &Engine<'_>) -> Spread {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Spread::of(pairs.map(|(a, b)| a.executions_per_second / b.executions_per_second))
    }

    /// How many times a rate that was measured elsewhere, in executions a second.
    pub(crate) fn times(&self, rate: f64) -> Spread {
        Spread::of(self.rounds.iter().map(|round| round.executions_per_second / rate))
    }
}

/// Shows the median, with the smallest and the largest.
pub(crate) fn show(ratio: Spread) -> String {
    format!("{:>7.2} ({:.2} to {:.2})", ratio.median, ratio.min, ratio.max)
}

/// Runs every engine for about `slice` in each of `rounds` rounds.
pub(crate) fn interleave(engines: &mut [Engine<'_>], rounds: usize, slice: Duration) {
    for engine in engines.iter_mut() {
        engine.calibrate(slice);
    }
    for _ in 0..rounds {
        for engine in engines.iter_mut() {
            engine.round();
        }
    }
}
