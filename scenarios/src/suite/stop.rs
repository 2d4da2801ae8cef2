//! Ends a suite before its last item.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends a suite before its last item, for a reason. The first reason counts.
#[derive(Debug, Default)]
pub struct Stop {
    requested: AtomicBool,
    why: OnceLock<String>,
}

impl Stop {
    /// Ends the suite. Items under way stop where they are.
    pub fn request(&self, why: &str) {
        self.why.get_or_init(|| why.to_owned());
        self.requested.store(true, Ordering::Release);
    }

    /// Whether the suite is to end.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    pub(super) fn flag(&self) -> &AtomicBool {
        &self.requested
    }

    pub(super) fn why(&self) -> String {
        self.why.get().cloned().unwrap_or_else(|| "interrupted".to_owned())
    }
}
