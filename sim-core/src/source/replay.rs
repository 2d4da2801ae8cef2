//! Decisions read from a record.

use crate::choice::{Choice, Chooser};

/// Where a strict replay left its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The number of the decision, from 0.
    pub decision: usize,
    /// The number of answers that the record saw; `None` if it has no such decision.
    pub expected: Option<u32>,
    /// The number of answers that there are now. It is zero if the run ended before.
    pub actual: u32,
}

/// Answers as recorded.
pub struct Replay {
    /// Answer and number of answers of each decision.
    decisions: Vec<(u32, u32)>,
    next: usize,
    strict: bool,
    divergence: Option<Divergence>,
}

impl Replay {
    /// Every decision must be as it was recorded. The first one that differs is kept.
    pub fn strict(decisions: Vec<(u32, u32)>) -> Replay {
        Replay { decisions, next: 0, strict: true, divergence: None }
    }

    /// Decisions are taken as far as they fit. If a decision is missing or does not fit, the simplest answer is taken.
    pub fn lenient(decisions: Vec<(u32, u32)>) -> Replay {
        Replay { decisions, next: 0, strict: false, divergence: None }
    }

    /// Where a strict replay first differed. This is asked when the run has ended, because a record may have more
    /// decisions than the run asked for.
    pub fn divergence(&self) -> Option<Divergence> {
        let left = self.decisions.get(self.next).filter(|_| self.strict);
        let early = left.map(|&(_, of)| Divergence { decision: self.next, expected: Some(of), actual: 0 });
        self.divergence.or(early)
    }

    /// The number of decisions asked for so far.
    pub fn taken(&self) -> usize {
        self.next
    }
}

impl Chooser for Replay {
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        let of = choice.of() as u32;
        let recorded = self.decisions.get(self.next).copied();
        let decision = self.next;
        self.next += 1;
        match recorded {
            Some((chosen, recorded_of)) if chosen < of && (recorded_of == of || !self.strict) => chosen as usize,
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
