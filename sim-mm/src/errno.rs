//! Error numbers.

use std::fmt;

/// An errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Errno {
    /// Out of memory.
    Enomem = 12,
    /// Bad address.
    Efault = 14,
    /// Somebody else uses it.
    Ebusy = 16,
    /// Invalid argument.
    Einval = 22,
}

impl Errno {
    /// As a system call returns it.
    pub fn code(self) -> i64 {
        -(self as i64)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Errno::Enomem => "ENOMEM",
            Errno::Efault => "EFAULT",
            Errno::Ebusy => "EBUSY",
            Errno::Einval => "EINVAL",
        })
    }
}
