//! Litmus tests of memory order: small programs, and the outcomes that a memory model allows.
//!
//! A test becomes a [scenario](scenario_text). Its locations are words of a page, and its threads are user code. So it runs
//! on the same machine as all scenarios, with page walks. What is proved by the test is proved of that machine.

mod condition;
mod elt;
mod herd;
mod row;
mod rule;
mod run;
mod scenario;
mod test;

pub use condition::Condition;
pub use herd::read_herd;
pub use row::read_rows;
pub use rule::{RULES, Rule};
pub use run::{Report, Verdict, run, run_all};
pub use scenario::scenario_text;
pub use test::{Difference, Instruction, Pages, Test, VirtualPage};
