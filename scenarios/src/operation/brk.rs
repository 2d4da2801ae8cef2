//! `brk`: the heap.

use std::fmt;

use sim_mm::{Errno, sys_brk};

use super::argument::{NewMapping, RangePages};
use super::{Operation, Running, operation, pages_text};
use crate::stage::Task;

operation! {
    /// Sets the length of the heap: `brk()`. The heap begins at the first page that may be mapped. If the heap cannot get that
    /// length, the operation fails with `ENOMEM`, as the function of the C library does.
    "brk" Brk {
        /// The name of the heap in other operations.
        required "as" name: NewMapping,
        /// Its length.
        required "pages" pages: RangePages,
    }
}

impl fmt::Display for Brk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "heap of {} as {}", pages_text(self.pages), self.name)
    }
}

impl Operation for Brk {
    fn routine(&self) -> Option<&'static str> {
        Some("brk")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let mm = task.cpu.current_mm().ok_or(Errno::Einval)?;
            let start = task.cpu.this_cpu_read(mm.start_brk());
            let end = start.plus_pages(self.pages);
            if sys_brk(task.cpu, end).await != end {
                return Err(Errno::Enomem);
            }
            task.map(&self.name, start, self.pages);
            Ok(0)
        })
    }
}
