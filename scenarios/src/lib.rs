//! The simulator as its users see it: scenarios, oracles, exploration, records, explanations.

pub mod scenario;
