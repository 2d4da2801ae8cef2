//! Exploring a world: many runs, each a function of its number.

mod campaign;
mod exhaustive;
mod strategy;
mod trace;

pub use campaign::{Campaign, Explored, Found, Goal};
pub use exhaustive::{Bounds, Extent, WHOLE_SEARCH};
pub use strategy::{Exhaustive, Strategy};
pub use trace::Trace;
