//! `device_read` and `device_write`: a device uses pinned pages.

use std::fmt;

use sim_gup::callers;

use super::argument::{NewValue, OldPin, PageOfPin, Word};
use super::{Operation, Running, as_text, operation};
use crate::stage::Task;

operation! {
    /// A device reads the first word of a pinned page. Answers the word.
    "device_read" DeviceRead {
        /// The pin.
        required "pin" pin: OldPin,
        /// Which of its pages, counted from 0; the first if not given.
        or (0) "page" page: PageOfPin,
        /// The name of the value in checks.
        optional "as" name: NewValue,
    }
}

operation! {
    /// A device writes the first word of a pinned page.
    "device_write" DeviceWrite {
        /// The pin.
        required "pin" pin: OldPin,
        /// Which of its pages, counted from 0; the first if not given.
        or (0) "page" page: PageOfPin,
        /// The value.
        required "value" value: Word,
    }
}

impl fmt::Display for DeviceRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device reads page {} of {}{}", self.page, self.pin, as_text(self.name.as_ref()))
    }
}

impl fmt::Display for DeviceWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device writes {} to page {} of {}", self.value, self.page, self.pin)
    }
}

impl Operation for DeviceRead {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let pin = task.pinned(&self.pin, self.page)?;
            let value = callers::device_read(task.cpu, pin).await;
            task.keep(self.name.as_deref(), value);
            Ok(value.cast_signed())
        })
    }
}

impl Operation for DeviceWrite {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let pin = task.pinned(&self.pin, self.page)?;
            callers::device_write(task.cpu, pin, self.value).await;
            Ok(0)
        })
    }
}
