//! What a record claims about its run (its length, the steps that its finding needs), compared with the run.
//!
//! Everything that the run can show is computed again, and not taken from the record. Otherwise a file that
//! somebody changed would lead to a wrong diagram.

use sim_core::Executor;
use sim_mm::Kernel;

use super::contents::Record;
use super::error::RecordError;
use crate::explore::Trace;
use crate::json::place_of;
use crate::shrink::{Matter, matter};
use crate::world::World;

impl Matter {
    /// The steps as ranges, from first to last.
    pub(super) fn ranges(&self) -> Vec<(u64, u64)> {
        let runs = self.steps.chunk_by(|a, b| a + 1 == *b);
        runs.filter_map(|run| Some((*run.first()?, *run.last()?))).collect()
    }
}

impl Record {
    /// Whether the claims of the record about its run are right. `trace` is that run, and `file` is the file of the record.
    ///
    /// # Errors
    /// The first claim that is wrong, with its place in the file.
    pub fn verify<'m>(
        &self,
        file: &str,
        world: &'m World<'_>,
        executor: &mut Executor<'m, Kernel>,
        trace: &Trace,
    ) -> Result<(), RecordError> {
        if self.steps != trace.steps {
            return Err(claim(
                file,
                "steps",
                &format!("is {}, but the run has {} steps", self.steps, trace.steps),
            ));
        }
        // If nobody asked which steps matter, the record says that all do.
        if self.matters == [(1, trace.steps)] {
            return Ok(());
        }
        let needed = matter(world, executor, trace).ranges();
        if self.matters == needed {
            return Ok(());
        }
        let what = format!("names steps {}, but the finding needs {}", told(&self.matters), told(&needed));
        Err(claim(file, "matters", &what))
    }
}

fn claim(file: &str, key: &str, what: &str) -> RecordError {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let place = place_of(&text, key).map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
    RecordError::Bad { file: format!("{file}{place}"), what: format!("`{key}` {what}") }
}

/// `1-3, 7`
fn told(ranges: &[(u64, u64)]) -> String {
    let range = |(first, last): &(u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(", ")
}
