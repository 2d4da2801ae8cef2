//! The settings of GUP.

use crate::safeguards::GUP_IRQ_OFF;

sim_mm::settings! {
    above sim_mm::SETTINGS.len();

    /// What lockless GUP disables around its walk.
    GupProtect = design "gup_protect" has GUP_IRQ_OFF by [Irq] else Nothing {
        /// It disables interrupts.
        Irq = "irq",
        /// It disables preemption only.
        Preempt = "preempt",
        /// It disables nothing, and holds `rcu_read_lock()`.
        Rcu = "rcu",
        /// It disables nothing at all.
        Nothing = "none",
    }
}
