//! Litmus programs for the translation caches: a total order of accesses, stores and invalidating
//! instructions on one or more CPUs, and for each access the outcomes that the architecture allows.
//!
//! A sound machine never has another; an adversarial one, explored exhaustively, has them all.

mod explore;
mod format;
mod machine;
mod program;

pub use explore::{Budget, Report, StepReport, explore};
pub use format::read_programs;
pub use machine::Machine;
pub use program::{Action, Flags, Kind, Program, Step};
