//! `gup_fast`, `gup_fast_only`, `gup` and their kin: a caller pins pages.

use std::fmt;

use sim_gup::callers::get_pages_under_lock;
use sim_gup::{
    __get_user_pages_fast, FollFlags, Pages, get_user_pages_fast, get_user_pages_unlocked, pin_user_pages,
    pin_user_pages_fast,
};
use sim_mm::Release;

use super::argument::{NewPin, AskedPages};
use super::{Operation, Running, operation, pages_text};
use crate::json::Bool;
use crate::stage::{Place, Task};

/// Declares an operation that pins pages, by the function of `mm/gup.c` that it calls.
///
/// The call answers how many pages its caller is told of, or an error.
macro_rules! gup {
    (
        #[doc = $about:literal]
        $tag:literal $operation:ident $(since [$since:expr])? $(with $longterm:ident)? $(tells $hwpoison:ident)? $(or $nowait:ident)? $(may $force:ident)?: $routine:literal,
        |$cpu:ident, $start:ident, $nr:ident, $flags:ident, $pages:ident| $call:expr
    ) => {
        operation! {
            #[doc = $about]
            $tag $operation $(since [$since])? {
                /// The first page.
                required "at" at: Place,
                /// How many pages; 1 if not given.
                or (1) "pages" pages: AskedPages,
                /// Whether the caller will write through the pin; `false` if not given.
                or (false) "write" write: Bool,
                $(
                    /// Whether the pages stay pinned for long (`FOLL_LONGTERM`), as for RDMA; `false` if not given. It is refused for a file on a device since
                    /// v4.15 (`get_user_pages_longterm()`). Such a pin for reading of a private mapping gets a page of its own, if it finds one of a file or the
                    /// zero page. That is so since v6.2.
                    or (false) "longterm" $longterm: Bool,
                )?
                $(
                    /// Whether the caller wants to know that the memory is broken (`FOLL_HWPOISON`), as KVM does; `false` if not given. Then the
                    /// operation fails with `EHWPOISON`, and otherwise with `EFAULT`.
                    or (false) "hwpoison" $hwpoison: Bool,
                )?
                $(
                    /// Whether a fault that would have to wait ends instead (`FOLL_NOWAIT`), as KVM asks for a guest that has something else to do; `false` if not
                    /// given. Then the call answers how many pages it got before.
                    or (false) "nowait" $nowait: Bool,
                )?
                $(
                    /// Whether the access is forced (`FOLL_FORCE`), as by drivers and debuggers: a page that the mapping forbids to write is copied first; `false` if not
                    /// given.
                    or (false) "force" $force: Bool,
                )?
                /// The name of the pin in other operations.
                required "as" name: NewPin,
            }
        }

        impl fmt::Display for $operation {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let access = if self.write { "to write" } else { "to read" };
                let pages = pages_text(self.pages);
                let long = if self.flags().contains(FollFlags::LONGTERM) { " for long" } else { "" };
                write!(f, "{} {}, {pages}, {access}{long}, as {}", $routine, self.at, self.name)
            }
        }

        impl $operation {
            fn flags(&self) -> FollFlags {
                let mut flags = FollFlags::empty();
                flags.set(FollFlags::WRITE, self.write);
                $(flags.set(FollFlags::LONGTERM, self.$longterm);)?
                $(flags.set(FollFlags::HWPOISON, self.$hwpoison);)?
                $(flags.set(FollFlags::NOWAIT, self.$nowait);)?
                $(flags.set(FollFlags::FORCE, self.$force);)?
                flags
            }
        }

        impl Operation for $operation {
            fn routine(&self) -> Option<&'static str> {
                Some($routine)
            }

            fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
                Box::pin(async move {
                    let ($cpu, $start) = (task.cpu, task.address(&self.at)?);
                    let ($nr, $flags, mut pages) = (self.pages, self.flags(), Pages::default());
                    let result = {
                        let $pages = &mut pages;
                        $call
                    };
                    // The caller knows only of the pages of which it is told. It has lost the rest.
                    let mut pins = pages.take();
                    pins.truncate(result.unwrap_or(0) as usize);
                    task.pin(&self.name, pins);
                    result.map(|nr| nr as i64)
                })
            }
        }
    };
}

gup! {
    #[doc = "Pins pages by `get_user_pages_fast()`: without a lock where it can, else under `mmap_lock`."]
    "gup_fast" GupFast since [Release::v26(27)]: "get_user_pages_fast",
    |cpu, start, nr, flags, pages| {
        get_user_pages_fast(cpu, start, nr, flags.contains(FollFlags::WRITE), pages).await
    }
}

gup! {
    #[doc = "Pins pages by `__get_user_pages_fast()`: without a lock, as many as can be had so."]
    "gup_fast_only" GupFastOnly since [Release::v26(31)]: "__get_user_pages_fast",
    |cpu, start, nr, flags, pages| {
        Ok(__get_user_pages_fast(cpu, start, nr, flags.contains(FollFlags::WRITE), pages).await)
    }
}

gup! {
    #[doc = "Pins pages by `get_user_pages_unlocked()`, which takes `mmap_lock` itself."]
    "gup" Gup with longterm tells hwpoison or nowait may force: "get_user_pages_unlocked",
    |cpu, start, nr, flags, pages| get_user_pages_unlocked(cpu, start, nr, pages, flags).await
}

gup! {
    #[doc = "Pins pages by `get_user_pages()`, of a caller that holds `mmap_lock` and needs it afterwards."]
    "gup_held" GupHeld: "get_user_pages",
    |cpu, start, nr, flags, pages| get_pages_under_lock(cpu, start, nr, pages, flags, false).await
}

gup! {
    #[doc = "Pins pages by `get_user_pages_locked()`, of a caller that holds `mmap_lock`. If GUP says that it never let go of the lock, the caller goes on with the mapping that it had found before."]
    "gup_locked" GupLocked since [Release::v(4, 0)]: "get_user_pages_locked",
    |cpu, start, nr, flags, pages| get_pages_under_lock(cpu, start, nr, pages, flags, true).await
}

gup! {
    #[doc = "Pins pages by `pin_user_pages_fast()`: like `gup_fast`, but the page is known to be pinned."]
    "pin_fast" PinFast since [Release::v(5, 6)] with longterm: "pin_user_pages_fast",
    |cpu, start, nr, flags, pages| pin_user_pages_fast(cpu, start, nr, flags, pages).await
}

gup! {
    #[doc = "Pins pages by `pin_user_pages()`: like `gup`, but the page is known to be pinned."]
    "pin" Pin since [Release::v(5, 6)] with longterm tells hwpoison: "pin_user_pages",
    |cpu, start, nr, flags, pages| pin_user_pages(cpu, start, nr, pages, flags).await
}
