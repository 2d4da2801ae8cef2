//! `driver_mmap` and `driver_release`: memory of a driver that user code maps.

use std::fmt;

use sim_mm::{driver_mmap, driver_release};

use super::argument::{MappedDriver, NewMapping, OldDriver, RangePages};
use super::{Operation, Running, operation, pages_text};
use crate::json::Bool;
use crate::stage::Task;

operation! {
    /// Maps memory of a driver, shared and writable: `mmap()` of its file. The frames have no reference count
    /// (`VM_PFNMAP`). The driver alone decides when they are freed.
    "driver_mmap" DriverMmap {
        /// The name of the mapping in other operations.
        required "as" name: NewMapping,
        /// Its length.
        required "pages" pages: RangePages,
        /// The driver.
        required "driver" driver: MappedDriver,
        /// Whether the mapping may also have pages with a reference count (`VM_MIXEDMAP` instead of `VM_PFNMAP`); false if not given. Then the entries alone say that there is none.
        optional "mixed" mixed: Bool,
    }
}

operation! {
    /// A driver takes its memory back: it unmaps it wherever it is mapped (`unmap_mapping_range()`), and frees it.
    "driver_release" DriverRelease {
        /// The driver.
        required "driver" driver: OldDriver,
    }
}

impl fmt::Display for DriverMmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mixed = if self.mixed == Some(true) { ", VM_MIXEDMAP" } else { "" };
        write!(f, "mmap {} of {}{mixed} as {}", pages_text(self.pages), self.driver, self.name)
    }
}

impl fmt::Display for DriverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} takes its memory back", self.driver)
    }
}

impl Operation for DriverMmap {
    fn routine(&self) -> Option<&'static str> {
        Some("driver_mmap")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let start = driver_mmap(task.cpu, task.driver(&self.driver), self.pages, self.mixed == Some(true)).await?;
            task.map(&self.name, start, self.pages);
            Ok(0)
        })
    }
}

impl Operation for DriverRelease {
    fn routine(&self) -> Option<&'static str> {
        Some("driver_release")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            driver_release(task.cpu, task.driver(&self.driver)).await?;
            Ok(0)
        })
    }
}
