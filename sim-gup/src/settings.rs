//! The settings of GUP.

use crate::safeguards::{GUP_IRQ_OFF, GUP_KEEP_WRITE};

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

    /// What GUP does with an entry that allows no access, though the mapping does: NUMA hinting.
    GupNuma = design "gup_numa" {
        /// GUP lets the page be faulted in first, unless it is forced.
        Faults = "faults",
        /// The locked path takes the page. This is the rule since v6.6 (`d74943a2f3cd`).
        Follows = "follows" since sim_mm::Release::v(6, 6),
    }

    /// How often GUP lets a fault let go of `mmap_lock` for one page.
    GupRetry = design "gup_retry" {
        /// Once. The second fault has to keep the lock, and so it cannot wait for user code.
        Once = "once",
        /// As often as the fault has to. This is the rule since v5.7 (`4426e945df58`).
        Again = "again" since sim_mm::Release::v(5, 7),
    }

    /// When a pin for long learns that it is about a file on a device.
    LongtermCheck = design "longterm_check" {
        /// When the pages are there. Then all are given back.
        Afterwards = "afterwards",
        /// Before it looks for the first page of the mapping. This is the rule since v5.11 (`52650c8b466b`).
        First = "first" since sim_mm::Release::v(5, 11),
    }

    /// How ksmd looks whether a merged page is mapped at an address.
    KsmLook = design "ksm_look" {
        /// By GUP's look-up, which waits for pages that are being moved.
        Follow = "follow",
        /// By a walk of its own, which passes over huge pages that are being moved. This is the rule since v6.2 (`d7c0e68dab98`).
        Walk = "walk" since sim_mm::Release::v(6, 2),
    }

    /// By which fault a merged page becomes a process's own again.
    KsmBreak = design "ksm_break" {
        /// By a write, also where the mapping cannot be written.
        Write = "write",
        /// By one that makes a copy, and that lets nobody write (`FAULT_FLAG_UNSHARE`). This is the rule since v6.2 (`6cce3314b928`).
        Unshare = "unshare" since sim_mm::Release::v(6, 2),
    }

    /// What lockless GUP does with an entry that maps the huge page of zeroes.
    GupHugeZero = design "gup_huge_zero" {
        /// It takes references to that page.
        Counted = "counted",
        /// It gives up, since the entry says that it is special. This is the rule since v6.18 (`d80a9cb1a64a`).
        Refused = "refused" since sim_mm::Release::v(6, 18),
    }

    /// How a forced write to a read-only mapping knows that the page is its own.
    ForcedWrite = design "forced_write" has GUP_KEEP_WRITE by [CowFlag, Exclusive] else DropWrite {
        /// The fault said that it broke COW, and from then on the page is looked up as if it was to be read. This was the rule before v4.9 (CVE-2016-5195).
        DropWrite = "drop_write",
        /// The fault said that it broke COW, and the entry is dirty since then. This was the rule from v4.9 to v5.19 (`19be0eaffa3a`).
        CowFlag = "cow_flag" since sim_mm::Release::v(4, 9),
        /// The page is marked as this address space's own. This is the rule since v6.0 (`5535be309971`).
        Exclusive = "exclusive" since sim_mm::Release::v(6, 0),
    }
}
