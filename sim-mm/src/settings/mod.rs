//! The settings of the memory manager. The knobs of the platform decide which safeguards matter. The designs are
//! rules of the kernel that changed over time. Each run states all of them.

mod designs;
mod large_folios;
mod platform;

pub use designs::*;
pub use large_folios::*;
pub use platform::*;

use crate::registry::setting::{Setting, join};

const TABLES: [&[Setting]; 3] = [platform::SETTINGS, designs::SETTINGS, large_folios::SETTINGS];

/// The settings of this crate, in the order of its tables.
pub const SETTINGS: &[Setting] = &join::<{ TABLES[0].len() + TABLES[1].len() + TABLES[2].len() }>(TABLES);
