//! The simulator as its users see it: scenarios, oracles, exploration, records, explanations.
//!
//! A scenario goes through these modules. [`scenario`] reads it, and [`world`] builds and sets up its machine. [`explore`]
//! runs it many times, while [`mod@oracle`] watches. [`case`] judges the result. [`mod@shrink`] makes a failing run simpler,
//! [`record`] keeps it, and [`mod@explain`] draws it.

pub mod case;
pub mod cli;
pub mod conform;
pub mod course;
pub mod coverage;
pub mod explain;
pub mod explore;
pub mod hardware;
mod in_order;
mod json;
pub mod library;
pub mod litmus;
pub mod matrix;
pub mod necessity;
mod number;
pub mod operation;
pub mod oracle;
mod prose;
pub mod record;
mod routines;
pub mod scenario;
mod shell;
pub mod shrink;
mod stage;
pub mod suite;
mod table;
pub mod vary;
mod whole_file;
pub mod world;
