//! What a mapping allows GUP: `check_vma_flags()`.

use sim_mm::{
    Cpu, Errno, MmStruct, VmFlags, Vma, arch_vma_access_permitted, check, vma_is_fsdax, vma_is_secretmem,
};

use crate::flags::FollFlags;
use crate::safeguards::{
    CHECK_VMA_ANON, CHECK_VMA_COW, CHECK_VMA_HUGETLB_FORCE, CHECK_VMA_PFNMAP, CHECK_VMA_PKEY, CHECK_VMA_READ,
    CHECK_VMA_SECRETMEM, CHECK_VMA_WRITE, LONGTERM_FILE_WRITE, LONGTERM_FSDAX,
};
use crate::settings::LongtermCheck;

/// Whether a page of the mapping must not be pinned for long, because its file system could not take the block back.
pub(crate) fn refuses_fsdax(cpu: Cpu<'_>, vma: Vma) -> bool {
    check!(cpu, LONGTERM_FSDAX, vma_is_fsdax(cpu, vma))
}

/// `check_vma_flags()`: whether the flags of the mapping allow the access. The mapping is asked, and not only its entries: a page that is not there
/// yet has none.
///
/// # Errors
/// `EFAULT`, and `EOPNOTSUPP` for a pin for long of a file on a device.
pub(crate) fn check_vma_flags(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, gup_flags: FollFlags) -> Result<(), Errno> {
    let vm_flags = vma.flags(cpu);
    // Nobody counts references to what is behind such a mapping.
    if check!(cpu, CHECK_VMA_PFNMAP, vm_flags.intersects(VmFlags::IO | VmFlags::PFNMAP)) {
        return Err(Errno::Efault);
    }
    let anon = gup_flags.contains(FollFlags::ANON);
    if check!(cpu, CHECK_VMA_ANON, anon && !vma.is_anonymous(cpu)) {
        return Err(Errno::Efault);
    }
    let asks = gup_flags.contains(FollFlags::LONGTERM) && cpu.setting::<LongtermCheck>() == LongtermCheck::First;
    if asks && refuses_fsdax(cpu, vma) {
        return Err(Errno::Eopnotsupp);
    }
    if check!(cpu, CHECK_VMA_SECRETMEM, vma_is_secretmem(cpu, vma)) {
        return Err(Errno::Efault);
    }
    let write = gup_flags.contains(FollFlags::WRITE);
    let access = if write { check_write(cpu, vm_flags, gup_flags) } else { check_read(cpu, vm_flags, gup_flags) };
    access?;
    let foreign = gup_flags.contains(FollFlags::REMOTE);
    if check!(cpu, CHECK_VMA_PKEY, !arch_vma_access_permitted(cpu, mm.id, vm_flags, write, foreign)) {
        return Err(Errno::Efault);
    }
    Ok(())
}

/// The part of `check_vma_flags()` for a write.
fn check_write(cpu: Cpu<'_>, vm_flags: VmFlags, gup_flags: FollFlags) -> Result<(), Errno> {
    // writable_file_mapping_allowed()
    let longterm = gup_flags.contains(FollFlags::LONGTERM);
    if check!(cpu, LONGTERM_FILE_WRITE, longterm && vm_flags.contains(VmFlags::DIRTY_TRACKING)) {
        return Err(Errno::Efault);
    }
    if vm_flags.contains(VmFlags::WRITE) {
        return Ok(());
    }
    if check!(cpu, CHECK_VMA_WRITE, !gup_flags.contains(FollFlags::FORCE)) {
        return Err(Errno::Efault);
    }
    if check!(cpu, CHECK_VMA_HUGETLB_FORCE, vm_flags.contains(VmFlags::HUGETLB)) {
        return Err(Errno::Efault);
    }
    // A forced write makes a private copy. A shared mapping has none, and the write would go to the file.
    if check!(cpu, CHECK_VMA_COW, !vm_flags.is_cow_mapping()) {
        return Err(Errno::Efault);
    }
    Ok(())
}

/// The part of `check_vma_flags()` for a read. A forced read may see what `mprotect()` could make readable.
fn check_read(cpu: Cpu<'_>, vm_flags: VmFlags, gup_flags: FollFlags) -> Result<(), Errno> {
    let may = gup_flags.contains(FollFlags::FORCE) && vm_flags.contains(VmFlags::MAYREAD);
    if check!(cpu, CHECK_VMA_READ, !vm_flags.contains(VmFlags::READ) && !may) {
        return Err(Errno::Efault);
    }
    Ok(())
}
