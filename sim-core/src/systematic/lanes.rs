//! Lanes: a lane is something that acts in an order of its own. Each CPU is a lane, with its tasks and the
//! handlers above them. Under TSO the store buffer of each CPU is a lane too.

use crate::choice::Transition;

/// The number of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane(pub(super) u8);

impl Lane {
    /// The lane of a transition on a machine of so many CPUs.
    pub(super) fn of(transition: Transition, cpus: usize) -> Lane {
        let cpu = transition.cpu().0;
        match transition {
            Transition::Drain(_) => Lane(cpus as u8 + cpu),
            Transition::Step(_) | Transition::Switch(..) | Transition::Interrupt(..) => Lane(cpu),
        }
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lanes(u128);

impl Lanes {
    pub(super) const NONE: Lanes = Lanes(0);

    pub(super) const ALL: Lanes = Lanes(u128::MAX);

    pub(super) fn only(lane: Lane) -> Lanes {
        Lanes(1 << lane.0)
    }

    /// The lanes of these CPUs, a bit each.
    pub(super) fn of_cpus(set: u64) -> Lanes {
        Lanes(set.into())
    }

    /// The first `n` lanes.
    pub(super) fn below(n: usize) -> Lanes {
        Lanes((1 << n) - 1)
    }

    pub(super) fn has(self, lane: Lane) -> bool {
        self.0 & 1 << lane.0 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub(super) fn with(self, lane: Lane) -> Lanes {
        Lanes(self.0 | 1 << lane.0)
    }

    pub(super) fn and(self, other: Lanes) -> Lanes {
        Lanes(self.0 & other.0)
    }

    pub(super) fn or(self, other: Lanes) -> Lanes {
        Lanes(self.0 | other.0)
    }

    pub(super) fn without(self, other: Lanes) -> Lanes {
        Lanes(self.0 & !other.0)
    }

    pub(super) fn first(self) -> Option<Lane> {
        (self.0 != 0).then(|| Lane(self.0.trailing_zeros() as u8))
    }
}
