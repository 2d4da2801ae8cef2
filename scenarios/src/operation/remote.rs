//! `process_vm_read`, `process_vm_write`, `proc_mem_read`, `proc_mem_write` and `proc_cmdline_read`: the memory of another process.

use std::fmt;

use sim_gup::callers::{RemoteOp, access_remote_vm, get_mm_cmdline, process_vm_rw};

use super::argument::{NewValue, OldProcess, PlaceElsewhere, Word};
use super::{Operation, Running, as_text, operation};
use crate::stage::Task;

/// Declares an operation that reads the memory of another process.
macro_rules! remote_read {
    (#[doc = $about:literal] $tag:literal $read:ident: $routine:literal, |$cpu:ident, $mm:ident, $va:ident| $call:expr) => {
        operation! {
            #[doc = $about]
            $tag $read {
                /// The process.
                required "process" process: OldProcess,
                /// The page, by the names of that process.
                required "from" from: PlaceElsewhere,
                /// The name of the value in checks.
                optional "as" name: NewValue,
            }
        }

        impl fmt::Display for $read {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $read { process, from, name } = self;
                write!(f, "{} of {process}, read {from}{}", $routine, as_text(name.as_ref()))
            }
        }

        impl Operation for $read {
            fn routine(&self) -> Option<&'static str> {
                Some($routine)
            }

            fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
                Box::pin(async move {
                    let $cpu = task.cpu;
                    let read = async |$mm, $va| $call.await;
                    let value = task.with_page(&self.process, &self.from, read).await?;
                    task.keep(self.name.as_deref(), value);
                    Ok(value.cast_signed())
                })
            }
        }
    };
}

/// Declares an operation that writes to the memory of another process.
macro_rules! remote_write {
    (#[doc = $about:literal] $tag:literal $write:ident: $routine:literal, $access:path) => {
        operation! {
            #[doc = $about]
            $tag $write {
                /// The process.
                required "process" process: OldProcess,
                /// The page, by the names of that process.
                required "to" to: PlaceElsewhere,
                /// The value.
                required "value" value: Word,
            }
        }

        impl fmt::Display for $write {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $write { process, to, value } = self;
                write!(f, "{} of {process}, write {value} to {to}", $routine)
            }
        }

        impl Operation for $write {
            fn routine(&self) -> Option<&'static str> {
                Some($routine)
            }

            fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
                Box::pin(async move {
                    let write = async |mm, va| $access(task.cpu, mm, va, RemoteOp::Write(self.value)).await;
                    task.with_page(&self.process, &self.to, write).await?;
                    Ok(0)
                })
            }
        }
    };
}

remote_read! {
    #[doc = "Reads the first word of a page of another process, as its mapping allows it: `process_vm_readv()`."]
    "process_vm_read" ProcessVmRead: "process_vm_rw", |cpu, mm, va| process_vm_rw(cpu, mm, va, RemoteOp::Read)
}

remote_write! {
    #[doc = "Writes the first word of a page of another process, as its mapping allows it: `process_vm_writev()`."]
    "process_vm_write" ProcessVmWrite: "process_vm_rw", process_vm_rw
}

remote_read! {
    #[doc = "Reads the first word of a page of another process by `/proc/PID/mem`, whatever is allowed there now."]
    "proc_mem_read" ProcMemRead: "access_remote_vm", |cpu, mm, va| access_remote_vm(cpu, mm, va, RemoteOp::Read)
}

remote_write! {
    #[doc = "Writes the first word of a page of another process by `/proc/PID/mem`: private memory that may not be written is copied first."]
    "proc_mem_write" ProcMemWrite: "access_remote_vm", access_remote_vm
}

remote_read! {
    #[doc = "Reads the first word of a page of another process by `/proc/PID/cmdline`, as if its arguments lay there. Since v4.17 that page must not be one of a file."]
    "proc_cmdline_read" ProcCmdlineRead: "get_mm_cmdline", |cpu, mm, va| get_mm_cmdline(cpu, mm, va)
}
