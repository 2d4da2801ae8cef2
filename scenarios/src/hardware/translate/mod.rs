//! Cases of one access: a line of JSON is read, translated with empty caches, and answered.
//!
//! A line goes through these modules. [`lines`] cuts it out of the stream, and [`case`] reads it. Its walk takes place in
//! the memory of [`tables`]. [`answer`] is the result, and [`expected`] compares it with what an engine showed. A [`batch`]
//! does this for many lines.

pub mod answer;
pub mod batch;
pub mod case;
pub mod expected;
pub mod hex;
pub mod lines;
mod members;
pub mod tables;
