//! The cycle model: what a [`Profile`] says of a processor, and what the simulated one is charged for.
//!
//! [`Mmu::set_profile`](crate::Mmu::set_profile) installs one. From then on every operation costs what the
//! data caches, the TLB and the profile's latencies say, and each CPU has an [`Account`] whose total is its
//! clock. Under [`Policy::Profile`](crate::Policy::Profile) the profile's TLB decides what is cached; under
//! the other policies it is their caches that are used, at the profile's prices.
//!
//! A CPU has one access under way at a time: latencies add up, nothing overlaps.

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
