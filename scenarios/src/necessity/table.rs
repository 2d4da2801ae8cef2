//! The table of safeguards, each with its proof.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sim_mm::Safeguard;

use super::proof::Proof;
use super::witness::{Candidate, Lack, Witness};
use crate::in_order::in_order;
use crate::library::{self, Loaded, OpenError};
use crate::world::SetupError;

/// A safeguard, and what shows that it is needed, if anything does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The safeguard.
    pub safeguard: Safeguard,
    /// The proof.
    pub proof: Option<Proof>,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A scenario of the library cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A case cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// How the table is made.
#[derive(Clone, Copy)]
pub struct Wanted<'w> {
    /// Threads. Their number changes nothing.
    pub jobs: usize,
    /// If this is set, the table is not finished.
    pub stop: &'w AtomicBool,
    /// This hears how much is done, and of how much.
    pub progress: &'w (dyn Fn(usize, usize) + Sync),
}

/// Looks through the library for a proof of each safeguard: among the cases that take it away, and if none of them shows it, among the cases
/// of releases that do not have it. `None`, if it was stopped.
///
/// # Errors
/// If the library cannot be used.
pub fn table(safeguards: &[Safeguard], wanted: Wanted<'_>) -> Result<Option<Vec<Row>>, TableError> {
    let open = |entry: library::Entry| library::open(entry.name);
    let loaded: Vec<Loaded> = library::entries().into_iter().map(open).collect::<Result<_, _>>()?;
    let scenarios = loaded.iter().map(|loaded| &loaded.scenario);
    let cases = scenarios.flat_map(|scenario| scenario.cases.iter().map(move |case| (scenario, case)));
    let candidates: Vec<Candidate<'_>> =
        cases.filter_map(|(scenario, case)| Candidate::of(scenario, case)).collect();
    let mut rows: Vec<Row> =
        safeguards.iter().map(|safeguard| Row { safeguard: *safeguard, proof: None }).collect();
    for how in [Lack::Taken, Lack::ByRelease] {
        wanted.prove(&mut rows, &candidates, how)?;
    }
    Ok((!wanted.stop.load(Ordering::Relaxed)).then_some(rows))
}

impl Wanted<'_> {
    /// Fills in the rows that have no proof yet.
    fn prove(self, rows: &mut [Row], candidates: &[Candidate<'_>], how: Lack) -> Result<(), SetupError> {
        let mut left: Vec<&mut Row> = rows.iter_mut().filter(|row| row.proof.is_none()).collect();
        let keys: Vec<Safeguard> = left.iter().map(|row| row.safeguard).collect();
        let of_use = |candidate: &&Candidate<'_>| keys.iter().any(|key| candidate.lacks(*key, how));
        let candidates: Vec<&Candidate<'_>> = candidates.iter().filter(of_use).collect();
        let (done, all) = (AtomicUsize::new(0), candidates.len() + keys.len());
        let count = || (self.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, all);
        let ran = in_order(
            &candidates,
            self.jobs,
            self.stop,
            || (),
            |(), candidate| {
                let witness = candidate.run(self.stop);
                count();
                witness
            },
        );
        let witnesses = ran.into_iter().flatten().filter_map(Result::transpose);
        let witnesses: Vec<Witness<'_, '_>> = witnesses.collect::<Result<_, _>>()?;
        let proofs = in_order(
            &keys,
            self.jobs,
            self.stop,
            || (),
            |(), safeguard| {
                let proof = Proof::find(*safeguard, how, &witnesses, self.stop);
                count();
                proof
            },
        );
        for (row, proof) in left.iter_mut().zip(proofs) {
            row.proof = proof.transpose()?.flatten();
        }
        Ok(())
    }
}
