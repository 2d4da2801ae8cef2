//! Parts of the documentation of scenario files.

use crate::json::ObjectFacts;

/// An object of a scenario file, as the documentation describes it.
pub(super) struct Section {
    /// Its heading.
    pub(super) title: &'static str,
    /// What is known of it.
    pub(super) facts: ObjectFacts,
}
