//! `drivers/dax/device.c`: a device that is mapped by itself. It is one file, without a file system: page `n` of it is frame `n` of the device. Its alignment is what one PUD entry maps
//! (1 GiB), so each of its mappings begins and ends at such an address, and each fault maps as much. Nobody reads or writes it but through mappings, and nothing takes a page
//! away from it but the end of the device.

use sim_core::{BoxFuture, Routine};
use sim_mmu::{Level, VirtAddr};

use crate::check;
use crate::dax::{dax_alive, fill_dax_blocks, give_blocks_up};
use crate::errno::Errno;
use crate::fs::{FMode, Inode};
use crate::inode::{get_file, is_dev_dax};
use crate::kernel::Cpu;
use crate::memfd::{Memfd, install_new};
use crate::mm_types::Vma;
use crate::release::Release;
use crate::safeguards::DEV_DAX_MAY_SPLIT;
use crate::settings::{DaxMixedMap, DaxPages};
use crate::shmem::{shmem_file_setup, shmem_put};
use crate::vm_flags::VmFlags;

/// `open()` of the device. The first word of each of its pages holds `value`. The descriptor and the device each have a reference to the file, so it is there as long as the device is.
///
/// # Errors
/// `ENODEV` on a machine without a device, if it is gone, or if what one PUD entry maps does not fit into it; `EBUSY` if the descriptor is open already, if a file system or another
/// descriptor has the device; `ENOMEM` if the machine has no room for one more file.
pub fn sys_open_dev_dax<'m>(cpu: Cpu<'m>, fd: &'m Memfd, value: u64) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("do_sys_open"));
        if !cpu.kernel.has_device() || dax_alive(cpu).await.is_err() {
            return Err(Errno::Enodev);
        }
        if cpu.setting::<DaxPages>() == DaxPages::Counted {
            cpu.not_modelled("a device that is mapped by itself, since v6.15");
            return Err(Errno::Enodev);
        }
        let frames = cpu.kernel.pgmap.frames.clone();
        // alloc_dax_region()
        if !frames.start.is_multiple_of(align(cpu)) || !frames.end.is_multiple_of(align(cpu)) {
            return Err(Errno::Enodev);
        }
        let pages = frames.end - frames.start;
        install_new(cpu, fd, FMode::ReadWrite, || {
            let inode = shmem_file_setup(cpu, pages)?;
            if fill_dax_blocks(cpu, inode, pages, value).is_err() {
                cpu.kernel.shmem.inodes.free(cpu.core, inode);
                return Err(Errno::Ebusy);
            }
            let words = cpu.kernel.shmem.inodes.deref(**cpu, inode);
            cpu.this_cpu_write(words.dax(), true);
            cpu.this_cpu_write(words.dev_dax(), true);
            get_file(cpu, inode);
            Ok(inode)
        })
        .await
    })
}

/// `dev_dax->align`, in pages.
pub(crate) fn align(cpu: Cpu<'_>) -> u64 {
    1 << cpu.mmu.geometry.order(Level::Pud)
}

/// Whether an address is where a mapping of the device may begin or end.
fn is_aligned(cpu: Cpu<'_>, addr: VirtAddr) -> bool {
    addr.vpn().0.is_multiple_of(align(cpu))
}

/// `check_vma()`: a mapping of the device is shared, and begins and ends where one PUD entry begins to map.
///
/// # Errors
/// `EINVAL`, if it is not so.
pub(crate) fn check_vma(cpu: Cpu<'_>, flags: VmFlags, (start, end): (VirtAddr, VirtAddr)) -> Result<(), Errno> {
    let is_right = flags.contains(VmFlags::MAYSHARE) && is_aligned(cpu, start) && is_aligned(cpu, end);
    if is_right { Ok(()) } else { Err(Errno::Einval) }
}

/// `dax_mmap()`: the flags that a mapping of the device gets besides.
pub(crate) fn dev_dax_vm_flags(cpu: Cpu<'_>) -> VmFlags {
    match cpu.setting::<DaxMixedMap>() {
        DaxMixedMap::Mixed => VmFlags::MIXEDMAP | VmFlags::HUGEPAGE,
        DaxMixedMap::Normal => VmFlags::HUGEPAGE,
    }
}

/// `dev_dax_may_split()`: whether a mapping of the device may become two at an address. Other mappings may.
///
/// # Errors
/// `EINVAL`, if the entry at the address would lie in both.
pub(crate) fn dev_dax_may_split(cpu: Cpu<'_>, vma: Vma, addr: VirtAddr) -> Result<(), Errno> {
    let is_device = cpu.kernel.has_device() && vma.file(cpu).is_some_and(|file| is_dev_dax(cpu, file));
    if is_device && check!(cpu, DEV_DAX_MAY_SPLIT, !is_aligned(cpu, addr)) {
        return Err(Errno::Einval);
    }
    Ok(())
}

/// What `move_vma()` asks before it moves a part of a mapping: the rest must be able to stay.
///
/// # Errors
/// As [`dev_dax_may_split`].
pub(crate) fn may_move_part(cpu: Cpu<'_>, vma: Vma, (start, end): (VirtAddr, VirtAddr)) -> Result<(), Errno> {
    let mut cuts = [start, end].into_iter().filter(|cut| vma.start(cpu) < *cut && *cut < vma.end(cpu));
    let asked = cuts.try_for_each(|cut| dev_dax_may_split(cpu, vma, cut));
    // Before v5.11 (73d5e0629919) the part was moved, and was left where it was as well.
    if asked.is_err() && cpu.kernel.config.kernel.version < Release::v(5, 11) {
        cpu.not_modelled("mremap() of a part of a mapping that cannot be cut");
    }
    asked
}

/// The device that is bound as one file, if it is, and has been opened. It is a part of the step of the caller.
pub(crate) fn dev_dax(cpu: Cpu<'_>) -> Option<Inode> {
    let files = cpu.kernel.pgmap.files_with_blocks().into_iter();
    let mut files = files.filter_map(|slot| cpu.kernel.shmem.inodes.current(cpu.core, slot));
    files.find(|file| is_dev_dax(cpu, *file))
}

/// `dev_dax_release()`: the file has no pages any more, and the device lets go of the file.
pub(crate) async fn dev_dax_release(cpu: Cpu<'_>, inode: Inode) {
    let _routine = cpu.enter("dev_dax_release");
    give_blocks_up(cpu, inode, 0, u64::MAX).await;
    shmem_put(cpu, inode).await;
}
