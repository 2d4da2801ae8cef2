//! Plots, as SVG.

mod curve;
mod panels;
mod paper;

pub use curve::{Mark, Plot};
pub use panels::{Chart, Curve, Panel};
