//! `gup_fast`, `gup_fast_only` and `gup`: a caller pins pages.

use std::fmt;

use sim_gup::{
    __get_user_pages_fast, FollFlags, Pages, get_user_pages_fast, get_user_pages_unlocked, pin_user_pages,
    pin_user_pages_fast,
};
use sim_mm::Release;

use super::argument::{NewPin, PinnedPages};
use super::{Operation, Running, operation, pages_text};
use crate::json::Bool;
use crate::stage::{Place, Task};

/// Declares an operation that pins pages, by the function of `mm/gup.c` that it calls.
///
/// The call answers how many pages its caller is told of, or an error.
macro_rules! gup {
    (
        #[doc = $about:literal]
        $tag:literal $operation:ident $(since [$since:expr])?: $routine:literal,
        |$cpu:ident, $start:ident, $nr:ident, $write:ident, $pages:ident| $call:expr
    ) => {
        operation! {
            #[doc = $about]
            $tag $operation $(since [$since])? {
                /// The first page.
                required "at" at: Place,
                /// How many pages; 1 if not given.
                or (1) "pages" pages: PinnedPages,
                /// Whether the caller will write through the pin; `false` if not given.
                or (false) "write" write: Bool,
                /// The name of the pin in other operations.
                required "as" name: NewPin,
            }
        }

        impl fmt::Display for $operation {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let access = if self.write { "to write" } else { "to read" };
                let pages = pages_text(self.pages);
                write!(f, "{} {}, {pages}, {access}, as {}", $routine, self.at, self.name)
            }
        }

        impl Operation for $operation {
            fn routine(&self) -> Option<&'static str> {
                Some($routine)
            }

            fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
                Box::pin(async move {
                    let ($cpu, $start) = (task.cpu, task.address(&self.at)?);
                    let ($nr, $write, mut pages) = (self.pages, self.write, Pages::default());
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
    |cpu, start, nr, write, pages| get_user_pages_fast(cpu, start, nr, write, pages).await
}

gup! {
    #[doc = "Pins pages by `__get_user_pages_fast()`: without a lock, as many as can be had so."]
    "gup_fast_only" GupFastOnly since [Release::v26(31)]: "__get_user_pages_fast",
    |cpu, start, nr, write, pages| Ok(__get_user_pages_fast(cpu, start, nr, write, pages).await)
}

gup! {
    #[doc = "Pins pages by `get_user_pages_unlocked()`, which takes `mmap_lock` itself."]
    "gup" Gup: "get_user_pages_unlocked",
    |cpu, start, nr, write, pages| {
        let flags = if write { FollFlags::WRITE } else { FollFlags::empty() };
        get_user_pages_unlocked(cpu, start, nr, pages, flags).await
    }
}

gup! {
    #[doc = "Pins pages by `pin_user_pages_fast()`: like `gup_fast`, but the page is known to be pinned."]
    "pin_fast" PinFast since [Release::v(5, 6)]: "pin_user_pages_fast",
    |cpu, start, nr, write, pages| {
        let flags = if write { FollFlags::WRITE } else { FollFlags::empty() };
        pin_user_pages_fast(cpu, start, nr, flags, pages).await
    }
}

gup! {
    #[doc = "Pins pages by `pin_user_pages()`: like `gup`, but the page is known to be pinned."]
    "pin" Pin since [Release::v(5, 6)]: "pin_user_pages",
    |cpu, start, nr, write, pages| {
        let flags = if write { FollFlags::WRITE } else { FollFlags::empty() };
        pin_user_pages(cpu, start, nr, pages, flags).await
    }
}
