//! Which routines are active on a CPU. This is known only while events are traced.

use crate::cpu::Cpu;
use crate::event::Event;
use crate::routine::Routine;

impl<'m> Cpu<'m> {
    /// Names the routine that runs until the guard is dropped. Nothing is kept unless events are traced.
    #[inline]
    pub fn enter(self, routine: impl Into<Routine>) -> Entered<'m> {
        if !self.core.is_traced() {
            return Entered { cpu: None };
        }
        let routine = routine.into();
        self.state().routines.borrow_mut().push(routine);
        self.core.emit(self.id, || Event::Enter(routine));
        Entered { cpu: Some(self) }
    }

    /// The routines that are active in the context on top, the outermost first. The list is empty unless events are traced.
    #[inline]
    pub fn routines(self) -> Vec<Routine> {
        if self.core.is_traced() { self.traced_routines() } else { Vec::new() }
    }

    #[cold]
    fn traced_routines(self) -> Vec<Routine> {
        self.state().routines.borrow().clone()
    }
}

/// A routine is active while this lives.
#[must_use]
pub struct Entered<'m> {
    cpu: Option<Cpu<'m>>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(cpu) = self.cpu {
            cpu.state().routines.borrow_mut().pop();
            cpu.core.emit(cpu.id, || Event::Exit);
        }
    }
}
