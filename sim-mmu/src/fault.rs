//! The exceptions that a translation raises.

use std::fmt;

use crate::addr::VirtAddr;

/// Why an access did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// #PF, vector 14.
    Page(PageFault),
    /// #GP(0), vector 13: the address is not canonical, or an instruction was given a value that it refuses.
    GeneralProtection,
}

impl Fault {
    /// The vector of the exception.
    pub const fn vector(self) -> u8 {
        match self {
            Fault::Page(_) => 14,
            Fault::GeneralProtection => 13,
        }
    }
}

/// A page fault: what CR2 and the error code say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// CR2: the address that was accessed.
    pub va: VirtAddr,
    /// The error code.
    pub code: u32,
}

impl PageFault {
    /// The translation was present; rights or reserved bits denied the access.
    pub const P: u32 = 1 << 0;
    /// The access was a write.
    pub const W: u32 = 1 << 1;
    /// The access was a user-mode access.
    pub const U: u32 = 1 << 2;
    /// A reserved bit was set.
    pub const RSVD: u32 = 1 << 3;
    /// The access was an instruction fetch.
    pub const I: u32 = 1 << 4;
    /// A protection key denied the access.
    pub const PK: u32 = 1 << 5;

    /// Whether the access was a write.
    pub fn is_write(self) -> bool {
        self.code & Self::W != 0
    }

    /// Whether the access was an instruction fetch, as far as the processor tells.
    pub fn is_fetch(self) -> bool {
        self.code & Self::I != 0
    }

    /// Whether a protection key denied the access.
    pub fn is_by_key(self) -> bool {
        self.code & Self::PK != 0
    }

    /// Whether a reserved bit was set in an entry that the walk read.
    pub fn is_reserved(self) -> bool {
        self.code & Self::RSVD != 0
    }
}

impl fmt::Display for PageFault {
    /// The flags that are set in the error code: `P|W|U`, or `0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u32, &str); 6] = [
            (PageFault::P, "P"),
            (PageFault::W, "W"),
            (PageFault::U, "U"),
            (PageFault::RSVD, "RSVD"),
            (PageFault::I, "I"),
            (PageFault::PK, "PK"),
        ];
        if self.code == 0 {
            return f.write_str("0");
        }
        let set = NAMES.into_iter().filter(|(bit, _)| self.code & bit != 0);
        for (n, (_, name)) in set.enumerate() {
            write!(f, "{}{name}", if n == 0 { "" } else { "|" })?;
        }
        Ok(())
    }
}
