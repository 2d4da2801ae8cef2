//! `include/linux/migrate_mode.h`: how a page is moved, why, and why not.

/// `enum migrate_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrateMode {
    /// `MIGRATE_ASYNC`: a page that somebody has locked is left alone.
    Async,
    /// `MIGRATE_SYNC`: the lock of a page is waited for.
    Sync,
}

/// `enum migrate_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MigrateReason {
    /// `MR_SYSCALL`, `MR_COMPACTION`: a folio for which there is no room as a whole is split.
    Asked,
    /// `MR_NUMA_MISPLACED`: it stays where it is.
    NumaMisplaced,
}

/// Why a page has not been moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// `-EAGAIN`: it may be moved some other time.
    Again,
    /// `-ENOMEM`: there is no frame.
    NoFrame,
    /// Nobody has it any more, so that it need not be moved.
    Freed,
}
