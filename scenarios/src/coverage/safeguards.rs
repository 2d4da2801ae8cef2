//! Which safeguards the code came to, and which of them made a difference.

use sim_gup::CATALOGUE;
use sim_mm::{Kernel, Safeguard, Shape};

/// In how many runs something became of one safeguard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The kernel had it.
    pub in_force: u64,
    /// The kernel had it, and the code consulted it.
    pub consulted: u64,
    /// It decided: the code, without it, would have done something else. See [`Shape`].
    pub decided: u64,
    /// The code came to where it is consulted, and the kernel did not have it.
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

    /// What became of a safeguard.
    pub fn of(&self, safeguard: Safeguard) -> Tally {
        self.0[safeguard.id()]
    }

    /// How many safeguards that holds of.
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
