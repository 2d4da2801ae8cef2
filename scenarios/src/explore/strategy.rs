//! Which source of decisions a run gets.

use std::fmt;

use sim_core::source::{Pct, Pos, Random, Source, Sticky, Timed};
use sim_core::systematic::Reduction;

use crate::scenario::{ExploreSpec, StrategyName};

/// By how many cycles a CPU can be late when time decides. To fetch a line from another core takes about as long.
const JITTER: u32 = 100;

/// The CPUs start within so many cycles when time decides: about 1 us.
const START: u32 = 4_000;

/// A strategy of exploration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// PCT of depth 2 and 3, POS and sticky in turn.
    Portfolio,
    /// A random walk.
    Random,
    /// A random walk that mostly stays on the CPU that it is on.
    Sticky,
    /// PCT of a depth.
    Pct(u32),
    /// Partial order sampling.
    Pos,
    /// The CPU with the earliest clock goes next, as on a real machine. Run 0 has no jitter.
    Timed,
    /// Every schedule that can matter.
    Exhaustive(Exhaustive),
}

/// How an exhaustive search leaves out what need not be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhaustive {
    /// By traces, or by states.
    pub reduction: Reduction,
    /// The most preemptions of a schedule; `None` for any number.
    pub preemptions: Option<u32>,
}

impl Exhaustive {
    /// One schedule of every trace.
    pub const TRACES: Exhaustive = Exhaustive { reduction: Reduction::Sources, preemptions: None };
}

impl Strategy {
    /// The search that a scenario or the command line asks for. Source sets need schedules that a bound on preemptions
    /// forbids. So a search with a bound goes by states.
    pub fn named(name: StrategyName, preemptions: Option<u32>) -> Strategy {
        let by_state = Exhaustive { reduction: Reduction::States, preemptions };
        match name {
            StrategyName::Portfolio => Strategy::Portfolio,
            StrategyName::Random => Strategy::Random,
            StrategyName::Sticky => Strategy::Sticky,
            StrategyName::Pct => Strategy::Pct(3),
            StrategyName::Pos => Strategy::Pos,
            StrategyName::Timed => Strategy::Timed,
            StrategyName::Exhaustive if preemptions.is_none() => Strategy::Exhaustive(Exhaustive::TRACES),
            StrategyName::Exhaustive | StrategyName::States => Strategy::Exhaustive(by_state),
        }
    }

    /// Whether its runs are a sample, in which each run is a function of its number. Otherwise they are one search.
    pub fn samples(self) -> bool {
        !matches!(self, Strategy::Exhaustive(_))
    }

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
            // A search has no source for a single run.
            Strategy::Exhaustive(_) => Strategy::Portfolio.source(number, horizon),
        }
    }

    const PORTFOLIO: [Strategy; 4] = [Strategy::Pct(3), Strategy::Pos, Strategy::Pct(2), Strategy::Sticky];
}

impl From<StrategyName> for Strategy {
    fn from(name: StrategyName) -> Strategy {
        Strategy::named(name, None)
    }
}

impl From<ExploreSpec> for Strategy {
    fn from(spec: ExploreSpec) -> Strategy {
        Strategy::named(spec.strategy, spec.preemptions)
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
            Strategy::Exhaustive(Exhaustive { reduction, preemptions }) => {
                f.write_str(if *reduction == Reduction::States { "states" } else { "exhaustive" })?;
                preemptions.map_or(Ok(()), |most| write!(f, ", at most {most} preemptions"))
            }
        }
    }
}
