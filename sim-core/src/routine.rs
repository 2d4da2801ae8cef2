//! Routines of the simulated code: their names and their roles, both said where the routine begins.

use std::fmt;

/// What a routine is for whoever reads a call stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Called from outside the kernel, or by a driver on behalf of a process.
    SystemCall,
    /// The handler of an interrupt.
    Interrupt,
    /// It decides something: where it stands in a stack, it tells what was going on.
    Body,
    /// It decides by entries that it reads without the lock which guards them: what it read is part of the story.
    Lockless,
    /// It only carries out what its caller decided.
    Helper,
}

/// A routine. A name alone is a body's: `cpu.enter("zap_pte_range")`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routine {
    /// As the kernel calls it.
    pub name: &'static str,
    /// What it is for.
    pub role: Role,
}

impl Routine {
    /// A routine that is called from outside.
    pub const fn system_call(name: &'static str) -> Routine {
        Routine { name, role: Role::SystemCall }
    }

    /// A routine that handles an interrupt.
    pub const fn interrupt(name: &'static str) -> Routine {
        Routine { name, role: Role::Interrupt }
    }

    /// A routine that decides by entries which it reads without their lock.
    pub const fn lockless(name: &'static str) -> Routine {
        Routine { name, role: Role::Lockless }
    }

    /// A routine that only carries out what its caller decided.
    pub const fn helper(name: &'static str) -> Routine {
        Routine { name, role: Role::Helper }
    }
}

impl From<&'static str> for Routine {
    #[inline]
    fn from(name: &'static str) -> Routine {
        Routine { name, role: Role::Body }
    }
}

impl PartialEq<&str> for Routine {
    fn eq(&self, name: &&str) -> bool {
        self.name == *name
    }
}

impl fmt::Display for Routine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
