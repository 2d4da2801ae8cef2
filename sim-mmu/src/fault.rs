//! The page-fault exception.

use crate::addr::VirtAddr;

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

    /// Whether the access was a write.
    pub fn is_write(self) -> bool {
        self.code & Self::W != 0
    }
}
