//! Shrinking: from a run that failed to the least that still fails in the same way.
//!
//! *In the same way* is the same oracle in the same routines: the same title. What is *simpler* is one order,
//! [`Size`]: fewer threads first, then operations, pages and CPUs, then a simpler schedule. A candidate counts
//! only if it was run, ended in the finding, and is simpler, and if none of its numbers is larger than at the start.
//! So whatever comes out replays, and to shrink it again changes nothing.

mod edit;
mod scenario;
mod schedule;
mod size;

pub use scenario::{RUNS, Shrinking, Subject, shrink};
pub use schedule::{Matter, matter, simplify};
pub use size::{Schedule, Size};
