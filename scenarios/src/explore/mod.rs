//! Exploring a world: many runs, each a function of its number.

mod campaign;
mod exhaustive;
mod extent;
mod strategy;
mod trace;
mod unasked;

pub use campaign::{Campaign, Explored, Found, Goal};
pub use exhaustive::WHOLE_SEARCH;
pub use extent::{Bounds, Extent};
pub use strategy::{Exhaustive, Strategy};
pub use trace::Trace;
pub use unasked::RUNS_OF_SMALL;
