//! The registers that are words. Other CPUs can see them, or instructions announce an access to them.

use sim_core::{Shared, record};

record! {
    /// The registers of a CPU that other CPUs can see, or to which instructions announce an access.
    pub(crate) struct Registers {
        /// CR3.
        pub(crate) cr3: Shared<u64> = "cr3";
        /// The interrupt request register of the local APIC.
        pub(crate) irr: Shared<u64> = "irr";
    }
}
