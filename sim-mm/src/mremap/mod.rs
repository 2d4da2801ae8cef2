//! `mm/mremap.c`: mappings that grow, shrink and move.

mod move_tables;

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::dev_dax::may_move_part;
use crate::errno::Errno;
use crate::kernel::Cpu;
use crate::mm_types::{MmStruct, Vma};
use crate::mman::MremapFlags;
use crate::mmap::{do_munmap, find_vma, get_unmapped_area, vma_lookup};
use crate::release::Release;
use crate::rmap::anon_vma_lock_write;
use crate::settings::{MremapDontunmap, MremapExtend, MremapTarget};
use crate::vm_flags::VmFlags;
use crate::vma::{
    NewRange, Source, change_vmas, copy_of, file_to_lock, i_mmap_lock_write, mmap_write_lock, unlink_locked,
    vma_expand, vma_merge_new_range, vma_start_write,
};
use move_tables::{Direction, Way, move_page_tables};

/// The arguments of `mremap()`. Lengths are pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mremap {
    /// Where it is.
    pub addr: VirtAddr,
    /// How long.
    pub old_pages: u64,
    /// How long it becomes.
    pub new_pages: u64,
    /// The rest.
    pub flags: MremapFlags,
    /// Where it goes, with `MREMAP_FIXED`.
    pub new_addr: Option<VirtAddr>,
}

/// `mremap()`; answers where the mapping is now.
///
/// # Errors
/// `EINVAL` for flags that do not go together or ranges that overlap, `EFAULT` if there is no one mapping to be moved,
/// `ENOMEM` if it cannot grow where it is and may not move.
pub fn sys_mremap(cpu: Cpu<'_>, request: Mremap) -> BoxFuture<'_, Result<VirtAddr, Errno>> {
    Box::pin(do_mremap(cpu, request))
}

/// `struct vma_remap_struct`: lengths in bytes.
#[derive(Clone, Copy)]
struct Remap {
    addr: VirtAddr,
    old_len: u64,
    new_len: u64,
    flags: MremapFlags,
    new_addr: VirtAddr,
}

impl Remap {
    fn end(&self) -> VirtAddr {
        VirtAddr(self.addr.0 + self.old_len)
    }

    /// `vrm_implies_new_addr()`.
    fn implies_new_addr(&self) -> bool {
        self.flags.intersects(MremapFlags::FIXED | MremapFlags::DONTUNMAP)
    }
}

/// `check_mremap_params()`: what can be said without looking at mappings.
fn check_params(cpu: Cpu<'_>, request: Mremap) -> Result<Remap, Errno> {
    let top = cpu.mmu.geometry.task_size().0;
    let bytes =
        |pages: u64| pages.checked_mul(VirtAddr::PAGE_SIZE).filter(|bytes| *bytes <= top).ok_or(Errno::Einval);
    let (old_len, new_len) = (bytes(request.old_pages)?, bytes(request.new_pages)?);
    let Mremap { addr, flags, .. } = request;
    let remap = Remap { addr, old_len, new_len, flags, new_addr: request.new_addr.unwrap_or(addr) };
    let may_move = flags.contains(MremapFlags::MAYMOVE);
    if addr.offset() != 0 || new_len == 0 || (remap.implies_new_addr() && !may_move) {
        return Err(Errno::Einval);
    }
    if flags.contains(MremapFlags::DONTUNMAP) && old_len != new_len {
        return Err(Errno::Einval);
    }
    if flags.contains(MremapFlags::FIXED) {
        let to = request.new_addr.ok_or(Errno::Einval)?;
        let overlaps = addr.0 + old_len > to.0 && to.0 + new_len > addr.0;
        if to.offset() != 0 || to.0 > top - new_len || overlaps {
            return Err(Errno::Einval);
        }
    }
    Ok(remap)
}

async fn do_mremap(cpu: Cpu<'_>, request: Mremap) -> Result<VirtAddr, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("do_mremap"));
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let remap = check_params(cpu, request)?;
    let mmap_lock = mmap_write_lock(cpu, mm).await;
    let design = cpu.setting::<MremapTarget>();
    if design == MremapTarget::LookUpFirst && vma_lookup(cpu, mm, remap.addr).await.is_none() {
        return Err(Errno::Efault);
    }
    let to = match design {
        MremapTarget::CheckFirst if remap.flags.contains(MremapFlags::FIXED) && remap.old_len == remap.new_len => {
            remap_move(cpu, mm, remap).await?
        }
        _ if remap.implies_new_addr() => mremap_to(cpu, mm, remap).await?,
        _ => mremap_at(cpu, mm, remap).await?,
    };
    let grown = to.0 + remap.old_len;
    let locked = vma_lookup(cpu, mm, to).await.is_some_and(|vma| vma.flags(cpu).contains(VmFlags::LOCKED));
    drop(mmap_lock);
    if locked && remap.new_len > remap.old_len {
        // The part that was added is locked as well, and so faulted in. Errors are ignored, as for mmap().
        let end = VirtAddr(to.0 + remap.new_len);
        let _ = (cpu.kernel.gup.mm_populate)(cpu, mm, VirtAddr(grown), end, true).await;
    }
    Ok(to)
}

/// `remap_move()`, since v6.17: moves all mappings of the range, with the gaps between them.
async fn remap_move<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, whole: Remap) -> Result<VirtAddr, Errno> {
    let end = whole.end();
    let mut at = whole.addr;
    let mut moved = Err(Errno::Efault);
    while at < end {
        let Some(vma) = find_vma(cpu, mm, at).await.filter(|vma| vma.start(cpu) < end) else { break };
        // No gap is allowed in front of the first.
        if moved.is_err() && whole.addr < vma.start(cpu) {
            return Err(Errno::Efault);
        }
        let start = vma.start(cpu).max(whole.addr);
        let len = vma.end(cpu).min(end).0 - start.0;
        let new_addr = VirtAddr(whole.new_addr.0 + (start.0 - whole.addr.0));
        let part = Remap { addr: start, old_len: len, new_len: len, new_addr, ..whole };
        at = VirtAddr(start.0 + len);
        let to = mremap_to(cpu, mm, part).await?;
        moved = moved.or(Ok(to));
    }
    moved
}

/// `vma_to_resize()`, `check_prep_vma()` since v6.17: the mapping, if it can be moved or grow.
async fn check_prep_vma(cpu: Cpu<'_>, mm: &MmStruct, remap: &Remap) -> Result<Vma, Errno> {
    let vma = vma_lookup(cpu, mm, remap.addr).await.ok_or(Errno::Efault)?;
    let flags = vma.flags(cpu);
    if flags.contains(VmFlags::HUGETLB) {
        // Since v5.16 (550a7d60bd5e) they can be moved.
        if cpu.kernel.config.kernel.version >= Release::v(5, 16) {
            cpu.not_modelled("mremap() of huge pages of the pool");
        }
        return Err(Errno::Einval);
    }
    // Of shared memory, a length of zero asks for a second mapping of the same pages.
    if remap.old_len == 0 && !flags.intersects(VmFlags::SHARED | VmFlags::MAYSHARE) {
        return Err(Errno::Einval);
    }
    if remap.flags.contains(MremapFlags::DONTUNMAP) {
        let only_private = cpu.setting::<MremapDontunmap>() == MremapDontunmap::Private;
        let shared = !vma.is_anonymous(cpu) || flags.contains(VmFlags::SHARED);
        if (only_private && shared) || flags.intersects(VmFlags::DONTEXPAND | VmFlags::PFNMAP) {
            return Err(Errno::Einval);
        }
    }
    // A part of several mappings is not one.
    if remap.old_len.min(remap.new_len) > vma.end(cpu).0 - remap.addr.0 {
        return Err(Errno::Efault);
    }
    if remap.new_len > remap.old_len && flags.intersects(VmFlags::DONTEXPAND | VmFlags::PFNMAP) {
        return Err(Errno::Efault);
    }
    Ok(vma)
}

/// `mremap_to()`: to an address that the caller gives, or with `MREMAP_DONTUNMAP` alone to one that is found.
async fn mremap_to<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, mut remap: Remap) -> Result<VirtAddr, Errno> {
    if cpu.setting::<MremapTarget>() == MremapTarget::CheckFirst {
        check_prep_vma(cpu, mm, &remap).await?;
    }
    if remap.flags.contains(MremapFlags::FIXED) {
        do_munmap(cpu, mm, remap.new_addr, VirtAddr(remap.new_addr.0 + remap.new_len)).await?;
    }
    if remap.old_len > remap.new_len {
        do_munmap(cpu, mm, VirtAddr(remap.addr.0 + remap.new_len), remap.end()).await?;
        remap.old_len = remap.new_len;
    }
    // What was unmapped may have been a part of the same mapping.
    let vma = check_prep_vma(cpu, mm, &remap).await?;
    if !remap.flags.contains(MremapFlags::FIXED) {
        remap.new_addr = get_unmapped_area(cpu, mm, remap.new_len).await?;
    }
    move_vma(cpu, mm, vma, remap).await
}

/// `mremap_at()`: where it is, or if it cannot grow there, elsewhere.
async fn mremap_at<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, mut remap: Remap) -> Result<VirtAddr, Errno> {
    if remap.old_len >= remap.new_len {
        if cpu.setting::<MremapTarget>() == MremapTarget::CheckFirst {
            vma_lookup(cpu, mm, remap.addr).await.ok_or(Errno::Efault)?;
        }
        if remap.old_len > remap.new_len {
            do_munmap(cpu, mm, VirtAddr(remap.addr.0 + remap.new_len), remap.end()).await?;
        }
        return Ok(remap.addr);
    }
    let vma = check_prep_vma(cpu, mm, &remap).await?;
    if expand_vma_in_place(cpu, mm, vma, &remap).await? {
        return Ok(remap.addr);
    }
    if !remap.flags.contains(MremapFlags::MAYMOVE) {
        return Err(Errno::Enomem);
    }
    remap.new_addr = get_unmapped_area(cpu, mm, remap.new_len).await?;
    move_vma(cpu, mm, vma, remap).await
}

/// `expand_vma_in_place()`, if there is room behind the mapping: `vma_expandable()`.
async fn expand_vma_in_place(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, remap: &Remap) -> Result<bool, Errno> {
    let start = vma.end(cpu);
    let end = VirtAddr(start.0 + (remap.new_len - remap.old_len));
    if remap.end() != start || end > cpu.mmu.geometry.task_size() {
        return Ok(false);
    }
    if find_vma(cpu, mm, start).await.is_some_and(|next| next.start(cpu) < end) {
        return Ok(false);
    }
    let _i_mmap = i_mmap_lock_write(cpu, vma.file(cpu)).await;
    match cpu.setting::<MremapExtend>() {
        MremapExtend::Alone => change_vmas(cpu, mm, |vmas| vma_expand(cpu, vmas, vma, end)).await?,
        // vma_merge_extend()
        MremapExtend::Merge => {
            let (flags, pgoff, file) = (vma.flags(cpu), vma.index_of(cpu, start), vma.file(cpu));
            let range = NewRange { start, end, flags, pgoff, file, source: Source::Copied(vma) };
            let merged = change_vmas(cpu, mm, |vmas| vma_merge_new_range(cpu, mm, vmas, &range)).await?;
            // The mapping itself takes the range in, if nothing else does.
            merged.ok_or(Errno::Enomem)?;
        }
    }
    Ok(true)
}

/// `copy_vma()`: the mapping that the pages move to.
async fn copy_vma(cpu: Cpu<'_>, mm: &MmStruct, vma: Vma, remap: &Remap) -> Result<Vma, Errno> {
    let start = remap.new_addr;
    let end = VirtAddr(start.0 + remap.new_len);
    // Private memory that was never touched is as good as new.
    let untouched = vma.is_anonymous(cpu) && vma.anon_vma(cpu).is_none();
    let pgoff = if untouched { start.vpn().0 } else { vma.index_of(cpu, remap.addr) };
    let (flags, file) = (vma.flags(cpu), vma.file(cpu));
    let range = NewRange { start, end, flags, pgoff, file, source: Source::Copied(vma) };
    let _i_mmap = i_mmap_lock_write(cpu, file).await;
    change_vmas(cpu, mm, |vmas| match vma_merge_new_range(cpu, mm, vmas, &range)? {
        Some(merged) => Ok(merged),
        None => Ok(copy_of(cpu, mm, vmas, vma, &range)?),
    })
    .await
}

/// `move_vma()`: a new mapping, the entries moved there, and the old one gone or empty.
async fn move_vma<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, vma: Vma, remap: Remap) -> Result<VirtAddr, Errno> {
    let _routine = cpu.enter("move_vma");
    may_move_part(cpu, vma, (remap.addr, remap.end()))?;
    // Its anon_vma may be unlinked below, and its entries move: no fault may be at work there.
    vma_start_write(cpu, mm, vma).await;
    let new_vma = copy_vma(cpu, mm, vma, &remap).await?;
    // mremap_userfaultfd_prep(): the descriptor does not follow.
    new_vma.set_flags(cpu, new_vma.flags(cpu) - VmFlags::UFFD);
    // Both may be one mapping by now.
    let vma = if new_vma.contains(cpu, remap.addr) { new_vma } else { vma };
    let rmap_locks = file_to_lock(cpu, vma, new_vma);
    // take_rmap_locks(): reclaim and migration go from a page to its entry by the address, and entries change theirs here.
    let anon_vma = if cpu.walks_rmap() { Box::pin(anon_vma_lock_write(cpu, vma)).await } else { None };
    let way = Way { direction: Direction::There, vma, rmap_locks };
    let moved = move_page_tables(cpu, mm, remap.addr, remap.new_addr, remap.old_len, way).await;
    if moved == remap.old_len {
        drop(anon_vma);
    } else {
        // From a later mapping to an earlier one, if it is not the same.
        let way = Way { direction: Direction::Back, vma, rmap_locks: vma.file(cpu) };
        move_page_tables(cpu, mm, remap.new_addr, remap.addr, moved, way).await;
        drop(anon_vma);
        do_munmap(cpu, mm, remap.new_addr, VirtAddr(remap.new_addr.0 + remap.new_len)).await?;
        return Err(Errno::Enomem);
    }
    if remap.flags.contains(MremapFlags::DONTUNMAP) {
        // dontunmap_complete()
        vma.set_flags(cpu, vma.flags(cpu) - VmFlags::LOCKED_MASK);
        if new_vma != vma && vma.start(cpu) == remap.addr && vma.end(cpu) == remap.end() {
            unlink_locked(cpu, mm, vma).await;
        }
    } else if remap.old_len > 0 {
        do_munmap(cpu, mm, remap.addr, remap.end()).await?;
    }
    Ok(remap.new_addr)
}
