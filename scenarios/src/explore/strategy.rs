//! Which source of decisions a run gets.

use std::fmt;

use sim_core::source::{Pct, Pos, Random, Source, Sticky, Timed};

use crate::scenario::StrategyName;

/// By how many cycles a CPU can be late when time decides: about what a line takes that another has.
const JITTER: u32 = 100;

/// Within how many cycles the CPUs start when time decides: about 1 us.
const START: u32 = 4_000;

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
    /// By the clocks, as it would go on a machine. Run 0 has no jitter.
    Timed,
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
            Strategy::Timed if number == 0 => Source::Timed(Timed::exact()),
            Strategy::Timed => Source::Timed(Timed::new(number, JITTER).starting_within(START)),
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
            StrategyName::Timed => Strategy::Timed,
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
            Strategy::Timed => f.write_str("timed"),
        }
    }
}
