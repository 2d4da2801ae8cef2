//! Programs that were recorded on real kernels, replayed step by step on the simulated one.
//!
//! A trace goes through these modules. [`trace`] is its format, and [`program`] makes programs of its lines.
//! [`replay`] runs a program on a machine, one operation (`operation/`) at a time. [`observe`] looks at the
//! machine after each operation, [`compare`] says how that differs from what was recorded, and [`score`] counts.

pub mod compare;
mod folio_orders;
pub mod machine;
pub mod observe;
mod operation;
pub mod program;
pub mod replay;
pub mod run;
pub mod score;
pub mod trace;
mod view;

pub use compare::{Difference, Kind};
pub use program::{LineError, Program, Traces, read};
pub use run::{Ended, Verdict, compare_all, compare_one};
pub use score::Score;
pub use view::{Observation, PageRun, ProcessView, VmaView};
