//! Who calls GUP: devices, and pipes.

mod device;
mod splice;

pub use device::{device_read, device_write};
pub use splice::{Pipe, pipe_read, vmsplice};
