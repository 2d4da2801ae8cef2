//! The cycle model: what a [`Profile`] says of a processor, and what the simulated processor is charged for.
//!
//! [`Mmu::set_profile`](crate::Mmu::set_profile) installs a profile. From then on the data caches, the TLB and
//! the latencies of the profile determine the cost of every operation, and each CPU has an [`Account`] whose
//! total is its clock. Under [`Policy::Profile`](crate::Policy::Profile) the TLB of the profile also decides what
//! is cached. Under the other policies their own caches are used, at the prices of the profile.
//!
//! A CPU has one access under way at a time. Latencies add up, and nothing overlaps.

mod account;
mod charge;
mod finite;
mod flat;
mod hierarchy;
mod profile;
mod set_assoc;
mod spend;

pub use account::{Account, Spent};
pub(crate) use charge::Timing;
pub(crate) use finite::{FiniteTlb, Hit};
pub use flat::CostTable;
pub use profile::{
    BadShape, Broadcasts, DataCache, DataCaches, Latencies, Profile, Replacement, SecondLevel, Shape, Sizes,
    StructureCaches, Tlb, TlbArray,
};
