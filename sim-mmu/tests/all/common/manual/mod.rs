//! The rules of the SDM on paging, as tables. They are written from its text, and apart from the code under test. They share
//! nothing with that code but plain numbers.

mod act;
mod cached;
mod rights;
mod state;
mod walk;

pub(crate) use act::{Act, Flush};
pub(crate) use cached::{Cached, Held};
pub(crate) use rights::{Asked, Key, code, key_of, may, rows};
pub(crate) use state::State;
pub(crate) use walk::{Obstacle, Page, Registers, Stand, Step, Walked, is_canonical, walk};

/// What an access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Read,
    Write,
    Fetch,
}

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    User,
    /// An explicit supervisor-mode access, and EFLAGS.AC.
    Explicit {
        ac: bool,
    },
    Implicit,
}

/// The result of an access.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It reaches this physical address.
    At(u64),
    /// #PF with this error code.
    Fault(u32),
    /// #GP(0).
    Protection,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::At(pa) => write!(f, "pa:{pa:x}"),
            Outcome::Fault(code) => write!(f, "pf:{code:x}"),
            Outcome::Protection => f.write_str("gp"),
        }
    }
}
