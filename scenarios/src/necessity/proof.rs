//! What shows that a safeguard is needed.

use std::sync::atomic::AtomicBool;

use sim_mm::Safeguard;

use super::witness::{Lack, Witness};
use crate::world::SetupError;

/// What shows that a safeguard is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// `SCENARIO/CASE`
    pub case: String,
    /// What goes wrong there.
    pub finding: String,
    /// Why that shows it.
    pub why: Why,
}

/// Why a case shows that a safeguard is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its kernel lacks the safeguard alone, and goes wrong in the run in which each CPU runs until it must wait.
    Deterministic,
    /// Its kernel lacks the safeguard alone, and goes wrong in another schedule.
    Killed,
    /// Its kernel lacks the safeguard and these. With these alone nothing goes wrong, and without these alone neither.
    MaskedBy(Vec<Safeguard>),
}

impl Proof {
    /// The first proof that a safeguard is needed. One without a special schedule comes first, since it is the simplest. One without
    /// other safeguards comes last, since it says least.
    pub(super) fn find(
        safeguard: Safeguard,
        how: Lack,
        witnesses: &[Witness<'_, '_>],
        stop: &AtomicBool,
    ) -> Result<Option<Proof>, SetupError> {
        let those = || witnesses.iter().filter(|witness| witness.misses(safeguard, how));
        let alone =
            |is_plain| those().filter(move |it| it.others(safeguard).is_empty() && it.is_plain() == is_plain);
        for witness in alone(true).chain(alone(false)) {
            if witness.is_clean_with(&[safeguard], stop)? {
                let why = if witness.is_plain() { Why::Deterministic } else { Why::Killed };
                return Ok(Some(Proof::by(witness, why)));
            }
        }
        for witness in those() {
            let others = witness.others(safeguard);
            let all = [&others[..], &[safeguard]].concat();
            if !others.is_empty()
                && witness.is_clean_with(&all, stop)?
                && witness.is_clean_with(&others, stop)?
                && witness.is_clean_with(&[safeguard], stop)?
            {
                return Ok(Some(Proof::by(witness, Why::MaskedBy(others))));
            }
        }
        Ok(None)
    }

    fn by(witness: &Witness<'_, '_>, why: Why) -> Proof {
        Proof { case: witness.name(), finding: witness.finding().to_owned(), why }
    }
}
