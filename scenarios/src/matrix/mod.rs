//! Races against releases: which kernels have which race, found by running each of them.
//!
//! A cell is a scenario on one machine under the kernel of one release, with every safeguard and every design of that release. Nothing is
//! looked up: what the scenario expects of its cases, and what is known of its history, says only which findings are those of the race.

mod cell;
mod grid;
mod html;
mod race;

pub use cell::{Cell, Hit};
pub use grid::{Grid, Row, Wanted, grid};
pub use html::page;
pub use race::Race;
