//! `vmalloc`, `vfree`, and what the kernel reads and writes in between.

use std::fmt;

use sim_mm::{access_vmalloc, vfree, vmalloc};
use sim_mmu::DataOp;

use super::argument::{KernelPage, NewValue, Word};
use super::{Operation, Running, as_text, operation};
use crate::stage::Task;

operation! {
    /// The kernel maps a page for itself, in every address space: `vmalloc()`.
    "vmalloc" Vmalloc {
        /// The number of the page in the area of `vmalloc()`, counted from 0.
        required "page" page: KernelPage,
    }
}

operation! {
    /// The kernel unmaps a page of its own, flushes it on every CPU, and frees it: `vfree()`.
    "vfree" Vfree {
        /// The number of the page in the area of `vmalloc()`, counted from 0.
        required "page" page: KernelPage,
    }
}

operation! {
    /// The kernel reads the first word of a page that `vmalloc()` mapped.
    "vmalloc_read" VmallocRead {
        /// The number of the page in the area of `vmalloc()`, counted from 0.
        required "page" page: KernelPage,
        /// The name of the value in checks.
        optional "as" name: NewValue,
    }
}

operation! {
    /// The kernel writes the first word of a page that `vmalloc()` mapped.
    "vmalloc_write" VmallocWrite {
        /// The number of the page in the area of `vmalloc()`, counted from 0.
        required "page" page: KernelPage,
        /// The value.
        required "value" value: Word,
    }
}

impl fmt::Display for Vmalloc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vmalloc page {}", self.page)
    }
}

impl fmt::Display for Vfree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vfree page {}", self.page)
    }
}

impl fmt::Display for VmallocRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read vmalloc page {}{}", self.page, as_text(self.name.as_ref()))
    }
}

impl fmt::Display for VmallocWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} to vmalloc page {}", self.value, self.page)
    }
}

impl Operation for Vmalloc {
    fn routine(&self) -> Option<&'static str> {
        Some("vmalloc")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            vmalloc(task.cpu, self.page).await?;
            Ok(0)
        })
    }
}

impl Operation for Vfree {
    fn routine(&self) -> Option<&'static str> {
        Some("vfree")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            vfree(task.cpu, self.page).await?;
            Ok(0)
        })
    }
}

impl Operation for VmallocRead {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let value = access_vmalloc(task.cpu, self.page, DataOp::Read).await?;
            task.keep(self.name.as_deref(), value);
            Ok(value.cast_signed())
        })
    }
}

impl Operation for VmallocWrite {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            access_vmalloc(task.cpu, self.page, DataOp::Write(self.value)).await?;
            Ok(0)
        })
    }
}
