//! `kernel-bug`: a `BUG_ON()` or `WARN_ON()` of the kernel fires, or the kernel oopses.
//!
//! Not checked: assertions of routines that are not modelled.

use super::{Finding, Site, Violation};

/// The kernel says that this must not be.
pub(super) fn said(what: &'static str, site: &Site) -> Finding {
    Finding { violation: Violation::KernelStops { what }, site: site.clone(), other: None }
}
