//! Decisions read from a record.

use crate::choice::{Choice, Chooser};

/// Where a strict replay left its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The number of the decision, from 0.
    pub decision: usize,
    /// The number of answers that the record saw; `None` if it has no such decision.
    pub expected: Option<u16>,
    /// The number of answers that there are now.
    pub actual: u16,
}

/// Answers as recorded.
pub struct Replay {
    /// Answer and number of answers of each decision.
    decisions: Vec<(u16, u16)>,
    next: usize,
    strict: bool,
    divergence: Option<Divergence>,
}

impl Replay {
    /// Every decision must be as it was recorded; the first that is not is kept.
    pub fn strict(decisions: Vec<(u16, u16)>) -> Replay {
        Replay { decisions, next: 0, strict: true, divergence: None }
    }

    /// Decisions are taken as far as they fit; what is missing or does not fit is the simplest.
    pub fn lenient(decisions: Vec<(u16, u16)>) -> Replay {
        Replay { decisions, next: 0, strict: false, divergence: None }
    }

    /// Where a strict replay first differed.
    pub fn divergence(&self) -> Option<Divergence> {
        self.divergence
    }

    /// The number of decisions asked for so far.
    pub fn taken(&self) -> usize {
        self.next
    }
}

impl Chooser for Replay {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let of = choice.of() as u16;
        let recorded = self.decisions.get(self.next).copied();
        let decision = self.next;
        self.next += 1;
        match recorded {
            Some((chosen, recorded_of)) if recorded_of == of || (!self.strict && chosen < of) => {
                usize::from(chosen)
            }
            _ => {
                if self.strict && self.divergence.is_none() {
                    let expected = recorded.map(|(_, of)| of);
                    self.divergence = Some(Divergence { decision, expected, actual: of });
                }
                0
            }
        }
    }
}
