//! The knobs of the platform: what decides which safeguards matter. Each run states them.

/// A closed set of named values.
pub trait Knob: Copy + PartialEq + Sized + 'static {
    /// Every value with its name, the default first.
    const NAMES: &'static [(Self, &'static str)];

    /// The value of a name.
    fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(value, _)| *value)
    }

    /// The name of the value.
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(value, _)| *value == self).map_or("?", |(_, name)| name)
    }
}

macro_rules! knobs {
    ($($(#[$doc:meta])* $knob:ident { $($(#[$vdoc:meta])* $value:ident = $name:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $knob { $($(#[$vdoc])* $value),* }

        impl Knob for $knob {
            const NAMES: &'static [(Self, &'static str)] = &[$(($knob::$value, $name)),*];
        }
    )*};
}

knobs! {
    /// How translations of other CPUs are invalidated.
    Flush {
        /// An interrupt to every CPU in the mm's cpumask; the sender waits for all handlers.
        Ipi = "ipi",
        /// A broadcast instruction or a hypervisor's flush, which disabled interrupts do not hold up.
        NoIpi = "noipi",
    }

    /// What keeps page-table pages alive under lockless walkers.
    TableFree {
        /// Freed after the TLB flush, like any page.
        AfterFlush = "after_flush",
        /// Freed after the flush and an RCU-sched grace period.
        RcuSched = "rcu_sched",
        /// The fallback when no batch page can be had: after an empty interrupt to every CPU.
        RcuThenSyncIpi = "rcu_then_sync_ipi",
    }

    /// The memory model.
    MemoryOrder {
        /// Sequentially consistent.
        Sc = "sc",
        /// Store buffers (x86-TSO).
        Tso = "tso",
    }

    /// Whether kernel code can be preempted.
    Preempt {
        /// Only in user mode and where it sleeps.
        Off = "off",
        /// Wherever neither interrupts nor preemption are disabled.
        On = "on",
    }

    /// Whether the processor walks for addresses that nobody accesses.
    SpeculativeWalk {
        /// It does not.
        Off = "off",
        /// At any time, for any page that is mapped when the run starts.
        On = "on",
    }

    /// By which rule a write fault on a shared anonymous page decides to reuse the page.
    CowReuse {
        /// `page_mapcount() == 1`: before v5.9.
        Mapcount = "mapcount",
        /// `page_count() == 1`: v5.9 to v5.18.
        Refcount = "refcount",
        /// `PageAnonExclusive()`: since v5.19.
        Exclusive = "exclusive",
    }

    /// What lockless GUP disables around its walk.
    GupProtect {
        /// Interrupts.
        Irq = "irq",
        /// Preemption only.
        Preempt = "preempt",
        /// Nothing, under `rcu_read_lock()`.
        Rcu = "rcu",
        /// Nothing at all.
        None = "none",
    }
}

/// One platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// How translations of other CPUs are invalidated.
    pub flush: Flush,
    /// What keeps page-table pages alive.
    pub table_free: TableFree,
    /// The memory model.
    pub memory: MemoryOrder,
    /// Whether kernel code can be preempted.
    pub preempt: Preempt,
    /// Whether the processor walks on speculation.
    pub speculative_walk: SpeculativeWalk,
}

impl Default for Platform {
    fn default() -> Self {
        Platform {
            flush: Flush::Ipi,
            table_free: TableFree::AfterFlush,
            memory: MemoryOrder::Sc,
            preempt: Preempt::Off,
            speculative_walk: SpeculativeWalk::Off,
        }
    }
}
