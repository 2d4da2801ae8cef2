//! Where decisions come from.

mod pct;
mod pos;
mod priorities;
mod random;
mod replay;
mod sticky;
mod timed;

pub use pct::Pct;
pub use pos::Pos;
pub use random::Random;
pub use replay::{Divergence, Replay};
pub use sticky::Sticky;
pub use timed::Timed;

use crate::choice::{Choice, Chooser};
use crate::systematic::Search;

/// The sources that the simulator knows.
// The variants differ in size by the state of a generator. That costs little, because one source lives for a whole campaign.
#[allow(clippy::large_enum_variant)]
pub enum Source {
    /// Always the simplest choice: every task runs on until it must wait.
    First,
    /// A random walk.
    Random(Random),
    /// A random walk that stays on its CPU seven times out of eight.
    Sticky(Sticky),
    /// Random priorities with a few change points.
    Pct(Pct),
    /// Random priorities, drawn anew for operations that race.
    Pos(Pos),
    /// The CPU with the earliest clock.
    Timed(Timed),
    /// Decisions read from a record.
    Replay(Replay),
    /// Every schedule that can matter, run after run.
    Systematic(Box<Search>),
    /// A chooser of the caller's own.
    Custom(Box<dyn Chooser>),
}

impl Source {
    /// The clock with which the next of the CPUs starts a run.
    pub(crate) fn draw_start(&mut self) -> u64 {
        match self {
            Source::Timed(timed) => timed.draw_start(),
            _ => 0,
        }
    }
}

impl Chooser for Source {
    #[inline(always)]
    fn choose(&mut self, choice: &Choice<'_>) -> usize {
        match self {
            Source::First => 0,
            Source::Random(random) => random.choose(choice),
            Source::Sticky(sticky) => sticky.choose(choice),
            Source::Pct(pct) => pct.choose(choice),
            Source::Pos(pos) => pos.choose(choice),
            Source::Timed(timed) => timed.choose(choice),
            Source::Replay(replay) => replay.choose(choice),
            Source::Systematic(search) => search.choose(choice),
            Source::Custom(chooser) => chooser.choose(choice),
        }
    }
}
