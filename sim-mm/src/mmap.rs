//! `mm/mmap.c`: the mappings of an address space.

use sim_core::{BoxFuture, Routine};
use sim_mmu::VirtAddr;

use crate::arch::pkeys::execute_only_pkey;
use crate::check;
use crate::dax::dax_alive;
use crate::dev_dax::{align, check_vma, dev_dax_vm_flags};
use crate::errno::Errno;
use crate::fs::{File, Inode};
use crate::hugetlb::{hstate_inode, hugetlb_file_setup, hugetlbfs_file_mmap};
use crate::hugetlb_types::HugePageSize;
use crate::inode::{is_dax, is_dev_dax, is_secret, on_disk};
use crate::kernel::Cpu;
use crate::ksm::ksm_vma_flags;
use crate::memfd::{Memfd, fget};
use crate::memory::{free_pgtables, unmap_vmas};
use crate::mm_types::VmaSnapshot;
use crate::mm_types::{MmStruct, Vma};
use crate::mman::{MapFlags, Prot};
use crate::mmap_lock::MmapWriteHeld;
use crate::mmu_gather::MmuGather;
use crate::mmu_notifier::mmu_notifier_release;
use crate::munlock::munlock_vmas;
use crate::safeguards::{MUNMAP_MMAP_LOCK, MUNMAP_STACK_NO_DOWNGRADE};
use crate::settings::MunmapLock;
use crate::shmem::{shmem_file_setup, shmem_put};
use crate::swap::drain_before_unmapping;
use crate::vm_flags::VmFlags;
use crate::vma::{
    NewRange, Source, Stopped, VmaTree, change_vmas, i_mmap_lock_write, i_mmap_lock_write_all, may_split,
    mmap_write_lock, prepare_split, remove_vma, split_at, unlink_file_vma, unlink_locked, vm_area_alloc,
    vm_area_free, vma_link, vma_mark_detached, vma_merge_new_range,
};

/// `find_vma()`: the first mapping that ends above `addr`. The caller holds `mmap_lock`.
pub async fn find_vma(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Vma> {
    cpu.read(&mm.vmas, |vmas| vmas.iter().find(|vma| addr < vma.end(cpu)).copied()).await
}

/// `vma_lookup()`: the mapping that the address is in. The caller holds `mmap_lock`.
pub async fn vma_lookup(cpu: Cpu<'_>, mm: &MmStruct, addr: VirtAddr) -> Option<Vma> {
    find_vma(cpu, mm, addr).await.filter(|vma| vma.contains(cpu, addr))
}

/// The arguments of `mmap()`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mmap<'a> {
    /// Where; without `MAP_FIXED` it is a wish.
    pub addr: Option<VirtAddr>,
    /// How many pages.
    pub pages: u64,
    /// What may be done with them.
    pub prot: Prot,
    /// The rest.
    pub flags: MapFlags,
    /// The file; without one the memory is anonymous.
    pub file: Option<&'a Memfd>,
    /// The page of the file with which the mapping begins.
    pub pgoff: u64,
}

/// `mmap()` of anonymous memory or of a file, private or shared; answers where it is.
///
/// # Errors
/// `EINVAL` for an empty or unaligned range, `ENOMEM` if it does not fit, `ENXIO` for a device that is gone, `EPERM` for page zero, `EEXIST` if
/// `MAP_FIXED_NOREPLACE` finds something there, `EBADF` if the descriptor is not open, `EACCES` if it is open for reading and the mapping would
/// write to the file, `EOVERFLOW` for pages that no file can have.
pub fn sys_mmap<'m>(cpu: Cpu<'m>, request: Mmap<'m>) -> BoxFuture<'m, Result<VirtAddr, Errno>> {
    match request.file {
        None => Box::pin(vm_mmap_pgoff(cpu, request, None)),
        Some(fd) => Box::pin(async move {
            let file = fget(cpu, fd).await?;
            let mapped = vm_mmap_pgoff(cpu, request, Some(file)).await;
            file.put(cpu).await;
            mapped
        }),
    }
}

async fn vm_mmap_pgoff(cpu: Cpu<'_>, request: Mmap<'_>, file: Option<File>) -> Result<VirtAddr, Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("do_mmap"));
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let mmap_lock = mmap_write_lock(cpu, mm).await;
    // do_mmap() does so when it has looked at the address.
    let is_exec_only = request.prot == Prot::EXEC;
    let pkey = if is_exec_only { Box::pin(execute_only_pkey(cpu, mm)).await.unwrap_or(0) } else { 0 };
    let start = Box::pin(do_mmap(cpu, mm, &request, file, pkey)).await?;
    drop(mmap_lock);
    if request.flags.intersects(MapFlags::LOCKED | MapFlags::POPULATE) {
        // mm_populate() ignores errors: the mapping is there, whatever became of its pages.
        let end = start.plus_pages(request.pages);
        let _ = (cpu.kernel.gup.mm_populate)(cpu, mm, start, end, true).await;
    }
    Ok(start)
}

/// `do_mmap()`: the caller holds `mmap_lock` for writing.
async fn do_mmap<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    request: &Mmap<'_>,
    file: Option<File>,
    pkey: u8,
) -> Result<VirtAddr, Errno> {
    let Mmap { addr, prot, flags, pgoff, .. } = *request;
    let huge = huge_page_size(cpu, flags, file)?;
    let unit = huge.map_or(1, |size| size.pages(cpu.mmu.geometry));
    // ksys_mmap_pgoff(): memory without a name is as long as its huge pages.
    let pages = if file.is_none() { request.pages.next_multiple_of(unit) } else { request.pages };
    if !pages.is_multiple_of(unit) {
        return Err(Errno::Einval);
    }
    let len = pages.checked_mul(VirtAddr::PAGE_SIZE).filter(|len| *len > 0).ok_or(Errno::Einval)?;
    if pgoff.checked_add(pages).is_none() {
        return Err(Errno::Eoverflow);
    }
    let fixed = flags.intersects(MapFlags::FIXED | MapFlags::FIXED_NOREPLACE);
    let wish = addr.map(|addr| fits(cpu, addr, len)).transpose();
    let wish = if fixed { wish? } else { wish.unwrap_or(None) };
    // hugetlb_get_unmapped_area()
    let is_aligned = |addr: &VirtAddr| addr.vpn().0.is_multiple_of(unit);
    if fixed && !wish.is_none_or(|wish| is_aligned(&wish)) {
        return Err(Errno::Einval);
    }
    let wish = wish.filter(is_aligned);
    let may = VmFlags::MAYREAD | VmFlags::MAYWRITE | VmFlags::MAYEXEC;
    let mut vm_flags = (prot.vm_flags() | may).with_pkey(pkey);
    // calc_vm_flag_bits()
    vm_flags.set(VmFlags::LOCKED, flags.contains(MapFlags::LOCKED));
    vm_flags.set(VmFlags::GROWSDOWN, flags.contains(MapFlags::GROWSDOWN));
    vm_flags.set(VmFlags::NORESERVE, flags.contains(MapFlags::NORESERVE));
    let has_file = flags.contains(MapFlags::SHARED) || file.is_some();
    if has_file && vm_flags.contains(VmFlags::GROWSDOWN) {
        return Err(Errno::Einval);
    }
    if flags.contains(MapFlags::SHARED) {
        vm_flags |= VmFlags::SHARED | VmFlags::MAYSHARE;
        vm_flags.set(VmFlags::DIRTY_TRACKING, file.is_some_and(|file| on_disk(cpu, file.inode)));
    }
    if let Some(file) = file {
        vm_flags = file_flags(cpu, file, vm_flags)?;
        if is_dev_dax(cpu, file.inode) {
            dax_alive(cpu).await.map_err(|_| Errno::Enxio)?;
        }
    }
    // accountable_mapping(): private and writable.
    let accountable = VmFlags::NORESERVE | VmFlags::SHARED | VmFlags::WRITE;
    vm_flags.set(VmFlags::ACCOUNT, vm_flags & accountable == VmFlags::WRITE);
    if let Some(start) = wish.filter(|_| fixed) {
        let end = VirtAddr(start.0 + len);
        let found = find_vma(cpu, mm, start).await.filter(|vma| vma.start(cpu) < end);
        if found.is_some() && flags.contains(MapFlags::FIXED_NOREPLACE) {
            return Err(Errno::Eexist);
        }
        if found.is_some() {
            do_munmap(cpu, mm, start, end).await?;
        }
    }
    if huge.is_some() {
        vm_flags |= VmFlags::HUGETLB | VmFlags::DONTEXPAND;
    }
    let backing = match file {
        Some(file) => Backing::File { file, pgoff },
        None => match huge {
            Some(size) => Backing::Huge(size),
            None if vm_flags.contains(VmFlags::SHARED) => Backing::Shared,
            None => Backing::Anonymous,
        },
    };
    mmap_region(cpu, mm, Region { wish, len, flags: vm_flags, backing }).await
}

/// Of which size the pages of a new mapping are to be, if they are huge pages of a pool.
fn huge_page_size(cpu: Cpu<'_>, flags: MapFlags, file: Option<File>) -> Result<Option<HugePageSize>, Errno> {
    match file {
        Some(file) => Ok(hstate_inode(cpu, file.inode)),
        None if flags.contains(MapFlags::HUGETLB) && !cpu.kernel.has_hugetlb() => Err(Errno::Einval),
        None if !flags.contains(MapFlags::HUGETLB) => Ok(None),
        None if flags.contains(MapFlags::HUGE_1GB) => Ok(Some(HugePageSize::Gigantic)),
        None => Ok(Some(HugePageSize::Huge)),
    }
}

/// What a mapping of a file may do by what the file was opened for: a shared mapping of a file that is open for reading can never be written to, and
/// is as good as private.
///
/// Of secret memory there are shared mappings alone, and they stay in memory: `secretmem_mmap()`.
fn file_flags(cpu: Cpu<'_>, file: File, vm_flags: VmFlags) -> Result<VmFlags, Errno> {
    if is_secret(cpu, file.inode) {
        let secret = vm_flags | VmFlags::FMODE_WRITE | VmFlags::LOCKED | VmFlags::DONTDUMP;
        return if vm_flags.contains(VmFlags::SHARED) { Ok(secret) } else { Err(Errno::Einval) };
    }
    // Private mappings of blocks are not modelled: `/dev/dax` has none either.
    if is_dax(cpu, file.inode) && !vm_flags.contains(VmFlags::SHARED) {
        return Err(Errno::Einval);
    }
    if is_dev_dax(cpu, file.inode) {
        return Ok(vm_flags | VmFlags::FMODE_WRITE | dev_dax_vm_flags(cpu));
    }
    if file.writes() {
        return Ok(vm_flags | VmFlags::FMODE_WRITE);
    }
    match vm_flags {
        private if !private.contains(VmFlags::SHARED) => Ok(private),
        written if written.contains(VmFlags::WRITE) => Err(Errno::Eacces),
        read => Ok(read - (VmFlags::SHARED | VmFlags::MAYWRITE | VmFlags::DIRTY_TRACKING)),
    }
}

/// Whether a range is whole pages of user space, of which page zero is none.
fn fits(cpu: Cpu<'_>, addr: VirtAddr, len: u64) -> Result<VirtAddr, Errno> {
    if addr.offset() != 0 {
        return Err(Errno::Einval);
    }
    let top = cpu.mmu.geometry.task_size().0;
    addr.0.checked_add(len).filter(|end| *end <= top).ok_or(Errno::Enomem)?;
    // security_mmap_addr(): mmap_min_addr is not zero.
    if addr.0 == 0 { Err(Errno::Eperm) } else { Ok(addr) }
}

/// What is behind a new mapping.
#[derive(Clone, Copy)]
enum Backing {
    /// Nothing: its pages are its own.
    Anonymous,
    /// A file of its own, without a name.
    Shared,
    /// A file of hugetlbfs of its own, without a name.
    Huge(HugePageSize),
    /// A file, from this page on.
    File { file: File, pgoff: u64 },
}

/// A mapping that is to be.
#[derive(Clone, Copy)]
struct Region {
    wish: Option<VirtAddr>,
    len: u64,
    flags: VmFlags,
    backing: Backing,
}

/// `mmap_region()`: at the place that is wished for if it is free, else in the highest gap.
async fn mmap_region<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, region: Region) -> Result<VirtAddr, Errno> {
    match region.backing {
        Backing::Anonymous => insert_region(cpu, mm, &region, None).await,
        // In boxes of their own, since few mappings have a file. This is shmem_zero_setup().
        Backing::Shared => {
            Box::pin(async move {
                let file = shmem_file_setup(cpu, region.len / VirtAddr::PAGE_SIZE)?;
                let mapped = insert_region(cpu, mm, &region, Some(file)).await;
                if mapped.is_err() {
                    shmem_put(cpu, file).await;
                }
                mapped
            })
            .await
        }
        // hugetlb_file_setup()
        Backing::Huge(size) => {
            Box::pin(async move {
                let file = hugetlb_file_setup(cpu, region.len / VirtAddr::PAGE_SIZE, size)?;
                let mapped = insert_huge_region(cpu, mm, &region, (file, 0)).await;
                if mapped.is_err() {
                    shmem_put(cpu, file).await;
                }
                mapped
            })
            .await
        }
        Backing::File { file, pgoff } if region.flags.contains(VmFlags::HUGETLB) => {
            Box::pin(insert_huge_region(cpu, mm, &region, (file.inode, pgoff))).await
        }
        Backing::File { file, .. } => {
            Box::pin(async move {
                // Only a file that has other mappings can be gone through at the moment.
                let _i_mmap = i_mmap_lock_write(cpu, Some(file.inode)).await;
                insert_region(cpu, mm, &region, Some(file.inode)).await
            })
            .await
        }
    }
}

/// The second half of `mmap_region()`: a neighbour takes the region in, or a mapping of its own is made.
async fn insert_region<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    region: &Region,
    file: Option<Inode>,
) -> Result<VirtAddr, Errno> {
    let Region { len, flags, backing, .. } = *region;
    change_vmas(cpu, mm, |vmas| {
        let (flags, alone) = ksm_vma_flags(cpu, mm, flags);
        let start = place(cpu, vmas, region, file)?;
        let end = VirtAddr(start.0 + len);
        if file.is_some_and(|file| is_dev_dax(cpu, file)) {
            check_vma(cpu, flags, (start, end))?;
        }
        let pgoff = match backing {
            Backing::Anonymous => start.vpn().0,
            Backing::Shared | Backing::Huge(_) => 0,
            Backing::File { pgoff, .. } => pgoff,
        };
        let range = NewRange { start, end, flags, pgoff, file, source: Source::Nothing };
        let vma = match vma_merge_new_range(cpu, mm, vmas, &range)? {
            Some(merged) => merged,
            None => {
                let vma = VmaSnapshot { start, end, flags: alone, pgoff, anon_vma: None, file };
                let new = vm_area_alloc(cpu, mm, vma)?;
                if let Backing::File { file, .. } = backing {
                    file.get(cpu);
                }
                vma_link(cpu, mm, vmas, new);
                new
            }
        };
        vma.set_soft_dirty(cpu);
        Ok(start)
    })
    .await
}

/// The same for huge pages of the pool. They are set aside when the mapping has its address and its descriptor, last of all that can fail: nothing stays set aside
/// for a mapping that does not come to be. Mappings of them are never merged.
async fn insert_huge_region<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    region: &Region,
    (file, pgoff): (Inode, u64),
) -> Result<VirtAddr, Errno> {
    let Region { len, flags, backing, .. } = *region;
    let start = cpu.read(&mm.vmas, |vmas| place(cpu, vmas, region, Some(file))).await?;
    let end = VirtAddr(start.0 + len);
    let vma = VmaSnapshot { start, end, flags, pgoff, anon_vma: None, file: Some(file) };
    let new = vm_area_alloc(cpu, mm, vma)?;
    if let Err(errno) = hugetlbfs_file_mmap(cpu, mm, file, flags, pgoff..pgoff + len / VirtAddr::PAGE_SIZE).await {
        vm_area_free(cpu, new);
        return Err(errno);
    }
    if let Backing::File { file, .. } = backing {
        file.get(cpu);
    }
    let i_mmap = i_mmap_lock_write(cpu, Some(file)).await;
    let linked = change_vmas(cpu, mm, |vmas| {
        vma_link(cpu, mm, vmas, new);
        Ok(())
    });
    linked.await?;
    drop(i_mmap);
    new.set_soft_dirty(cpu);
    Ok(start)
}

/// `get_unmapped_area()`: where a mapping goes.
fn place(cpu: Cpu<'_>, vmas: &[Vma], region: &Region, file: Option<Inode>) -> Result<VirtAddr, Errno> {
    let Region { wish, len, .. } = *region;
    match wish.filter(|start| !overlaps(cpu, vmas, *start, len)) {
        Some(start) => Ok(start),
        None => unmapped_area_topdown(cpu, vmas, len, unit(cpu, file)).ok_or(Errno::Enomem),
    }
}

/// Whether some mapping has a part of the range.
fn overlaps(cpu: Cpu<'_>, vmas: &[Vma], start: VirtAddr, len: u64) -> bool {
    let next = vmas.partition_point(|vma| vma.end(cpu) <= start);
    vmas.get(next).is_some_and(|vma| vma.start(cpu).0 < start.0 + len)
}

/// Of what the address of a mapping is a multiple.
fn unit(cpu: Cpu<'_>, file: Option<Inode>) -> u64 {
    if file.is_some_and(|file| is_dev_dax(cpu, file)) {
        // dax_get_unmapped_area()
        return align(cpu) * VirtAddr::PAGE_SIZE;
    }
    let huge = file.and_then(|file| hstate_inode(cpu, file));
    huge.map_or(1, |size| size.pages(cpu.mmu.geometry)) * VirtAddr::PAGE_SIZE
}

/// `unmapped_area_topdown()`: page zero stays free, and the address is a multiple of `unit`.
pub(crate) fn unmapped_area_topdown(cpu: Cpu<'_>, vmas: &[Vma], len: u64, unit: u64) -> Option<VirtAddr> {
    let mut gap_end = cpu.mmu.geometry.task_size().0;
    for vma in vmas.iter().rev() {
        if vma.end(cpu).0 + len <= gap_end - gap_end % unit {
            break;
        }
        gap_end = vma.start(cpu).0;
    }
    gap_end
        .checked_sub(len)
        .map(|start| start - start % unit)
        .filter(|start| *start >= VirtAddr::PAGE_SIZE)
        .map(VirtAddr)
        .filter(|start| !overlaps(cpu, vmas, *start, len))
}

/// `get_unmapped_area()` without a wish. The caller holds `mmap_lock` for writing.
///
/// # Errors
/// `ENOMEM`, if there is no gap of that length.
pub(crate) async fn get_unmapped_area(cpu: Cpu<'_>, mm: &MmStruct, len: u64) -> Result<VirtAddr, Errno> {
    cpu.read(&mm.vmas, |vmas| unmapped_area_topdown(cpu, vmas, len, VirtAddr::PAGE_SIZE))
        .await
        .ok_or(Errno::Enomem)
}

/// Mappings that are out of the list, and where their neighbours end and begin.
struct Detached {
    vmas: Vec<Vma>,
    floor: VirtAddr,
    ceiling: VirtAddr,
    /// Whether the mapping behind is a stack.
    ceiling_grows_down: bool,
}

/// `vms_gather_munmap_vmas()`: takes `start` to `end` out of the tree, behind splitting the mappings at both ends. Whoever has
/// found one of them before, and locks it later, learns that it is out of the tree.
async fn detach(cpu: Cpu<'_>, mm: &MmStruct, start: VirtAddr, end: VirtAddr) -> Result<Detached, Errno> {
    let is_across = |vma: Vma, addr| vma.start(cpu) < addr && addr < vma.end(cpu);
    may_split(cpu, mm, [start, end]).await;
    let i_mmap = i_mmap_lock_write_all(cpu, mm, |vma| is_across(vma, start) || is_across(vma, end)).await;
    prepare_split(cpu, mm, [start, end]).await;
    let detached = change_vmas(cpu, mm, |vmas| take_out(cpu, mm, vmas, start, end)).await?;
    drop(i_mmap);
    for vma in &detached.vmas {
        vma_mark_detached(cpu, *vma).await;
    }
    Ok(detached)
}

fn take_out(
    cpu: Cpu<'_>,
    mm: &MmStruct,
    vmas: &mut VmaTree<'_>,
    start: VirtAddr,
    end: VirtAddr,
) -> Result<Detached, Stopped> {
    for vma in vmas.iter().filter(|vma| vma.start(cpu) < end && start < vma.end(cpu)) {
        vmas.start_write(cpu, *vma)?;
    }
    split_at(cpu, mm, vmas, start, end)?;
    let from = vmas.partition_point(|vma| vma.end(cpu) <= start);
    let to = vmas.partition_point(|vma| vma.start(cpu) < end).max(from);
    let detached = vmas.drain(from..to).collect();
    // FIRST_USER_ADDRESS and USER_PGTABLES_CEILING
    let floor = from.checked_sub(1).map_or_else(VirtAddr::default, |prev| vmas[prev].end(cpu));
    let ceiling = vmas.get(from).map_or_else(VirtAddr::default, |next| next.start(cpu));
    let ceiling_grows_down = vmas.get(from).is_some_and(|next| next.flags(cpu).contains(VmFlags::GROWSDOWN));
    Ok(Detached { vmas: detached, floor, ceiling, ceiling_grows_down })
}

/// `munmap()`: as since v4.20, with the lock downgraded before the slow part.
///
/// # Errors
/// `EINVAL` for a range that is empty, unaligned at its start, or beyond user space.
pub fn sys_munmap(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(__do_munmap(cpu, start, end))
}

async fn __do_munmap(cpu: Cpu<'_>, start: VirtAddr, end: VirtAddr) -> Result<(), Errno> {
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter(Routine::system_call("__do_munmap"));
    let mm = cpu.current_mm().ok_or(Errno::Einval)?;
    let end = end.page_align();
    if start.offset() != 0 || end <= start || end > cpu.mmu.geometry.task_size() {
        return Err(Errno::Einval);
    }
    // Until the mappings are detached, nobody may find them and then work on them: a fault that found one would
    // fill entries that have been cleared already.
    let (writing, reading) = if cpu.has(MUNMAP_MMAP_LOCK) {
        (Some(mmap_write_lock(cpu, mm).await), None)
    } else {
        (None, Some(cpu.down_read(mm.mmap_lock).await))
    };
    let detached = detach(cpu, mm, start, end).await?;
    if detached.vmas.is_empty() {
        return Ok(());
    }
    // A stack right behind the range grows into it with the lock held for reading only.
    let stack = detached.ceiling_grows_down;
    let keeps = cpu.setting::<MunmapLock>() == MunmapLock::Write;
    let (_writing, _reading) = if keeps || check!(cpu, MUNMAP_STACK_NO_DOWNGRADE, stack) {
        (writing, reading)
    } else {
        (None, writing.and_then(MmapWriteHeld::downgrade).or(reading))
    };
    unmap_region(cpu, mm, &detached).await;
    remove_vma_list(cpu, mm, &detached.vmas).await;
    Ok(())
}

/// `do_munmap()`: for a caller that holds `mmap_lock` for writing, and keeps it.
///
/// # Errors
/// `EINVAL` for a range that is empty, unaligned or beyond user space; `ENOMEM` if a mapping cannot be split.
pub(crate) fn do_munmap<'m>(
    cpu: Cpu<'m>,
    mm: &'m MmStruct,
    start: VirtAddr,
    end: VirtAddr,
) -> BoxFuture<'m, Result<(), Errno>> {
    Box::pin(async move {
        let _routine = cpu.enter("do_munmap");
        if start.offset() != 0 || end <= start || end > cpu.mmu.geometry.task_size() {
            return Err(Errno::Einval);
        }
        let detached = detach(cpu, mm, start, end).await?;
        if !detached.vmas.is_empty() {
            unmap_region(cpu, mm, &detached).await;
            remove_vma_list(cpu, mm, &detached.vmas).await;
        }
        Ok(())
    })
}

/// `unmap_region()`: clears the entries, unlinks the tables that nobody else needs, then flushes and
/// frees.
async fn unmap_region<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, detached: &Detached) {
    let _routine = cpu.enter("unmap_region");
    let vmas = &detached.vmas;
    // What calls this does so before, as long as kernels did that.
    if let Some(munlocked) = munlock_vmas(cpu, mm, vmas) {
        munlocked.await;
    }
    let (Some(first), Some(last)) = (vmas.first(), vmas.last()) else { return };
    drain_before_unmapping(cpu).await;
    let mut tlb = MmuGather::gather(cpu, mm, first.start(cpu), last.end(cpu)).await;
    unmap_vmas(cpu, &mut tlb, vmas).await;
    for (i, vma) in vmas.iter().enumerate() {
        // free_pgtables() begins with this: nobody may put pages into the tables that go.
        if cpu.walks_rmap() {
            unlink_locked(cpu, mm, *vma).await;
        }
        unlink_file_vma(cpu, *vma).await;
        let next = vmas.get(i + 1).map_or(detached.ceiling, |next| next.start(cpu));
        free_pgtables(cpu, &mut tlb, *vma, detached.floor, next).await;
    }
    tlb.finish(cpu).await;
}

/// `remove_vma_list()`: the mappings themselves, when nothing leads to them any more.
async fn remove_vma_list(cpu: Cpu<'_>, mm: &MmStruct, vmas: &[Vma]) {
    for vma in vmas {
        remove_vma(cpu, mm, *vma).await;
    }
}

/// `exit_mmap()`: the last user is gone; everything goes.
pub(crate) async fn exit_mmap<'m>(cpu: Cpu<'m>, mm: &'m MmStruct) {
    let _routine = cpu.enter("exit_mmap");
    mmu_notifier_release(cpu, mm).await;
    let vmas = cpu.update(&mm.vmas, std::mem::take).await;
    let all = Detached { vmas, floor: VirtAddr(0), ceiling: VirtAddr(0), ceiling_grows_down: false };
    for vma in &all.vmas {
        vma_mark_detached(cpu, *vma).await;
    }
    unmap_region(cpu, mm, &all).await;
    remove_vma_list(cpu, mm, &all.vmas).await;
}
