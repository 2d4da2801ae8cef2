//! Shared state that does not fit a word: lists, tables, queues.

use std::cell::{Cell, Ref, RefCell};

use crate::core::Core;
use crate::memory::{Loc, MemoryBuilder};

/// A value of any shape that CPUs share under one location.
///
/// Its location holds a version that every change raises, so an announced access to it, a race on
/// it and the state digest work as for a word. The value itself goes back to its checkpoint by copy,
/// and only if the run changed it.
#[derive(Debug)]
pub struct Object<T> {
    loc: Loc,
    now: RefCell<T>,
    base: RefCell<T>,
    changed: Cell<bool>,
}

impl<T: Clone> Object<T> {
    /// An object named `name` that holds `value`.
    pub fn new(memory: &mut MemoryBuilder, name: impl Into<std::borrow::Cow<'static, str>>, value: T) -> Self {
        Object {
            loc: memory.words(name, 1),
            now: RefCell::new(value.clone()),
            base: RefCell::new(value),
            changed: Cell::new(false),
        }
    }

    /// Where accesses to the object are announced.
    pub fn loc(&self) -> Loc {
        self.loc
    }

    /// The value now. Not an access: for code that performs one.
    pub fn look(&self, core: &Core) -> Ref<'_, T> {
        core.touch(self.loc, false);
        self.now.borrow()
    }

    /// The value now, for oracles and set-up: no step depends on it.
    pub fn peek(&self) -> Ref<'_, T> {
        self.now.borrow()
    }

    /// Changes the value now. Not an access: for code that performs one.
    pub fn poke<R>(&self, core: &Core, change: impl FnOnce(&mut T) -> R) -> R {
        self.changed.set(true);
        core.memory.set(self.loc, core.memory.word(self.loc) + 1);
        core.touch(self.loc, true);
        change(&mut self.now.borrow_mut())
    }

    /// Makes the present value the one that [`rewind`](Object::rewind) returns to.
    pub fn checkpoint(&self) {
        self.base.borrow_mut().clone_from(&self.now.borrow());
        self.changed.set(false);
    }

    /// Takes the value back to its checkpoint.
    pub fn rewind(&self) {
        if self.changed.replace(false) {
            self.now.borrow_mut().clone_from(&self.base.borrow());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Config;

    #[test]
    fn a_rewind_restores_the_checkpoint() {
        let mut memory = MemoryBuilder::default();
        let object = Object::new(&mut memory, "list", vec![1]);
        let core = Core::new(memory.build(), Config::default());
        let version = || core.memory.get(object.loc());
        assert_eq!(object.poke(&core, |list| std::mem::replace(list, vec![1, 2])), [1]);
        assert_eq!((version(), object.peek().as_slice()), (1, &[1, 2][..]));
        core.checkpoint();
        object.checkpoint();
        for _ in 0..2 {
            object.poke(&core, |list| list.push(3));
            object.poke(&core, Vec::clear);
            assert_eq!((version(), object.peek().as_slice()), (3, &[][..]));
            core.rewind();
            object.rewind();
            assert_eq!((version(), object.peek().as_slice()), (1, &[1, 2][..]));
        }
    }
}
