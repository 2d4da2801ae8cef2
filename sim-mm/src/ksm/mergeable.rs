//! Which mappings say that equal pages of theirs may be merged.

use crate::kernel::Cpu;
use crate::mm_types::MmStruct;
use crate::settings::KsmFlag;
use crate::vm_flags::VmFlags;

/// `vma_ksm_compatible()`: private memory with pages of its own.
pub(crate) fn is_compatible(flags: VmFlags) -> bool {
    !flags.intersects(VmFlags::SHARED | VmFlags::MAYSHARE | VmFlags::SPECIAL | VmFlags::HUGETLB)
}

/// `ksm_vma_flags()`: the flags with which a new mapping looks for neighbours to join, and those that it has if it finds none. The
/// caller holds `mmap_lock`.
pub(crate) fn ksm_vma_flags(cpu: Cpu<'_>, mm: &MmStruct, flags: VmFlags) -> (VmFlags, VmFlags) {
    if !cpu.this_cpu_read(mm.merge_any()) || !is_compatible(flags) {
        return (flags, flags);
    }
    let marked = flags | VmFlags::MERGEABLE;
    // Until v6.17 ksm_add_vma() marks the mapping when it is there.
    let joins_with = if cpu.setting::<KsmFlag>() == KsmFlag::Early { marked } else { flags };
    (joins_with, marked)
}

/// `ksm_fork()`: a child's new mappings may be merged if its parent's may.
pub(crate) fn ksm_fork(cpu: Cpu<'_>, mm: &MmStruct, oldmm: &MmStruct) {
    if cpu.this_cpu_read(oldmm.merge_any()) {
        cpu.this_cpu_write(mm.merge_any(), true);
    }
}
