//! Exploring a world: many runs, each a function of its number.

mod campaign;
mod simplify;
mod strategy;
mod trace;

pub use campaign::{Campaign, Explored, Found, Goal};
pub use simplify::simplify;
pub use strategy::Strategy;
pub use trace::Trace;
