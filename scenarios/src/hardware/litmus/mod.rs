//! Litmus programs for the translation caches. A program is a total order of accesses, stores and invalidating
//! instructions on one or more CPUs. For each access it has the outcomes that the architecture allows.
//!
//! A sound machine never has any other outcome. An adversarial machine that is explored exhaustively has all of them.

mod explore;
mod format;
mod machine;
mod program;

pub use explore::{Budget, Report, StepReport, explore};
pub use format::read_programs;
pub use machine::Machine;
pub use program::{Action, Flags, Kind, Program, Step};
