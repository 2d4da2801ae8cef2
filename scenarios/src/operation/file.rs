//! `memfd_create`, `memfd_secret`, `close`, `ftruncate`, `punch_hole`, `pread` and `pwrite`: files in memory, by their descriptor.

use std::fmt;

use sim_mm::{HugePageSize, Release, sys_close, sys_ftruncate, sys_memfd_create, sys_memfd_secret, sys_pread, sys_punch_hole, sys_pwrite};

use super::argument::{FilePage, NewFile, NewValue, OldFile, Word};
use super::{Operation, Running, as_text, operation, pages_text};
use crate::json::{Bool, name_of};
use crate::stage::Task;

operation! {
    /// Makes a file that is nothing but memory: `memfd_create()`, and `ftruncate()` to its length. All its pages are holes. Every process
    /// of the scenario has the descriptor, as if it had been forked afterwards. If the file is there already, it fails with EBUSY.
    "memfd_create" MemfdCreate {
        /// What operations call the file.
        required "as" name: NewFile,
        /// Its length in pages.
        required "pages" pages: FilePage,
        /// Whether its pages are huge pages of the pool (`MFD_HUGETLB`). The machine must have one (`"platform": { "hugetlbfs": "on" }`), or it fails with ENOENT.
        /// If the length is no number of huge pages, it fails with EINVAL.
        or (false) "hugetlb" hugetlb: Bool,
        /// Of which size they are, if so: `gigantic` is `MFD_HUGE_1GB`, and one PUD entry maps such a page. `huge` if not given.
        or (HugePageSize::Huge) "size" size: HugePageSize,
    }
}

operation! {
    /// Makes a file of secret memory, which the kernel itself cannot read: `memfd_secret()`, and `ftruncate()` to its length. Its mappings are shared,
    /// and stay in memory. The machine must have it (`"platform": { "secretmem": "on" }`), or it fails with ENOSYS. It cannot be read or written by
    /// its descriptor.
    "memfd_secret" MemfdSecret since [Release::v(5, 14)] {
        /// What operations call the file.
        required "as" name: NewFile,
        /// Its length in pages.
        required "pages" pages: FilePage,
    }
}

operation! {
    /// Closes the descriptor of a file: `close()`. The file goes with the last that maps it. If the descriptor is not open, as before
    /// `memfd_create`, this and each other operation on the file fails with EBADF.
    "close" Close {
        /// The file.
        required "file" file: OldFile,
    }
}

operation! {
    /// Makes a file longer or shorter: `ftruncate()`. Pages behind the new end are gone from the file and from every mapping.
    "ftruncate" Ftruncate {
        /// The file.
        required "file" file: OldFile,
        /// Its new length in pages.
        required "pages" pages: FilePage,
    }
}

operation! {
    /// Makes pages of a file a hole: `fallocate()` with `FALLOC_FL_PUNCH_HOLE`. They are gone from the file and from its mappings, but
    /// what private mappings have copied stays theirs.
    "punch_hole" PunchHole {
        /// The file.
        required "file" file: OldFile,
        /// The first page; 0 if not given.
        or (0) "page" page: FilePage,
        /// How many; 1 if not given.
        or (1) "pages" pages: FilePage,
    }
}

operation! {
    /// Reads the first word of a page of a file: `pread()`. A hole is read as 0, and stays a hole. At the end of the file there is nothing to
    /// read, and the run does not have the value.
    "pread" Pread {
        /// The file.
        required "file" file: OldFile,
        /// The page; 0 if not given.
        or (0) "page" page: FilePage,
        /// What checks call the value.
        optional "as" name: NewValue,
    }
}

operation! {
    /// Writes the first word of a page of a file: `pwrite()`. A file that ends before is longer then.
    "pwrite" Pwrite {
        /// The file.
        required "file" file: OldFile,
        /// The page; 0 if not given.
        or (0) "page" page: FilePage,
        /// The value.
        required "value" value: Word,
    }
}

impl fmt::Display for MemfdCreate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memfd_create {}, {}", self.name, pages_text(self.pages))?;
        if self.hugetlb { write!(f, " of {} pages", name_of(self.size)) } else { Ok(()) }
    }
}

impl fmt::Display for MemfdSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memfd_secret {}, {}", self.name, pages_text(self.pages))
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "close {}", self.file)
    }
}

impl fmt::Display for Ftruncate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ftruncate {} to {}", self.file, pages_text(self.pages))
    }
}

impl fmt::Display for PunchHole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "punch_hole {}, {} from page {}", self.file, pages_text(self.pages), self.page)
    }
}

impl fmt::Display for Pread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pread page {} of {}{}", self.page, self.file, as_text(self.name.as_ref()))
    }
}

impl fmt::Display for Pwrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pwrite {} to page {} of {}", self.value, self.page, self.file)
    }
}

impl Operation for MemfdCreate {
    fn routine(&self) -> Option<&'static str> {
        Some("memfd_create")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_memfd_create(task.cpu, task.file(&self.name), self.pages, self.hugetlb.then_some(self.size)).await?;
            Ok(0)
        })
    }
}

impl Operation for MemfdSecret {
    fn routine(&self) -> Option<&'static str> {
        Some("memfd_secret")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_memfd_secret(task.cpu, task.file(&self.name), self.pages).await?;
            Ok(0)
        })
    }
}

impl Operation for Close {
    fn routine(&self) -> Option<&'static str> {
        Some("close")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_close(task.cpu, task.file(&self.file)).await?;
            Ok(0)
        })
    }
}

impl Operation for Ftruncate {
    fn routine(&self) -> Option<&'static str> {
        Some("do_truncate")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_ftruncate(task.cpu, task.file(&self.file), self.pages).await?;
            Ok(0)
        })
    }
}

impl Operation for PunchHole {
    fn routine(&self) -> Option<&'static str> {
        Some("vfs_fallocate")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_punch_hole(task.cpu, task.file(&self.file), self.page, self.pages).await?;
            Ok(0)
        })
    }
}

impl Operation for Pread {
    fn routine(&self) -> Option<&'static str> {
        Some("vfs_read")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let read = sys_pread(task.cpu, task.file(&self.file), self.page).await?;
            let Some(value) = read else { return Ok(0) };
            task.keep(self.name.as_deref(), value);
            Ok(value.cast_signed())
        })
    }
}

impl Operation for Pwrite {
    fn routine(&self) -> Option<&'static str> {
        Some("vfs_write")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_pwrite(task.cpu, task.file(&self.file), self.page, self.value).await?;
            Ok(0)
        })
    }
}
