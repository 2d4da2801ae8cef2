//! `put_pages`: a caller gives back the pages that it pinned.

use std::fmt;

use sim_gup::put_pin;

use super::argument::OldPin;
use super::{Operation, Running, operation};
use crate::stage::Task;

operation! {
    /// Drops the references of a pin, one by one: `put_page()`. Answers how many.
    "put_pages" PutPages {
        /// The pin.
        required "pin" pin: OldPin,
    }
}

impl fmt::Display for PutPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "put_page each of {}", self.pin)
    }
}

impl Operation for PutPages {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let pins = task.pins(&self.pin);
            for pin in &pins {
                let _kernel = task.cpu.enter_kernel();
                put_pin(task.cpu, *pin).await;
            }
            Ok(pins.len() as i64)
        })
    }
}
