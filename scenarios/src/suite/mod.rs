//! Suites: many cases and records at once, on one machine or on several.
//!
//! [`gather`] turns paths into a [`Plan`] and the [`Work`] that it needs. `run` does the work and collects
//! [`Evidence`]. A [`Judge`] makes an [`Outcome`] of each piece of evidence, in the order of the plan, and
//! [`report`] prints the outcomes. Evidence is plain data that can be written to a file. A [`Journal`] keeps it
//! for a second call, and a [`Part`] brings it from one of several machines to the place where all are merged.

mod evidence;
mod gather;
mod journal;
mod outcome;
mod part;
mod pieces;
mod plan;
pub mod report;
mod run;
mod search;
mod select;
mod shard;
mod stop;
mod work;

pub use evidence::{Evidence, Explored, Hit};
pub use gather::{Gathered, gather};
pub use journal::{Journal, JournalError};
pub use outcome::{Judge, Outcome, Status, Totals};
pub use part::{Merged, Part, PartError, merge};
pub use pieces::{Piece, Search};
pub use plan::{Group, Item, Kind, Options, Plan};
pub use run::{Listener, Workers};
pub use select::{Selector, Selectors};
pub use shard::Shard;
pub use stop::Stop;
pub use work::Work;
