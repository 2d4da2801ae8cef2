//! Faults in files on a device: `dax_iomap_fault()` of `fs/dax.c`, and how they set entries, `vmf_insert_mixed()` and `vmf_insert_pfn_pmd()`.

use sim_mmu::Entry;

use super::tables::pte_alloc;
use crate::dax::dax_get_block;
use crate::errno::Errno;
use crate::fs::Inode;
use crate::huge_memory::Fallback;
use crate::huge_mm::{is_file_aligned, suitable_block};
use crate::inode::{i_size_read, is_dax};
use crate::kernel::Cpu;
use crate::mm_types::Page;
use crate::page::page_ref_inc;
use crate::pgtable::{Pmd, Pte, mkdirty, vm_get_page_prot};
use crate::rmap::page_add_file_rmap;
use crate::settings::DaxPages;
use crate::vm_fault::{Fault, VmFault, VmFaultError};

/// The bits of an entry for blocks. Linux makes it read-only until a write is noticed, as entries of a file on a disk; a write to a device is never lost.
fn prot<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> u64 {
    let written = if vmf.is_write() { mkdirty(cpu) } else { 0 };
    vm_get_page_prot(vmf.vma.flags(cpu)) | written
}

/// `dax_iomap_pte_fault()`: maps the block of a page. Nobody gives blocks up meanwhile.
pub(super) async fn dax_iomap_pte_fault<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    inode: Inode,
) -> Result<VmFault, VmFaultError> {
    let _routine = cpu.enter("dax_iomap_pte_fault");
    let _invalidate_lock = cpu.down_read(cpu.kernel.pgmap.invalidate_lock(inode)).await;
    let index = vmf.vma.index_of(cpu, vmf.address);
    if index >= i_size_read(cpu, inode).await {
        return Err(VmFaultError::Sigbus);
    }
    let block = dax_get_block(cpu, inode, index).await.map_err(|_| VmFaultError::Sigbus)?;
    insert_pfn(cpu, vmf, block).await?;
    Ok(VmFault::default())
}

/// `insert_pfn()`: of a block the entry says that it is a device's, and has no reference to it. Since v6.15 it is an entry like any other:
/// `vmf_insert_page_mkwrite()`. An entry that is there stays.
async fn insert_pfn<'m>(cpu: Cpu<'m>, vmf: Fault<'m>, block: Page) -> Result<(), Errno> {
    let pmd = pte_alloc(cpu, vmf.mm, vmf.pmdp).await?;
    if !pmd.leads_to_table() {
        return Ok(());
    }
    let ptep = pmd.pte_offset(cpu.mmu.geometry, vmf.address);
    let Some(_locked) = vmf.map_lock(cpu, ptep).await else { return Ok(()) };
    if !cpu.read_once(ptep).await.none() {
        return Ok(());
    }
    let entry = Pte::make(block.0, prot(cpu, vmf));
    let entry = match cpu.setting::<DaxPages>() {
        // pte_mkdevmap()
        DaxPages::Devmap => entry.with(Entry::DEVMAP | Entry::SPECIAL),
        DaxPages::Counted => {
            page_ref_inc(cpu, block).await;
            page_add_file_rmap(cpu, block, vmf.mm.id).await;
            entry
        }
    };
    cpu.set_pte_at(vmf.mm, vmf.address, ptep, entry).await;
    Ok(())
}

/// Whether a fault in a mapping may map blocks by one PMD entry. Since v6.15 their pages would have to be one folio, which is not modelled.
pub(super) fn may_map_blocks_by_pmd<'m>(cpu: Cpu<'m>, vmf: Fault<'m>) -> bool {
    cpu.kernel.has_device()
        && cpu.setting::<DaxPages>() == DaxPages::Devmap
        && vmf.vma.file(cpu).is_some_and(|file| is_dax(cpu, file))
}

/// `dax_iomap_pmd_fault()`: one entry maps the blocks, if they lie in a row where one entry can map them. Else they are mapped one by one.
pub(super) async fn dax_iomap_pmd_fault<'m>(
    cpu: Cpu<'m>,
    vmf: Fault<'m>,
    inode: Inode,
) -> Result<Fallback, VmFaultError> {
    let _routine = cpu.enter("dax_iomap_pmd_fault");
    let (start, end) = (vmf.vma.start(cpu), vmf.vma.end(cpu));
    let order = cpu.pmd_order();
    let Some(first) = suitable_block(order, vmf.address, (start, end)) else { return Ok(Fallback::Pages) };
    if !is_file_aligned(order, start, vmf.vma.pgoff(cpu)) {
        return Ok(Fallback::Pages);
    }
    let _invalidate_lock = cpu.down_read(cpu.kernel.pgmap.invalidate_lock(inode)).await;
    let index = vmf.vma.index_of(cpu, first);
    if index + cpu.pmd_nr() > i_size_read(cpu, inode).await || !cpu.load(cpu.kernel.pgmap.alive).await {
        return Ok(Fallback::Pages);
    }
    let nr = cpu.pmd_nr();
    let in_a_row = cpu.read(cpu.kernel.pgmap.i_data(inode), |blocks| {
        let first = *blocks.get(&index).filter(|block| block.0.0.is_multiple_of(nr))?;
        let is_next = |nth| blocks.get(&(index + nth)).is_some_and(|block| block.0.0 == first.0.0 + nth);
        (0..nr).all(is_next).then_some(first)
    });
    let Some(block) = in_a_row.await else { return Ok(Fallback::Pages) };
    // vmf_insert_pfn_pmd()
    let _ptl = cpu.lock(cpu.kernel.ptl(vmf.pmdp.table())).await;
    if cpu.read_once(vmf.pmdp).await.none() {
        let entry = Pmd::make_huge(block.0, prot(cpu, vmf)).with(Entry::DEVMAP);
        cpu.set_pmd_at(vmf.mm, first, vmf.pmdp, entry).await;
    }
    Ok(Fallback::Done(VmFault::default()))
}
