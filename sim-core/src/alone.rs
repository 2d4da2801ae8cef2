//! Code on a machine where nothing else happens: no scheduler, no other CPU, no interrupt.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::cpu::Cpu;

impl Cpu<'_> {
    /// Runs code of this CPU to its end. The only choices left are those of values, for example of a free frame or of
    /// a cached translation.
    ///
    /// # Panics
    /// If the code waits for another CPU, because there is none.
    pub fn alone<R>(self, code: impl Future<Output = R>) -> R {
        let mut code = pin!(code);
        loop {
            if let Poll::Ready(result) = code.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                self.core.set_op(self.id, None);
                return result;
            }
            assert!(self.core.gate_is_open(self.id), "{} waits for somebody, and is alone", self.id);
            self.core.count_step();
        }
    }
}
