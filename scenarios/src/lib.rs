//! The simulator as its users see it: scenarios, oracles, exploration, records, explanations.

pub mod explain;
pub mod explore;
pub mod oracle;
pub mod scenario;
pub mod world;
