//! The acts: what can be done to a machine.

use super::{Kind, Mode};

/// One thing that is done, to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// A CPU accesses an address. What it writes is what is there.
    Access {
        cpu: u8,
        mode: Mode,
        kind: Kind,
        va: u64,
    },
    /// Somebody stores an entry.
    Store {
        frame: u64,
        index: u32,
        value: u64,
    },
    /// The CPU walks on speculation.
    Speculate {
        cpu: u8,
        va: u64,
    },
    Invlpg {
        cpu: u8,
        va: u64,
    },
    Invpcid {
        cpu: u8,
        kind: u64,
        pcid: u64,
        va: u64,
    },
    /// `preserve` is bit 63 of the operand.
    MovCr3 {
        cpu: u8,
        value: u64,
        preserve: bool,
    },
    MovCr4 {
        cpu: u8,
        value: u64,
    },
    MovCr0 {
        cpu: u8,
        value: u64,
    },
    Wrpkru {
        cpu: u8,
        value: u32,
    },
    /// A hypervisor's flush: pages `from..to` under a root, on every CPU.
    Broadcast {
        cpu: u8,
        root: u64,
        from: u64,
        to: u64,
    },
    Invlpgb {
        cpu: u8,
        what: Flush,
    },
    Tlbsync {
        cpu: u8,
    },
}

/// What an INVLPGB names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flush {
    /// Pages from the first up to, not including, the second.
    pub(crate) pages: Option<(u64, u64)>,
    pub(crate) pcid: Option<u64>,
    pub(crate) global: bool,
    /// Nothing of the paging-structure caches.
    pub(crate) last_only: bool,
}

impl Act {
    /// A user-mode read.
    pub(crate) fn read(va: u64) -> Act {
        Act::Access { cpu: 0, mode: Mode::User, kind: Kind::Read, va }
    }

    /// A user-mode write.
    pub(crate) fn write(va: u64) -> Act {
        Act::Access { cpu: 0, mode: Mode::User, kind: Kind::Write, va }
    }

    /// A user-mode fetch.
    pub(crate) fn fetch(va: u64) -> Act {
        Act::Access { cpu: 0, mode: Mode::User, kind: Kind::Fetch, va }
    }

    /// A supervisor-mode read without EFLAGS.AC.
    pub(crate) fn kernel_read(va: u64) -> Act {
        Act::Access { cpu: 0, mode: Mode::Explicit { ac: false }, kind: Kind::Read, va }
    }

    pub(crate) fn store(place: (u64, u32), value: u64) -> Act {
        Act::Store { frame: place.0, index: place.1, value }
    }

    pub(crate) fn invlpg(va: u64) -> Act {
        Act::Invlpg { cpu: 0, va }
    }

    pub(crate) fn mov_cr3(value: u64) -> Act {
        Act::MovCr3 { cpu: 0, value, preserve: false }
    }

    /// MOV to CR3 with bit 63 of the operand set.
    pub(crate) fn mov_cr3_keeping(value: u64) -> Act {
        Act::MovCr3 { cpu: 0, value, preserve: true }
    }

    pub(crate) fn mov_cr4(value: u64) -> Act {
        Act::MovCr4 { cpu: 0, value }
    }

    pub(crate) fn invpcid(kind: u64, pcid: u64, va: u64) -> Act {
        Act::Invpcid { cpu: 0, kind, pcid, va }
    }

    /// The same on another CPU.
    pub(crate) fn on(self, cpu: u8) -> Act {
        match self {
            Act::Access { mode, kind, va, .. } => Act::Access { cpu, mode, kind, va },
            Act::Store { .. } => self,
            Act::Speculate { va, .. } => Act::Speculate { cpu, va },
            Act::Invlpg { va, .. } => Act::Invlpg { cpu, va },
            Act::Invpcid { kind, pcid, va, .. } => Act::Invpcid { cpu, kind, pcid, va },
            Act::MovCr3 { value, preserve, .. } => Act::MovCr3 { cpu, value, preserve },
            Act::MovCr4 { value, .. } => Act::MovCr4 { cpu, value },
            Act::MovCr0 { value, .. } => Act::MovCr0 { cpu, value },
            Act::Wrpkru { value, .. } => Act::Wrpkru { cpu, value },
            Act::Broadcast { root, from, to, .. } => Act::Broadcast { cpu, root, from, to },
            Act::Invlpgb { what, .. } => Act::Invlpgb { cpu, what },
            Act::Tlbsync { .. } => Act::Tlbsync { cpu },
        }
    }
}
