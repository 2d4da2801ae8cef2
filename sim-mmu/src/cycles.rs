//! What things cost, in cycles.

/// A cost for each kind of operation. Fitted to nothing yet: the orders of magnitude of a current
/// core, so that clocks of different CPUs can be compared.
#[derive(Clone, Copy, Debug)]
pub struct CostTable {
    /// Of each [`sim_core::OpKind`], in its order.
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
