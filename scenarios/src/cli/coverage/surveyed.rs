//! The results of surveying so far.

use crate::coverage::{Coverage, Schedules};
use crate::explore::Strategy;

/// The results for all subjects.
pub(super) struct Surveyed {
    pub(super) strategy: Strategy,
    pub(super) seed: u64,
    pub(super) coverage: Coverage,
    pub(super) schedules: Vec<(String, Schedules)>,
    pub(super) interrupted: bool,
}
