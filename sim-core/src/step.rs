//! The leaf future: announce, then perform.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::cpu::Cpu;
use crate::op::Op;

/// One announced operation of a CPU. The first poll announces it; the second, which comes when the
/// scheduler chose it, performs it and goes on to the next announcement.
#[must_use = "an access happens only when it is awaited"]
pub struct Step<'m, F> {
    cpu: Cpu<'m>,
    op: Op,
    perform: F,
    announced: bool,
}

impl<'m, F> Step<'m, F> {
    #[inline]
    pub(crate) fn new(cpu: Cpu<'m>, op: Op, perform: F) -> Self {
        Step { cpu, op, perform, announced: false }
    }
}

impl<'m, R, F> Future for Step<'m, F>
where
    F: FnMut(Cpu<'m>) -> R + Unpin,
{
    type Output = R;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<R> {
        let step = &mut *self;
        if !step.announced {
            step.announced = true;
            step.cpu.announce(step.op);
            return Poll::Pending;
        }
        step.cpu.charge(step.op.kind);
        Poll::Ready((step.perform)(step.cpu))
    }
}
