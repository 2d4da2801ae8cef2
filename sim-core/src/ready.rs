//! The CPUs that can step, kept from one step to the next because they seldom change.

use crate::id::CpuId;

/// A set of CPUs in the order of their simplicity: the one that ran last, then the others by number.
///
/// Arithmetic and one load turn an answer into a CPU, without a branch. A processor could not predict a branch that
/// depends on a random answer.
#[derive(Debug)]
pub(crate) struct Ready {
    set: u64,
    /// The set by number.
    list: [CpuId; 64],
    len: usize,
    /// Where the list has the CPU that comes first: the one that ran last, if it is in the set.
    first: usize,
    has_last: bool,
}

impl Default for Ready {
    fn default() -> Ready {
        Ready { set: 0, list: [CpuId(0); 64], len: 0, first: 0, has_last: false }
    }
}

impl Ready {
    /// The set is now `set`. `last` is asked for only after [`forget`](Ready::forget) and changes.
    #[inline]
    pub(crate) fn set(&mut self, set: u64, last: CpuId) {
        if set != self.set {
            self.rebuild(set, last);
        }
    }

    #[inline(never)]
    fn rebuild(&mut self, set: u64, last: CpuId) {
        self.forget();
        self.set = set;
        let mut rest = set;
        while rest != 0 {
            let cpu = CpuId(rest.trailing_zeros() as u8);
            if cpu == last {
                (self.first, self.has_last) = (self.len, true);
            }
            self.list[self.len] = cpu;
            self.len += 1;
            rest &= rest - 1;
        }
    }

    /// Empties the set. This is called when the last transition was no step.
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.set = 0;
        self.len = 0;
        (self.first, self.has_last) = (0, false);
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether the first is the CPU that ran last.
    #[inline]
    pub(crate) fn has_last(&self) -> bool {
        self.has_last
    }

    /// The set, a bit for each CPU.
    pub(crate) fn cpus(&self) -> u64 {
        self.set
    }

    /// Whether the CPU is in the set.
    pub(crate) fn contains(&self, cpu: CpuId) -> bool {
        self.set & 1 << cpu.0 != 0
    }

    #[inline]
    fn place(&self, i: usize) -> usize {
        if i == 0 { self.first } else { i - usize::from(i <= self.first) }
    }

    /// The CPU at place `i` of the order.
    #[inline]
    pub(crate) fn get(&self, i: usize) -> CpuId {
        self.list[self.place(i) % self.list.len()]
    }

    /// The CPU at place `i` of the order. From now on it is the CPU that ran last.
    #[inline]
    pub(crate) fn run(&mut self, i: usize) -> CpuId {
        (self.first, self.has_last) = (self.place(i), true);
        self.list[self.first % self.list.len()]
    }
}
