//! The leaf future: announce, then perform.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::cpu::Cpu;
use crate::op::Op;

/// What an announced operation does when the scheduler has chosen it.
pub trait Perform<'m>: Unpin {
    /// What the awaiting code gets.
    type Output;

    /// Performs the operation.
    fn perform(&mut self, cpu: Cpu<'m>, op: &Op) -> Self::Output;
}

impl<'m, R, F: FnMut(Cpu<'m>) -> R + Unpin> Perform<'m> for F {
    type Output = R;

    #[inline(always)]
    fn perform(&mut self, cpu: Cpu<'m>, _: &Op) -> R {
        self(cpu)
    }
}

/// One announced operation of a CPU. The first poll announces it. The second poll comes when the scheduler has chosen
/// it. This poll performs it, and the code goes on to the next announcement.
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

    // At the first poll of an await, `announced` is false. The compiler can use that only if this is inlined.
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
    /// An operation that the caller defines. It is announced as `op`, and `perform` does all of it in one step.
    #[inline]
    pub fn step<R, F: FnMut(Cpu<'m>) -> R + Unpin>(self, op: Op, perform: F) -> Step<'m, F> {
        Step::new(self, op, perform)
    }
}
