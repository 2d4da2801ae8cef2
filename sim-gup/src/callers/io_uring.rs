//! Fixed buffers of io_uring: pages that stay pinned until the buffer is given up.

use sim_core::{BoxFuture, MemoryBuilder, Object, Routine};
use sim_mm::{Cpu, Errno, Page};
use sim_mmu::VirtAddr;

use super::device::{device_read, device_write};
use super::remote::RemoteOp;
use crate::flags::FollFlags;
use crate::get_user_pages::pin_user_pages;
use crate::pages::{Pages, Pin, put_pin};

/// A ring with room for one fixed buffer.
#[derive(Debug)]
pub struct Ring {
    buffer: Object<Option<Vec<Pin>>>,
}

impl Ring {
    /// A ring without a buffer.
    pub fn new(memory: &mut MemoryBuilder, name: &str) -> Ring {
        Ring { buffer: Object::new(memory, format!("io_uring.{name}"), None) }
    }

    /// The pins of its buffer on a page. Not an access: for those who look at the machine between two runs.
    pub fn pins(&self, page: Page) -> u64 {
        let buffer = self.buffer.peek();
        buffer.iter().flatten().filter(|pin| pin.page == page).count() as u64
    }
}

/// `IORING_REGISTER_BUFFERS`: pins all pages of the buffer for writing, for long.
///
/// # Errors
/// `EBUSY` if the ring has a buffer, `EFAULT` if not every page can be pinned.
pub fn register_buffer<'m>(
    cpu: Cpu<'m>,
    ring: &'m Ring,
    start: VirtAddr,
    nr_pages: u64,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("io_sqe_buffer_register"));
        if cpu.read(&ring.buffer, Option::is_some).await {
            return Err(Errno::Ebusy);
        }
        let mut pages = Pages::default();
        let flags = FollFlags::WRITE | FollFlags::LONGTERM;
        let got = pin_user_pages(cpu, start, nr_pages, &mut pages, flags).await;
        let pins = pages.take();
        if got != Ok(nr_pages) {
            for pin in pins {
                put_pin(cpu, pin).await;
            }
            return Err(got.err().unwrap_or(Errno::Efault));
        }
        cpu.update(&ring.buffer, |buffer| *buffer = Some(pins.clone())).await;
        Ok(())
    })
}

/// `IORING_UNREGISTER_BUFFERS`.
///
/// # Errors
/// `ENXIO` if the ring has no buffer.
pub fn unregister_buffer<'m>(cpu: Cpu<'m>, ring: &'m Ring) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("io_sqe_buffers_unregister"));
        let pins = cpu.update(&ring.buffer, Option::take).await.ok_or(Errno::Enxio)?;
        for pin in pins {
            put_pin(cpu, pin).await;
        }
        Ok(())
    })
}

/// `READ_FIXED`, `WRITE_FIXED`: reads or writes the first word of a page through the pin that the buffer has on it.
///
/// # Errors
/// `EFAULT` if the address is in no buffer.
pub fn fixed_rw<'m>(
    cpu: Cpu<'m>,
    ring: &'m Ring,
    addr: VirtAddr,
    op: RemoteOp,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("io_import_fixed"));
        let at =
            |buffer: &Option<Vec<Pin>>| buffer.iter().flatten().find(|pin| pin.va.vpn() == addr.vpn()).copied();
        let pin = cpu.read(&ring.buffer, at).await.ok_or(Errno::Efault)?;
        match op {
            RemoteOp::Read => Ok(device_read(cpu, pin).await),
            RemoteOp::Write(value) => {
                device_write(cpu, pin, value).await;
                Ok(value)
            }
        }
    })
}
