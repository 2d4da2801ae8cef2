//! Which safeguards the code consulted, and which of them decided.

use sim_gup::CATALOGUE;
use sim_mm::{Kernel, Safeguard, Shape};

/// The number of runs in which one safeguard was there, was consulted, or decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The kernel had it.
    pub in_force: u64,
    /// The kernel had it, and the code consulted it.
    pub consulted: u64,
    /// The safeguard decided: without it, the code would have done something else. See [`Shape`].
    pub decided: u64,
    /// The code came to the place at which the safeguard is consulted, and the kernel did not have it.
    pub missed: u64,
}

/// A [`Tally`] for every safeguard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Safeguards(Vec<Tally>);

impl Default for Safeguards {
    fn default() -> Safeguards {
        Safeguards(vec![Tally::default(); CATALOGUE.safeguards().count()])
    }
}

impl Safeguards {
    /// Adds the run that the kernel has just done.
    pub(super) fn note(&mut self, kernel: &Kernel) {
        let (consulted, decided) = (kernel.safeguard_use.consulted(), kernel.safeguard_use.decided());
        for safeguard in CATALOGUE.safeguards() {
            let tally = &mut self.0[safeguard.id()];
            let in_force = kernel.config.kernel.is_in_force(safeguard);
            let reached = consulted.has(safeguard);
            let took_effect = safeguard.shape != Shape::Check || decided.has(safeguard);
            tally.in_force += u64::from(in_force);
            tally.consulted += u64::from(in_force && reached);
            tally.decided += u64::from(in_force && reached && took_effect);
            tally.missed += u64::from(!in_force && reached);
        }
    }

    /// The numbers of a safeguard.
    pub fn of(&self, safeguard: Safeguard) -> Tally {
        self.0[safeguard.id()]
    }

    /// The number of safeguards for which that holds.
    pub fn count(&self, holds: impl Fn(&Tally) -> bool) -> usize {
        self.0.iter().filter(|tally| holds(tally)).count()
    }

    pub(super) fn add(&mut self, other: &Safeguards) {
        for (tally, more) in self.0.iter_mut().zip(&other.0) {
            tally.in_force += more.in_force;
            tally.consulted += more.consulted;
            tally.decided += more.decided;
            tally.missed += more.missed;
        }
    }
}
