//! Exploring a world: many runs, each a function of its number.

mod campaign;
mod count;
mod exhaustive;
mod extent;
mod strategy;
mod subtrees;
mod through;
mod trace;
mod unasked;

pub use campaign::{Campaign, Explored, Found, Goal, Piece};
pub use count::{Count, WHOLE_SEARCH};
pub use extent::{Bounds, Extent};
pub use strategy::{Exhaustive, Strategy};
pub use trace::Trace;
pub use unasked::RUNS_OF_SMALL;
