//! Whether each safeguard is needed: the case of the library that goes wrong without it, found by running.

mod guard;
mod proof;
mod table;
mod witness;

pub use guard::Guard;
pub use proof::{Proof, Why};
pub use table::{Row, TableError, Wanted, table};
