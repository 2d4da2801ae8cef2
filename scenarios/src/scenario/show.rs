//! Operations as a person reads them.

use std::fmt;

use super::{GupCall, Op, Place, What};

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Mapping { name, page: 0 } => f.write_str(name),
            Place::Mapping { name, page } => write!(f, "{name}+{page}"),
            Place::Address(va) => write!(f, "{va}"),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)
    }
}

/// `1 page`, `3 pages`.
fn count(pages: u64) -> String {
    if pages == 1 { "1 page".to_owned() } else { format!("{pages} pages") }
}

fn all_or(pages: Option<u64>) -> String {
    pages.map_or_else(|| "to its end".to_owned(), count)
}

fn into(name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!(" as {name}"))
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Mmap { name, pages, writable, at } => {
                write!(f, "mmap {} {} as {name}", count(*pages), if *writable { "rw" } else { "r" })?;
                at.map_or(Ok(()), |at| write!(f, " at {at}"))
            }
            What::Munmap { at, pages } => write!(f, "munmap {at}, {}", all_or(*pages)),
            What::Write { to, value } => write!(f, "write {value} to {to}"),
            What::Read { from, name } => write!(f, "read {from}{}", into(name.as_ref())),
            What::Madvise { at, pages, .. } => write!(f, "madvise {at}, {}, MADV_DONTNEED", all_or(*pages)),
            What::Fork { name } => write!(f, "fork as {name}"),
            What::Exit => f.write_str("exit"),
            What::Gup { call, at, pages, write, name } => {
                let routine = match call {
                    GupCall::Fast => "get_user_pages_fast",
                    GupCall::FastOnly => "__get_user_pages_fast",
                    GupCall::Unlocked => "get_user_pages_unlocked",
                };
                let access = if *write { "to write" } else { "to read" };
                write!(f, "{routine} {at}, {}, {access}, as {name}", count(*pages))
            }
            What::PutPages { pin } => write!(f, "put_page each of {pin}"),
            What::DeviceRead { pin, page, name } => {
                write!(f, "device reads page {page} of {pin}{}", into(name.as_ref()))
            }
            What::DeviceWrite { pin, page, value } => write!(f, "device writes {value} to page {page} of {pin}"),
            What::Vmsplice { from, pages, pipe } => write!(f, "vmsplice {from}, {}, into {pipe}", count(*pages)),
            What::PipeRead { pipe, pages, name } => {
                write!(f, "read {} from {pipe}{}", count(*pages), into(name.as_ref()))
            }
        }
    }
}
