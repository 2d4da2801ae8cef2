//! `register_buffer`, `unregister_buffer`, `fixed_read` and `fixed_write`: fixed buffers of io_uring.

use std::fmt;

use sim_gup::callers::{self, RemoteOp};

use super::argument::{FilledRing, NewValue, OldRing, PinnedPages, Word};
use super::{Operation, Running, as_text, operation, pages_text};
use crate::stage::{Place, Task};

operation! {
    /// Registers pages as the fixed buffer of a ring: `IORING_REGISTER_BUFFERS`. They are pinned for writing as long as the
    /// ring has the buffer. If the ring has a buffer already, the operation fails with `EBUSY`.
    "register_buffer" RegisterBuffer {
        /// The first page.
        required "at" at: Place,
        /// How many pages; 1 if not given.
        or (1) "pages" pages: PinnedPages,
        /// The ring.
        required "ring" ring: FilledRing,
    }
}

operation! {
    /// Gives the fixed buffer of a ring up: `IORING_UNREGISTER_BUFFERS`. If the ring has no buffer, the operation fails with
    /// `ENXIO`.
    "unregister_buffer" UnregisterBuffer {
        /// The ring.
        required "ring" ring: OldRing,
    }
}

operation! {
    /// A device reads the first word of a page through the fixed buffer of a ring. `IORING_OP_WRITE_FIXED` makes a device do
    /// so to write a file. If the page is in no buffer, the operation fails with `EFAULT`.
    "fixed_read" FixedRead {
        /// The ring.
        required "ring" ring: OldRing,
        /// The page.
        required "from" from: Place,
        /// The name of the value in checks.
        optional "as" name: NewValue,
    }
}

operation! {
    /// A device writes the first word of a page through the fixed buffer of a ring. `IORING_OP_READ_FIXED` makes a device do
    /// so to read a file. If the page is in no buffer, the operation fails with `EFAULT`.
    "fixed_write" FixedWrite {
        /// The ring.
        required "ring" ring: OldRing,
        /// The page.
        required "to" to: Place,
        /// The value.
        required "value" value: Word,
    }
}

impl fmt::Display for RegisterBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "register {}, {}, as buffer of {}", self.at, pages_text(self.pages), self.ring)
    }
}

impl fmt::Display for UnregisterBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unregister the buffer of {}", self.ring)
    }
}

impl fmt::Display for FixedRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device reads {} by {}{}", self.from, self.ring, as_text(self.name.as_ref()))
    }
}

impl fmt::Display for FixedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device writes {} to {} by {}", self.value, self.to, self.ring)
    }
}

impl Operation for RegisterBuffer {
    fn routine(&self) -> Option<&'static str> {
        Some("io_sqe_buffer_register")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let start = task.address(&self.at)?;
            callers::register_buffer(task.cpu, task.ring(&self.ring), start, self.pages).await?;
            Ok(0)
        })
    }
}

impl Operation for UnregisterBuffer {
    fn routine(&self) -> Option<&'static str> {
        Some("io_sqe_buffers_unregister")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            callers::unregister_buffer(task.cpu, task.ring(&self.ring)).await?;
            Ok(0)
        })
    }
}

impl Operation for FixedRead {
    fn routine(&self) -> Option<&'static str> {
        Some("io_import_fixed")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.address(&self.from)?;
            let value = callers::fixed_rw(task.cpu, task.ring(&self.ring), va, RemoteOp::Read).await?;
            task.keep(self.name.as_deref(), value);
            Ok(value.cast_signed())
        })
    }
}

impl Operation for FixedWrite {
    fn routine(&self) -> Option<&'static str> {
        Some("io_import_fixed")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.address(&self.to)?;
            callers::fixed_rw(task.cpu, task.ring(&self.ring), va, RemoteOp::Write(self.value)).await?;
            Ok(0)
        })
    }
}
