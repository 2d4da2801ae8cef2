//! How a command ends.

/// Why a command ends with another exit code than 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    AsExpected = 0,
    Violation = 1,
    Usage = 2,
    BadInput = 3,
    NothingRan = 4,
    Diverged = 5,
    Inconclusive = 6,
}

/// What went wrong, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn bad_input(error: impl std::fmt::Display) -> Failure {
        Failure { exit: Exit::BadInput, message: error.to_string() }
    }
}
