//! `uffd_register`, `uffd_read`, `uffd_copy`, `uffd_zeropage`, `uffd_continue`, `uffd_writeprotect`, `uffd_move` and `uffd_wake`: page faults that user code handles.

use std::fmt;

use sim_mm::{
    Errno, Fill, Release, UffdMode, Wake, mfill_atomic, mwriteprotect_range, userfaultfd_move,
    userfaultfd_read, userfaultfd_register, userfaultfd_wake,
};
use sim_mmu::VirtAddr;

use super::argument::{Argument, NewValue, OldProcess, PlaceElsewhere, RangePages, Word};
use super::range::{Range, needs_pages_at_an_address};
use super::{Operation, Running, as_text, operation, pages_text};
use crate::json::{Bool, List, Named, name_of};
use crate::stage::{Place, Task};

impl Named for UffdMode {
    const WHAT: &'static str = "mode";
    const NAMES: &'static [(UffdMode, &'static str)] =
        &[
            (UffdMode::MISSING, "missing"),
            (UffdMode::WP, "wp"),
            (UffdMode::MINOR, "minor"),
            (UffdMode::WP_UNPOPULATED, "wp_unpopulated"),
        ];
}

impl Argument for UffdMode {}

operation! {
    /// From now on, user code handles faults in pages: `UFFDIO_REGISTER`. A process has one descriptor. A fault in such a page waits until
    /// another thread has handled it. Mappings of files in memory can be
    /// registered since v4.11, and for `wp` since v5.19.
    "uffd_register" UffdRegister since [Release::v(4, 3)] {
        /// The first page.
        required "at" at: Place,
        /// How many; all up to the end of the mapping if not given.
        optional "pages" pages: RangePages,
        /// Which faults: of pages that are missing; of writes to pages that `uffd_writeprotect` protects (since v5.7); or of pages that
        /// a file has and that are not mapped (since v5.14). With `wp_unpopulated` (since v6.4) the descriptor can also protect pages of
        /// private memory that are not there yet.
        required "modes" modes: List<UffdMode>,
    }
    where needs_pages_at_an_address
}

operation! {
    /// Waits for a fault of a process that nobody has read yet, and returns the address of its page: `read()` of the descriptor.
    "uffd_read" UffdRead since [Release::v(4, 3)] {
        /// The process whose pages are registered.
        required "process" process: OldProcess,
        /// What checks call the address.
        optional "as" name: NewValue,
    }
}

operation! {
    /// Puts a page where one is missing, and wakes who waits for it: `UFFDIO_COPY`. The first word of the page is the value,
    /// and all others are zero.
    "uffd_copy" UffdCopy since [Release::v(4, 3)] {
        /// The process whose pages are registered.
        required "process" process: OldProcess,
        /// The page, by the names of that process.
        required "to" to: PlaceElsewhere,
        /// The value.
        required "value" value: Word,
        /// Whether who waits for it is left to `uffd_wake`.
        or (false) "dontwake" dontwake: Bool,
    }
}

operation! {
    /// Puts the zero page where a page is missing, and wakes who waits for it: `UFFDIO_ZEROPAGE`.
    "uffd_zeropage" UffdZeropage since [Release::v(4, 3)] {
        /// The process whose pages are registered.
        required "process" process: OldProcess,
        /// The page, by the names of that process.
        required "to" to: PlaceElsewhere,
        /// Whether who waits for it is left to `uffd_wake`.
        or (false) "dontwake" dontwake: Bool,
    }
}

operation! {
    /// Maps the page that the file has where none is mapped, and wakes who waits for it: `UFFDIO_CONTINUE`.
    "uffd_continue" UffdContinue since [Release::v(5, 14)] {
        /// The process whose pages are registered.
        required "process" process: OldProcess,
        /// The page, by the names of that process.
        required "at" at: PlaceElsewhere,
        /// Whether who waits for it is left to `uffd_wake`.
        or (false) "dontwake" dontwake: Bool,
    }
}

operation! {
    /// From now on, writes to a page wait for user code; or they pass again, and who waits is woken: `UFFDIO_WRITEPROTECT`.
    "uffd_writeprotect" UffdWriteprotect since [Release::v(5, 7)] {
        /// The process whose pages are registered.
        required "process" process: OldProcess,
        /// The page, by the names of that process.
        required "at" at: PlaceElsewhere,
        /// Whether they wait; they pass if not.
        or (true) "protect" protect: Bool,
        /// Whether who waits is left to `uffd_wake`, although writes pass again.
        or (false) "dontwake" dontwake: Bool,
    }
}

operation! {
    /// Maps the pages of private memory that are at one place at another one, where none is, and wakes who waits for them there:
    /// `UFFDIO_MOVE`. Nothing is copied, and nothing is at the old place afterwards. If only some of the pages could be moved then it
    /// returns `-EAGAIN`.
    "uffd_move" UffdMove since [Release::v(6, 8)] {
        /// The process whose pages are registered.
        required "process" process: OldProcess,
        /// The first page of the new place, by the names of that process. Only this place has to be registered.
        required "to" to: PlaceElsewhere,
        /// The first page of the old place, by the names of that process.
        required "from" from: PlaceElsewhere,
        /// How many; one if not given.
        optional "pages" pages: RangePages,
        /// Whether pages that are not there are passed over. They count as moved.
        or (false) "holes" holes: Bool,
        /// Whether who waits for them is left to `uffd_wake`.
        or (false) "dontwake" dontwake: Bool,
        /// What checks call the number of pages that were moved.
        optional "as" name: NewValue,
    }
}

operation! {
    /// Wakes who waits for pages, whatever is mapped there: `UFFDIO_WAKE`. Their accesses are made again.
    "uffd_wake" UffdWake since [Release::v(4, 3)] {
        /// The process whose pages are registered.
        required "process" process: OldProcess,
        /// The first page, by the names of that process.
        required "at" at: PlaceElsewhere,
        /// How many; one if not given.
        optional "pages" pages: RangePages,
    }
}

impl Range for UffdRegister {
    fn range(&self) -> (&Place, Option<u64>) {
        (&self.at, self.pages)
    }
}

impl fmt::Display for UffdRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modes: Vec<&str> = self.modes.iter().map(|mode| name_of(*mode)).collect();
        write!(f, "userfaultfd: register {}, {}", self.range_text(), modes.join(" and "))
    }
}

impl fmt::Display for UffdRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "userfaultfd of {}: read a fault{}", self.process, as_text(self.name.as_ref()))
    }
}

impl fmt::Display for UffdCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "userfaultfd of {}: copy {} to {}{}", self.process, self.value, self.to, later(self.dontwake))
    }
}

impl fmt::Display for UffdZeropage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "userfaultfd of {}: the zero page to {}{}", self.process, self.to, later(self.dontwake))
    }
}

impl fmt::Display for UffdContinue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "userfaultfd of {}: go on at {}{}", self.process, self.at, later(self.dontwake))
    }
}

impl fmt::Display for UffdWriteprotect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.protect { "write-protect" } else { "let writes pass at" };
        write!(f, "userfaultfd of {}: {verb} {}{}", self.process, self.at, later(self.dontwake))
    }
}

impl fmt::Display for UffdMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages.map_or_else(String::new, |pages| format!(", {}", pages_text(pages)));
        let holes = if self.holes { ", with holes" } else { "" };
        write!(f, "userfaultfd of {}: move {} to {}{pages}{holes}", self.process, self.from, self.to)?;
        write!(f, "{}{}", later(self.dontwake), as_text(self.name.as_ref()))
    }
}

impl fmt::Display for UffdWake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.pages.map_or_else(String::new, |pages| format!(", {}", pages_text(pages)));
        write!(f, "userfaultfd of {}: wake who waits at {}{pages}", self.process, self.at)
    }
}

/// What a line says of a call that wakes nobody.
fn later(dontwake: bool) -> &'static str {
    if dontwake { ", waking nobody" } else { "" }
}

fn wake(dontwake: bool) -> Wake {
    if dontwake { Wake::Later } else { Wake::AtOnce }
}

impl Operation for UffdRegister {
    fn routine(&self) -> Option<&'static str> {
        Some("userfaultfd_register")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let range = task.range(&self.at, self.pages)?;
            let modes = self.modes.iter().copied().collect();
            userfaultfd_register(task.cpu, range.start, range.end, modes).await?;
            Ok(0)
        })
    }
}

impl Operation for UffdRead {
    fn routine(&self) -> Option<&'static str> {
        Some("userfaultfd_read")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let address = task.with_mm(&self.process, async |mm| userfaultfd_read(task.cpu, mm).await).await?;
            task.keep(self.name.as_deref(), address.0);
            Ok(address.0.cast_signed())
        })
    }
}

/// Fills a page of a process that is missing.
async fn fill(task: Task<'_>, process: &str, place: &Place, fill: Fill, wake: Wake) -> Result<i64, Errno> {
    task.with_page(process, place, async |mm, va| mfill_atomic(task.cpu, mm, va, fill, wake).await).await?;
    Ok(0)
}

impl Operation for UffdCopy {
    fn routine(&self) -> Option<&'static str> {
        Some("mfill_atomic")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(fill(task, &self.process, &self.to, Fill::Copy(self.value), wake(self.dontwake)))
    }
}

impl Operation for UffdZeropage {
    fn routine(&self) -> Option<&'static str> {
        Some("mfill_atomic")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(fill(task, &self.process, &self.to, Fill::Zeropage, wake(self.dontwake)))
    }
}

impl Operation for UffdContinue {
    fn routine(&self) -> Option<&'static str> {
        Some("mfill_atomic")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(fill(task, &self.process, &self.at, Fill::Continue, wake(self.dontwake)))
    }
}

impl Operation for UffdWriteprotect {
    fn routine(&self) -> Option<&'static str> {
        Some("mwriteprotect_range")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let write = async |mm, va: VirtAddr| {
                mwriteprotect_range(task.cpu, mm, va, va.plus_pages(1), self.protect, wake(self.dontwake)).await
            };
            task.with_page(&self.process, &self.at, write).await?;
            Ok(0)
        })
    }
}

impl Operation for UffdMove {
    fn routine(&self) -> Option<&'static str> {
        Some("move_pages")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let pages = self.pages.unwrap_or(1);
            let from = task.address_in(&self.process, &self.from)?;
            let move_pages = async |mm, to: VirtAddr| {
                Ok(userfaultfd_move(task.cpu, mm, (to, from, pages), self.holes, wake(self.dontwake)).await)
            };
            let (done, moved) = task.with_page(&self.process, &self.to, move_pages).await?;
            task.keep(self.name.as_deref(), moved);
            done?;
            Ok(0)
        })
    }
}

impl Operation for UffdWake {
    fn routine(&self) -> Option<&'static str> {
        Some("userfaultfd_wake")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let pages = self.pages.unwrap_or(1);
            let wake =
                async |mm, va: VirtAddr| userfaultfd_wake(task.cpu, mm, va, va.plus_pages(pages)).await;
            task.with_page(&self.process, &self.at, wake).await?;
            Ok(0)
        })
    }
}
