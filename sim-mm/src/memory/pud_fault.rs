//! Faults in mappings of a device that is mapped by itself: `create_huge_pud()`, `wp_huge_pud()`, and `__dev_dax_pud_fault()` of `drivers/dax/device.c`.

use sim_mmu::{Entry, Level, VirtAddr};

use crate::dax::dax_alive;
use crate::dev_dax::{align, check_vma};
use crate::fs::Inode;
use crate::huge_memory::{huge_pud_set_accessed, insert_pfn_pud};
use crate::huge_mm::is_file_aligned;
use crate::huge_pte::HugePtep;
use crate::inode::i_size_read;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::pgtable::{Pmd, vma_page_prot};
use crate::safeguards::DAX_READ_LOCK;
use crate::vm_fault::{FaultFlags, VmFault, VmFaultError};

/// A fault for which a PUD entry is set.
#[derive(Clone, Copy)]
pub(super) struct PudFault<'m> {
    pub(super) mm: &'m MmStruct,
    pub(super) vma: Vma,
    pub(super) address: VirtAddr,
    pub(super) flags: FaultFlags,
    pub(super) pudp: HugePtep,
    pub(super) device: Inode,
}

/// The part of `__handle_mm_fault()` that is about PUD entries. Smaller entries are never set in such a mapping: the alignment of the device refuses them.
pub(super) async fn handle_pud_fault<'m>(cpu: Cpu<'m>, vmf: PudFault<'m>) -> Result<VmFault, VmFaultError> {
    let is_write = vmf.flags.contains(FaultFlags::WRITE);
    let pud = cpu.read_once(vmf.pudp).await;
    if pud.none() || pud.leaf() && is_write && !pud.write() {
        return dev_dax_pud_fault(cpu, vmf, is_write).await;
    }
    if !pud.leaf() {
        // __dev_dax_pmd_fault()
        return Err(VmFaultError::Sigbus);
    }
    huge_pud_set_accessed(cpu, vmf.mm, (vmf.pudp, pud), vmf.address, is_write).await;
    Ok(VmFault::default())
}

/// `__dev_dax_pud_fault()`: one entry maps the frames around an address.
///
/// Whoever ends the device waits for those who have found it alive, and unmaps it then.
async fn dev_dax_pud_fault<'m>(cpu: Cpu<'m>, vmf: PudFault<'m>, is_write: bool) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("__dev_dax_pud_fault");
    let PudFault { mm, vma, pudp, device, .. } = vmf;
    let _dax_read_lock = if cpu.has(DAX_READ_LOCK) {
        Some(cpu.down_read(cpu.kernel.pgmap.invalidate_lock(device)).await)
    } else {
        None
    };
    let (start, end) = (vma.start(cpu), vma.end(cpu));
    let may_map = dax_alive(cpu).await.and_then(|()| check_vma(cpu, vma.flags(cpu), (start, end)));
    may_map.map_err(|_| VmFaultError::Sigbus)?;
    let first = pudp.range(cpu, vmf.address).0;
    let index = vma.index_of(cpu, first);
    if !is_file_aligned(cpu.mmu.geometry.order(Level::Pud), start, vma.pgoff(cpu)) {
        cpu.not_modelled("a mapping of a device with another offset than its address has");
        return Err(VmFaultError::Sigbus);
    }
    // dax_pgoff_to_phys()
    if index + align(cpu) > i_size_read(cpu, device).await {
        return Err(VmFaultError::Sigbus);
    }
    let frame = cpu.kernel.pgmap.block(index as usize);
    let entry = Pmd::make_huge(frame.0, vma_page_prot(cpu, vma.flags(cpu))).with(Entry::DEVMAP);
    insert_pfn_pud(cpu, (mm, vma), (pudp, first), entry, is_write).await;
    Ok(VmFault::default())
}
