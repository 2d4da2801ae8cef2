//! The rules of translation, without the machine: what an entry means, who may do what, and the walk
//! from one entry to the next.

mod reserved;
mod rights;
mod translate;
mod walk;

pub use reserved::reserved_bits;
pub(crate) use rights::Obstacle;
pub use rights::{Access, AccessKind, Denial, Privilege, Rights};
pub use translate::{TableMemory, translate};
pub use walk::{Next, Walk};
