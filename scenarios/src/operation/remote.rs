//! `process_vm_read`, `process_vm_write`, `proc_mem_read` and `proc_mem_write`: the memory of another process.

use std::fmt;

use sim_gup::callers::{RemoteOp, access_remote_vm, process_vm_rw};

use super::argument::{NewValue, OldProcess, PlaceElsewhere, Word};
use super::{Operation, Running, as_text, operation};
use crate::stage::Task;

/// Declares the operations that read and write the memory of another process in one of several ways.
macro_rules! remote {
    (
        $access:path, $routine:literal;
        #[doc = $about_read:literal]
        $read_tag:literal $read:ident;
        #[doc = $about_write:literal]
        $write_tag:literal $write:ident;
    ) => {
        operation! {
            #[doc = $about_read]
            $read_tag $read {
                /// The process.
                required "process" process: OldProcess,
                /// The page, by the names of that process.
                required "from" from: PlaceElsewhere,
                /// The name of the value in checks.
                optional "as" name: NewValue,
            }
        }

        operation! {
            #[doc = $about_write]
            $write_tag $write {
                /// The process.
                required "process" process: OldProcess,
                /// The page, by the names of that process.
                required "to" to: PlaceElsewhere,
                /// The value.
                required "value" value: Word,
            }
        }

        impl fmt::Display for $read {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $read { process, from, name } = self;
                write!(f, "{} of {process}, read {from}{}", $routine, as_text(name.as_ref()))
            }
        }

        impl fmt::Display for $write {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $write { process, to, value } = self;
                write!(f, "{} of {process}, write {value} to {to}", $routine)
            }
        }

        impl Operation for $read {
            fn routine(&self) -> Option<&'static str> {
                Some($routine)
            }

            fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
                Box::pin(async move {
                    let read = async |mm, va| $access(task.cpu, mm, va, RemoteOp::Read).await;
                    let value = task.with_page(&self.process, &self.from, read).await?;
                    task.keep(self.name.as_deref(), value);
                    Ok(value.cast_signed())
                })
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

remote! {
    process_vm_rw, "process_vm_rw";
    #[doc = "Reads the first word of a page of another process, as its mapping allows it: `process_vm_readv()`."]
    "process_vm_read" ProcessVmRead;
    #[doc = "Writes the first word of a page of another process, as its mapping allows it: `process_vm_writev()`."]
    "process_vm_write" ProcessVmWrite;
}

remote! {
    access_remote_vm, "access_remote_vm";
    #[doc = "Reads the first word of a page of another process by `/proc/PID/mem`, whatever is allowed there now."]
    "proc_mem_read" ProcMemRead;
    #[doc = "Writes the first word of a page of another process by `/proc/PID/mem`: private memory that may not be written is copied first."]
    "proc_mem_write" ProcMemWrite;
}
