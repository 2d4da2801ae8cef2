//! The cycles that operations cost while no profile is installed.

use crate::timing::Spent;

/// A cost for each kind of operation. The costs are not fitted to a processor. They have the orders of magnitude of a
/// current core, so that clocks of different CPUs can be compared.
#[derive(Clone, Copy, Debug)]
pub struct CostTable {
    /// The cost of each [`sim_core::OpKind`], in its order.
    pub ops: [u32; 7],
    /// Sending an interrupt to another CPU, beyond the register write.
    pub ipi: u64,
    /// Exception entry and return.
    pub fault: u64,
}

impl Default for CostTable {
    fn default() -> Self {
        CostTable { ops: [4, 4, 20, 20, 0, 120, 4], ipi: 1500, fault: 1050 }
    }
}

impl CostTable {
    /// What an operation costs beyond the cost of its kind.
    #[inline]
    pub(crate) fn beyond_kind(&self, what: Spent) -> u64 {
        match what {
            Spent::IpiSend => self.ipi,
            Spent::Exception => self.fault,
            _ => 0,
        }
    }
}
