//! What a CPU announces before it does it.

use std::panic::Location;

use crate::gate::Gate;
use crate::loc::Loc;

/// The kind of an announced operation. The kind decides with what the operation races. Under TSO it also decides
/// whether the operation waits for the store buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OpKind {
    /// A load. Sees the CPU's own buffered stores.
    Read,
    /// A store. Goes through the store buffer under TSO.
    Write,
    /// A locked read-modify-write.
    Rmw,
    /// Taking a lock: a locked read-modify-write behind a gate.
    Acquire,
    /// Waiting for a condition that another CPU makes true.
    Wait,
    /// A serialising instruction.
    Serialize,
    /// A load by hardware beside the CPU (a page walker), which does not see the store buffer.
    Walk,
}

impl OpKind {
    /// Whether the operation waits until the CPU's store buffer is empty.
    #[inline]
    pub const fn drains(self) -> bool {
        matches!(self, OpKind::Rmw | OpKind::Acquire | OpKind::Serialize)
    }

    /// Whether the operation may change its location.
    #[inline]
    pub const fn writes(self) -> bool {
        matches!(self, OpKind::Write | OpKind::Rmw | OpKind::Acquire | OpKind::Serialize)
    }
}

/// An announced operation.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// What it does.
    pub kind: OpKind,
    /// The word that it touches; [`Loc::NONE`] if it touches no shared word.
    pub loc: Loc,
    /// What must hold before it can happen.
    pub gate: Gate,
    /// Whether a task that finds the gate closed leaves the CPU to another.
    pub sleeps: bool,
    /// The line of code that announced it.
    pub place: &'static Location<'static>,
}

impl Op {
    /// An operation that nothing holds back, announced by the caller.
    #[inline]
    #[track_caller]
    pub fn new(kind: OpKind, loc: Loc) -> Op {
        Op { kind, loc, gate: Gate::Open, sleeps: false, place: Location::caller() }
    }

    /// The same operation behind a gate.
    #[inline]
    pub fn behind(self, gate: Gate) -> Op {
        Op { gate, ..self }
    }

    /// The same operation, sleeping while its gate is closed.
    #[inline]
    pub fn sleeping(self) -> Op {
        Op { sleeps: true, ..self }
    }

    /// Whether two operations do not commute.
    #[inline]
    pub fn conflicts(&self, other: &Op) -> bool {
        conflicts((self.kind, self.loc), (other.kind, other.loc))
    }
}

/// Whether two operations do not commute, by their kinds and places.
#[inline]
pub(crate) fn conflicts((a, at): (OpKind, Loc), (b, other): (OpKind, Loc)) -> bool {
    at == other && at != Loc::NONE && (a.writes() || b.writes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use OpKind::{Acquire, Read, Rmw, Serialize, Wait, Walk, Write};

    /// One of two on the same word has to write.
    #[test]
    fn conflicts() {
        const KINDS: [OpKind; 7] = [Read, Write, Rmw, Acquire, Wait, Serialize, Walk];
        let reads = |kind| matches!(kind, Read | Wait | Walk);
        for (a, b) in KINDS.iter().flat_map(|&a| KINDS.iter().map(move |&b| (a, b))) {
            let at = |kind, loc| Op::new(kind, Loc(loc));
            assert_eq!(at(a, 1).conflicts(&at(b, 1)), !(reads(a) && reads(b)), "{a:?} and {b:?} of one word");
            assert!(!at(a, 1).conflicts(&at(b, 2)), "{a:?} and {b:?} of two words");
            assert!(!Op::new(a, Loc::NONE).conflicts(&Op::new(b, Loc::NONE)), "{a:?} and {b:?} of none");
        }
    }

    #[test]
    fn an_operation_knows_the_line_that_announced_it() {
        assert_eq!((Op::new(Read, Loc(0)).place.file(), Op::new(Read, Loc(0)).place.line()), (file!(), line!()));
    }
}
