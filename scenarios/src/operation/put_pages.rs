//! `put_pages`: a caller gives back the pages that it pinned.

use std::fmt;

use sim_gup::put_pin;
use sim_mm::{set_page_dirty, set_page_dirty_lock, set_page_dirty_no_writeback};

use super::argument::OldPin;
use super::{Operation, Running, operation};
use crate::json::Bool;
use crate::stage::Task;

operation! {
    /// Drops the references of a pin, one by one: `put_page()`. Answers how many.
    "put_pages" PutPages {
        /// The pin.
        required "pin" pin: OldPin,
        /// Whether a device has written to the pages, so that each is made dirty before its reference is dropped
        /// (`set_page_dirty()`, as drivers do without the lock of the page); false if not given.
        optional "dirty" dirty: Bool,
        /// Whether each page is locked while it is made dirty (`set_page_dirty_lock()`), as `unpin_user_pages_dirty_lock()` does; false if not
        /// given. A page of a file that may be truncated meanwhile has to be locked.
        optional "lock" lock: Bool,
        /// Whether only the flag of each page is set (`SetPageDirty()`, as careless drivers do), so that no writeback finds a page of a file on the
        /// disk; false if not given.
        optional "flag_only" flag_only: Bool,
    }
}

impl fmt::Display for PutPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dirty = if self.dirty == Some(true) { ", which are dirty" } else { "" };
        write!(f, "put_page each of {}{dirty}", self.pin)
    }
}

impl Operation for PutPages {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let pins = task.pins(&self.pin);
            for pin in &pins {
                let _kernel = task.cpu.enter_kernel();
                if self.dirty == Some(true) && self.lock == Some(true) {
                    set_page_dirty_lock(task.cpu, pin.page).await;
                } else if self.dirty == Some(true) && self.flag_only == Some(true) {
                    set_page_dirty_no_writeback(task.cpu, pin.page).await;
                } else if self.dirty == Some(true) {
                    set_page_dirty(task.cpu, pin.page).await;
                }
                put_pin(task.cpu, *pin).await;
            }
            Ok(pins.len() as i64)
        })
    }
}
