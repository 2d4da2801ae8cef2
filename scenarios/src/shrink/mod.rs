//! Shrinking: from a run that failed to the smallest one that still fails in the same way.
//!
//! A run fails *in the same way* if the same oracle speaks in the same routines, so that the title is the same.
//! [`Size`] says which of two runs is *simpler*: fewer threads come first, then operations, pages and CPUs, then
//! a simpler schedule. A candidate counts only if it was run, ended in the finding, is simpler, and has no number
//! that is larger than at the start. So the result replays, and shrinking it again changes nothing.

mod edit;
mod scenario;
mod schedule;
mod size;

pub use scenario::{RUNS, Shrinking, Subject, shrink};
pub use schedule::{Matter, matter, simplify};
pub use size::{Schedule, Size};
