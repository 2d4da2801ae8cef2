//! Cases of one access: a line of JSON is read, translated with empty caches, answered.
//!
//! The way of a line: [`lines`] cuts it out of the stream, [`case`] reads it, [`tables`] are the memory in
//! which its walk takes place, [`answer`] is what came of it, [`expected`] what an engine showed; a
//! [`batch`] is many of them.

pub mod answer;
pub mod batch;
pub mod case;
pub mod expected;
pub mod hex;
pub mod lines;
mod members;
pub mod tables;
