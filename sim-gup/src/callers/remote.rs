//! Access to the memory of another process: `/proc/PID/mem` and `process_vm_readv()`.

use sim_core::{BoxFuture, Op, OpKind, Routine};
use sim_mm::{Cpu, Errno, MmStruct};
use sim_mmu::VirtAddr;

use super::device::touched;
use crate::flags::FollFlags;
use crate::get_user_pages::get_user_pages_remote;
use crate::get_user_pages_fast::get_remote_page_fast;
use crate::pages::{Pages, Pin, put_pin};
use crate::safeguards::GUP_CURRENT_MM;

/// What is done with a word, of another process or of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteOp {
    /// It is read.
    Read,
    /// It is written.
    Write(u64),
}

/// `access_remote_vm()` for `/proc/PID/mem`: the first word of a page, as the process itself could access it if its
/// mapping allowed it.
///
/// # Errors
/// `EIO`, if nothing is there that may be accessed so.
pub fn access_remote_vm<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    addr: VirtAddr,
    op: RemoteOp,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("access_remote_vm"));
        access(cpu, mm, addr, op, FollFlags::FORCE).await.map_err(|_| Errno::Eio)
    })
}

/// `get_mm_cmdline()`: `access_remote_vm()` for `/proc/PID/cmdline`. It reads memory without a file only (`FOLL_ANON`): the file could be one whose owner makes each read wait.
///
/// # Errors
/// `EIO`, if nothing is there that may be read so.
pub fn get_mm_cmdline<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, addr: VirtAddr) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("get_mm_cmdline"));
        access(cpu, mm, addr, RemoteOp::Read, FollFlags::ANON).await.map_err(|_| Errno::Eio)
    })
}

/// `process_vm_readv()`, `process_vm_writev()`: the first word of a page, as far as the mapping allows it.
///
/// # Errors
/// `EFAULT`, if it does not.
pub fn process_vm_rw<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    addr: VirtAddr,
    op: RemoteOp,
) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("process_vm_rw"));
        access(cpu, mm, addr, op, FollFlags::PIN | FollFlags::UNLOCKABLE).await.map_err(|_| Errno::Efault)
    })
}

async fn access<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    addr: VirtAddr,
    op: RemoteOp,
    mut flags: FollFlags,
) -> Result<u64, Errno> {
    flags.set(FollFlags::WRITE, op != RemoteOp::Read);
    if !cpu.has(GUP_CURRENT_MM)
        && let Some(pin) = Box::pin(get_remote_page_fast(cpu, mm, addr.page_base(), flags)).await
    {
        let value = copy_word(cpu, pin, op).await;
        put_pin(cpu, pin).await;
        return Ok(value);
    }
    let mut pages = Pages::default();
    let mmap_lock = cpu.down_read(mm.mmap_lock).await.into();
    let got = get_user_pages_remote(cpu, mm, mmap_lock, addr.page_base(), 1, &mut pages, flags);
    let (got, mut held) = got.await;
    got?;
    // process_vm_rw() copies without the lock, and access_remote_vm() with it.
    if flags.contains(FollFlags::UNLOCKABLE) {
        held = None;
    }
    let Some(pin) = pages.take().pop() else { return Err(Errno::Efault) };
    let value = copy_word(cpu, pin, op).await;
    put_pin(cpu, pin).await;
    drop(held);
    Ok(value)
}

/// `copy_from_user_page()`, `copy_to_user_page()`: by the kernel's own mapping of the page.
async fn copy_word(cpu: Cpu<'_>, pin: Pin, remote: RemoteOp) -> u64 {
    let kind = if remote == RemoteOp::Read { OpKind::Read } else { OpKind::Write };
    let op = Op::new(kind, cpu.mmu.phys.word(pin.page.0, 0));
    cpu.step(op, move |hw| match remote {
        RemoteOp::Read => {
            let value = hw.perform_load(&op);
            touched(cpu, pin, pin.mm, value, false);
            value
        }
        RemoteOp::Write(value) => {
            hw.perform_store(&op, value);
            touched(cpu, pin, pin.mm, value, true);
            value
        }
    })
    .await
}
