//! Telling what happened: the diagram that a kernel commit message would carry.

mod act;
mod called;
mod diagram;
mod entries;
mod fact;
mod line;
mod lives;
mod narrator;
mod prevent;
mod relevance;
mod remark;
mod report;
mod spaces;
mod story;
mod subject;
mod whole_run;

pub use prevent::{Prevention, prevented_by, reservation, told};
pub use report::report;

use called::Called;
pub use diagram::WIDTH;

use crate::explore::Trace;
use crate::oracle::Finding;
use crate::world::World;

/// A finding with its diagram and its consequence, as text of at most [`WIDTH`] columns. `matters` has ranges of steps, from
/// first to last. A step that is in no range is not drawn.
pub fn explain(world: &World<'_>, trace: &Trace, finding: &Finding, matters: &[(u64, u64)]) -> String {
    let story = story::Story::of(world, trace, finding, matters);
    let mut text = format!("{}\n\n", finding.title());
    if !story.lines.is_empty() {
        text.push_str(&diagram::draw(&story));
        text.push('\n');
    }
    text.push_str(&diagram::wrap(&story.consequence, WIDTH));
    // The findings of other oracles at the same step.
    for other in trace.findings.iter().filter(|other| other.oracle() != finding.oracle()) {
        let also = format!("{}: {}", other.oracle(), story.also(world, other));
        text.push_str(&diagram::wrap(&also, WIDTH));
    }
    if let Some(lives) = lives::told(world, trace, story.steps()) {
        text.push_str(&diagram::wrap(&lives, WIDTH));
    }
    text
}

/// The sentence on what went wrong, with the scenario's names for processes and pages.
pub fn consequence(world: &World<'_>, finding: &Finding) -> String {
    finding.violation.sentence(&Called::of(world, None))
}
