//! The callers of GUP: devices, pipes, rings, guests, and code that reads or writes the memory of other processes.

mod coredump;
mod device;
mod futex;
mod held;
mod io_uring;
mod ksm;
mod kvm;
mod remote;
mod splice;

pub use coredump::get_dump_page;
pub use device::{device_read, device_write};
pub use futex::futex_wake_op;
pub use held::get_pages_under_lock;
pub use io_uring::{Ring, fixed_rw, register_buffer, unregister_buffer};
pub(crate) use ksm::break_ksm;
pub use kvm::kvm_vcpu_ioctl;
pub use remote::{RemoteOp, access_remote_vm, get_mm_cmdline, process_vm_rw};
pub use splice::{Pipe, pipe_read, vmsplice};
