//! Which source of decisions a run gets.

use std::fmt;

use sim_core::source::{Pct, Pos, Random, Source, Sticky};

use crate::scenario::StrategyName;

/// A strategy of exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// PCT of depth 2 and 3, POS and sticky in turn.
    Portfolio,
    /// A random walk.
    Random,
    /// A random walk that likes to stay.
    Sticky,
    /// PCT of a depth.
    Pct(u32),
    /// Partial order sampling.
    Pos,
}

impl Strategy {
    /// The source of run `number`, which is also its seed. `horizon` is about how many decisions a run has.
    pub fn source(self, number: u64, horizon: u64) -> Source {
        match self {
            Strategy::Portfolio => Self::PORTFOLIO[(number % 4) as usize].source(number, horizon),
            Strategy::Random => Source::Random(Random::new(number)),
            Strategy::Sticky => Source::Sticky(Sticky::new(number)),
            Strategy::Pct(depth) => Source::Pct(Pct::new(number, depth, horizon)),
            Strategy::Pos => Source::Pos(Pos::new(number)),
        }
    }

    const PORTFOLIO: [Strategy; 4] = [Strategy::Pct(3), Strategy::Pos, Strategy::Pct(2), Strategy::Sticky];
}

impl From<StrategyName> for Strategy {
    fn from(name: StrategyName) -> Strategy {
        match name {
            StrategyName::Portfolio | StrategyName::Exhaustive => Strategy::Portfolio,
            StrategyName::Random => Strategy::Random,
            StrategyName::Sticky => Strategy::Sticky,
            StrategyName::Pct => Strategy::Pct(3),
            StrategyName::Pos => Strategy::Pos,
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Strategy::Portfolio => f.write_str("portfolio"),
            Strategy::Random => f.write_str("random"),
            Strategy::Sticky => f.write_str("sticky"),
            Strategy::Pct(depth) => write!(f, "pct {depth}"),
            Strategy::Pos => f.write_str("pos"),
        }
    }
}
