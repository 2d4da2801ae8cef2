//! `open`, `reopen`, `fsync`, `writeback`, `fadvise_dontneed` and `pwrite_from`: files on a disk, and what their pages can be written from.

use std::fmt;

use sim_mm::{FMode, Open as What, sys_fadvise_dontneed, sys_fsync, sys_open, sys_pwrite_from, writeback_single_inode};

use super::argument::{Argument, FilePage, NewFile, OldFile, Word};
use super::{Operation, Running, operation, pages_text};
use crate::json::Named;
use crate::stage::{Place, Task};

operation! {
    /// Opens a file on the disk: `open()` with `O_CREAT`. Every process of the scenario has the descriptor, as if it had been forked afterwards.
    /// The machine must have a disk (`"platform": { "disk": "plain" }`), or it fails with ENOENT. If the file is open already, it fails
    /// with EBUSY. The other operations on files take such a file too.
    "open" Open {
        /// What operations call the file.
        required "as" name: NewFile,
        /// Its length in pages.
        required "pages" pages: FilePage,
        /// The first word of each page on the disk, of a file that is there already. If not given, the file is new, and all its pages are holes.
        optional "holds" holds: Word,
        /// What the file is opened for; `rw` if not given.
        or (FMode::ReadWrite) "mode" mode: FMode,
    }
}

operation! {
    /// Opens a file on the disk once more, by its name: `open()`. The descriptor with which it was made may be closed by now. If there is no such
    /// file, it fails with ENOENT.
    "reopen" Reopen {
        /// What operations call the file as it is opened here.
        required "as" name: NewFile,
        /// The file, as `open` called it.
        required "file" file: OldFile,
        /// What it is opened for; `rw` if not given.
        or (FMode::ReadWrite) "mode" mode: FMode,
    }
}

impl Named for FMode {
    const WHAT: &'static str = "`mode`";
    const NAMES: &'static [(FMode, &'static str)] = &[(FMode::ReadWrite, "rw"), (FMode::Read, "r")];
}

impl Argument for FMode {}

/// What an open for anything but reading and writing says.
fn mode_text(mode: FMode) -> &'static str {
    match mode {
        FMode::ReadWrite => "",
        FMode::Read => ", to read",
    }
}

operation! {
    /// Writes a file back, and waits until the disk has everything that was written to the file before, through mappings as well: `fsync()`.
    /// It fails with EIO if a page could not be written since somebody was told of that last.
    "fsync" Fsync {
        /// The file.
        required "file" file: OldFile,
    }
}

operation! {
    /// The kernel writes back the dirty pages of a file, as its flusher thread does now and then: `writeback_single_inode()`. Nobody is told of
    /// errors here; the next `fsync` is.
    "writeback" Writeback {
        /// The file.
        required "file" file: OldFile,
    }
}

operation! {
    /// Pages of a file on the disk leave memory, if they are clean and nobody maps them: `posix_fadvise()` with `POSIX_FADV_DONTNEED`. Whoever
    /// wants them again reads them from the disk. Answers how many left.
    "fadvise_dontneed" FadviseDontneed {
        /// The file.
        required "file" file: OldFile,
    }
}

operation! {
    /// Writes the first word of a page of a file, as `pwrite` does, from memory of the process, which may be a mapping of that very page. If
    /// nothing can be read there, it fails with EFAULT.
    "pwrite_from" PwriteFrom {
        /// The file.
        required "file" file: OldFile,
        /// The page of the file; 0 if not given.
        or (0) "page" page: FilePage,
        /// The page whose first word is written.
        required "from" from: Place,
    }
}

impl fmt::Display for PwriteFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pwrite {} to page {} of {}", self.from, self.page, self.file)
    }
}

impl Operation for PwriteFrom {
    fn routine(&self) -> Option<&'static str> {
        Some("vfs_write")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let from = task.address(&self.from)?;
            sys_pwrite_from(task.cpu, task.file(&self.file), self.page, from).await?;
            Ok(0)
        })
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "open {}, {}", self.name, pages_text(self.pages))?;
        if let Some(holds) = self.holds {
            write!(f, " that hold {holds}")?;
        }
        f.write_str(mode_text(self.mode))
    }
}

impl fmt::Display for Reopen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "open {} again as {}{}", self.file, self.name, mode_text(self.mode))
    }
}

impl fmt::Display for Fsync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fsync {}", self.file)
    }
}

impl fmt::Display for Writeback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writeback of {}", self.file)
    }
}

impl fmt::Display for FadviseDontneed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fadvise {}, POSIX_FADV_DONTNEED", self.file)
    }
}

impl Operation for Open {
    fn routine(&self) -> Option<&'static str> {
        Some("do_sys_open")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let what = What::Create { pages: self.pages, holds: self.holds };
            sys_open(task.cpu, task.file(&self.name), what, self.mode).await?;
            Ok(0)
        })
    }
}

impl Operation for Reopen {
    fn routine(&self) -> Option<&'static str> {
        Some("do_sys_open")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let what = What::Existing(task.file(&self.file));
            sys_open(task.cpu, task.file(&self.name), what, self.mode).await?;
            Ok(0)
        })
    }
}

impl Operation for Fsync {
    fn routine(&self) -> Option<&'static str> {
        Some("do_fsync")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_fsync(task.cpu, task.file(&self.file)).await?;
            Ok(0)
        })
    }
}

impl Operation for Writeback {
    fn routine(&self) -> Option<&'static str> {
        Some("writeback_single_inode")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            writeback_single_inode(task.cpu, task.file(&self.file)).await?;
            Ok(0)
        })
    }
}

impl Operation for FadviseDontneed {
    fn routine(&self) -> Option<&'static str> {
        Some("generic_fadvise")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let gone = sys_fadvise_dontneed(task.cpu, task.file(&self.file)).await?;
            Ok(gone.cast_signed())
        })
    }
}
