//! Routines of the simulated code: their names and their roles. A routine states both where it begins.

use std::fmt;

/// What a routine means to somebody who reads a call stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Called from outside the kernel, or by a driver on behalf of a process.
    SystemCall,
    /// The handler of an interrupt.
    Interrupt,
    /// It decides something. Its name in a stack tells what was going on.
    Body,
    /// It decides by entries that it reads without the lock that guards them. So what it read is a part of the story.
    Lockless,
    /// It only carries out what its caller decided.
    Helper,
}

/// A routine. A name alone makes a routine with the role [`Role::Body`]: `cpu.enter("zap_pte_range")`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routine {
    /// Its name in the kernel.
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
