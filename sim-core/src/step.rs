//! The leaf future: announce, then perform.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::cpu::Cpu;
use crate::op::Op;

/// What an announced operation does when its time has come.
pub trait Perform<'m>: Unpin {
    /// What the awaiting code gets.
    type Output;

    /// Does it, at once.
    fn perform(&mut self, cpu: Cpu<'m>, op: &Op) -> Self::Output;
}

impl<'m, R, F: FnMut(Cpu<'m>) -> R + Unpin> Perform<'m> for F {
    type Output = R;

    #[inline(always)]
    fn perform(&mut self, cpu: Cpu<'m>, _: &Op) -> R {
        self(cpu)
    }
}

/// One announced operation of a CPU. The first poll announces it; the second, which comes when the
/// scheduler chose it, performs it and goes on to the next announcement.
#[must_use = "an access happens only when it is awaited"]
pub struct Step<'m, P> {
    cpu: Cpu<'m>,
    op: Op,
    perform: P,
    announced: bool,
}

impl<'m, P> Step<'m, P> {
    #[inline]
    pub(crate) fn new(cpu: Cpu<'m>, op: Op, perform: P) -> Self {
        Step { cpu, op, perform, announced: false }
    }
}

impl<'m, P: Perform<'m>> Future for Step<'m, P> {
    type Output = P::Output;

    // At an await just made, `announced` is known to be false: only inlined can that be used.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<P::Output> {
        let step = &mut *self;
        if !step.announced {
            step.announced = true;
            step.cpu.announce(&step.op);
            return Poll::Pending;
        }
        step.cpu.charge(&step.op);
        Poll::Ready(step.perform.perform(step.cpu, &step.op))
    }
}

impl<'m> Cpu<'m> {
    /// An operation of the caller's own making: announced as `op`, then `perform`ed at once.
    #[inline]
    pub fn step<R, F: FnMut(Cpu<'m>) -> R + Unpin>(self, op: Op, perform: F) -> Step<'m, F> {
        Step::new(self, op, perform)
    }
}
