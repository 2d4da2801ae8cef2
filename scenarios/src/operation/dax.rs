//! `open_dax`, `open_device` and `unbind_device`: files whose pages are the blocks of a device, and a device that is a file itself.

use std::fmt;

use sim_mm::{Release, sys_open_dax, sys_open_dev_dax, unbind_store};

use super::argument::{FilePage, NewFile, Word};
use super::{Operation, Running, operation, pages_text};
use crate::stage::Task;

operation! {
    /// Makes a file without a name on the device: its pages are blocks of the device, and are not copied to memory. Every process of the scenario has the
    /// descriptor, as if it had been forked afterwards. The machine must have a device (`"platform": { "dax": "4" }`), or it fails with ENODEV. What one PMD entry can map has blocks
    /// in a row. The other operations on files take such a file too. Its mappings are shared.
    "open_dax" OpenDax since [Release::v(4, 5)] {
        /// What operations call the file.
        required "as" name: NewFile,
        /// Its length in pages. Each of them has a block.
        required "pages" pages: FilePage,
        /// The first word of each page; 0 if not given.
        or (0) "holds" holds: Word,
    }
}

operation! {
    /// Opens a device that is mapped by itself (`/dev/dax0.0`): it has no file system, and its page `n` is frame `n` of the device. Every process of the scenario has the descriptor. The
    /// machine must have a device (`"platform": { "dax": "4" }`) that begins and ends where one PUD entry begins to map, or it fails with ENODEV. It fails with EBUSY if a file has a
    /// block of the device, or if the device is open already. Its mappings are shared. They begin and end where one PUD entry begins to map, and one entry maps as much. `read()` and its
    /// kin fail with EINVAL.
    "open_device" OpenDevice since [Release::v(4, 11)] {
        /// What operations call the device.
        required "as" name: NewFile,
        /// The first word of each page; 0 if not given.
        or (0) "holds" holds: Word,
    }
}

operation! {
    /// The driver lets go of the device: `/sys/bus/.../unbind`. The blocks are unmapped (v6.8; always, if the device is mapped by itself), who has a reference to the map of the device is waited for, and the
    /// descriptors of its pages go. Who comes to a block of a file afterwards gets SIGBUS or EIO.
    "unbind_device" UnbindDevice since [Release::v(4, 5)] {}
}

impl fmt::Display for OpenDax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "open_dax {}, {} of {}", self.name, pages_text(self.pages), self.holds)
    }
}

impl fmt::Display for OpenDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "open_device {}, with pages of {}", self.name, self.holds)
    }
}

impl fmt::Display for UnbindDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unbind_device")
    }
}

impl Operation for OpenDax {
    fn routine(&self) -> Option<&'static str> {
        Some("do_sys_open")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_open_dax(task.cpu, task.file(&self.name), self.pages, self.holds).await?;
            Ok(0)
        })
    }
}

impl Operation for OpenDevice {
    fn routine(&self) -> Option<&'static str> {
        Some("do_sys_open")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            sys_open_dev_dax(task.cpu, task.file(&self.name), self.holds).await?;
            Ok(0)
        })
    }
}

impl Operation for UnbindDevice {
    fn routine(&self) -> Option<&'static str> {
        Some("unbind_store")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move { unbind_store(task.cpu).await.map(|()| 0) })
    }
}
