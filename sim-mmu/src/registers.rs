//! The registers that are words, because others see them or an access is announced at them.

use sim_core::{Shared, record};

record! {
    /// The registers of a CPU that others can see, or that an access is announced at.
    pub(crate) struct Registers {
        /// CR3.
        pub(crate) cr3: Shared<u64> = "cr3";
        /// The interrupt request register of the local APIC.
        pub(crate) irr: Shared<u64> = "irr";
    }
}
