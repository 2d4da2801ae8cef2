//! Shared state that does not fit a word: lists, tables, queues.

use std::cell::{Cell, Ref, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::core::Core;
use crate::loc::Loc;
use crate::machine::Changed;
use crate::memory::MemoryBuilder;

/// A value of any shape that CPUs share under one location.
///
/// Its location holds a version that every change raises. So an announced access to the object, a race on
/// it and the state digest work as they do for a word.
///
/// Nobody has to remember to restore an object. Its first change after a checkpoint enters it into a list of
/// the [`Core`], and [`Core::rewind`] takes the objects of that list back. So a run pays for what it changed.
#[derive(Debug)]
pub struct Object<T> {
    loc: Loc,
    value: Rc<Value<T>>,
}

/// What an object holds, and what it held at the checkpoint.
struct Value<T> {
    now: RefCell<T>,
    base: RefCell<T>,
    /// Whether the object is in the list of those that changed.
    listed: Cell<bool>,
}

impl<T: fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now.fmt(f)
    }
}

impl<T: Clone> Changed for Value<T> {
    fn keep(&self) {
        self.base.borrow_mut().clone_from(&self.now.borrow());
        self.listed.set(false);
    }

    fn restore(&self) {
        self.now.borrow_mut().clone_from(&self.base.borrow());
        self.listed.set(false);
    }
}

impl<T: Clone + 'static> Object<T> {
    /// An object named `name` that holds `value`.
    pub fn new(memory: &mut MemoryBuilder, name: impl Into<std::borrow::Cow<'static, str>>, value: T) -> Self {
        Object {
            loc: memory.words(name, 1),
            value: Rc::new(Value {
                now: RefCell::new(value.clone()),
                base: RefCell::new(value),
                listed: Cell::new(false),
            }),
        }
    }

    /// Where accesses to the object are announced.
    pub fn loc(&self) -> Loc {
        self.loc
    }

    /// The value now. This is no access by itself: the caller is code that performs one.
    pub fn look(&self, core: &Core) -> Ref<'_, T> {
        core.touch(self.loc, false);
        self.value.now.borrow()
    }

    /// The value now, for oracles and for set-up. No step may depend on it.
    pub fn peek(&self) -> Ref<'_, T> {
        self.value.now.borrow()
    }

    /// Changes the value now. This is no access by itself: the caller is code that performs one.
    pub fn poke<R>(&self, core: &Core, change: impl FnOnce(&mut T) -> R) -> R {
        if !self.value.listed.replace(true) {
            core.note_changed(self.value.clone());
        }
        core.memory.set(self.loc, core.memory.word(self.loc) + 1);
        core.touch(self.loc, true);
        change(&mut self.value.now.borrow_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Config;

    #[test]
    fn a_rewind_restores_the_checkpoint() {
        let mut memory = MemoryBuilder::default();
        let object = Object::new(&mut memory, "list", vec![1]);
        let core = Core::new(memory.build(), Config::default());
        let version = || core.memory.get(object.loc());
        assert_eq!(object.poke(&core, |list| std::mem::replace(list, vec![1, 2])), [1]);
        assert_eq!((version(), object.peek().as_slice()), (1, &[1, 2][..]));
        core.checkpoint();
        for _ in 0..2 {
            object.poke(&core, |list| list.push(3));
            object.poke(&core, Vec::clear);
            assert_eq!((version(), object.peek().as_slice()), (3, &[][..]));
            core.rewind();
            assert_eq!((version(), object.peek().as_slice()), (1, &[1, 2][..]));
        }
    }
}
