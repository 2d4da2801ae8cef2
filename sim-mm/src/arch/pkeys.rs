//! `arch/x86/mm/pkeys.c`: protection keys. A page has the key of its mapping. A task says in PKRU what it may do with pages
//! of each key.
//!
//! Each access is judged by the key of the page and by the PKRU of the task that accesses. The key of a mapping is in its
//! flags, so that a fault can tell why it came. The processor reads the copy in the entry.

use sim_core::{BoxFuture, Routine, TaskId};
use sim_mmu::KeyRights;

use crate::arch::init::INIT_PKRU;
use crate::errno::Errno;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::{MmId, MmStruct};
use crate::settings::Pkeys;
use crate::vm_flags::VmFlags;

/// `arch_max_pkey()`: where the processor has no keys, there is key 0 alone.
fn arch_max_pkey(cpu: Cpu<'_>) -> u64 {
    if cpu.setting::<Pkeys>() == Pkeys::On { 16 } else { 1 }
}

/// What a task may do with pages of a key: `PKEY_DISABLE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PkeyRights {
    /// It may read and write.
    ReadWrite,
    /// It may read: `PKEY_DISABLE_WRITE`.
    Read,
    /// It may do neither: `PKEY_DISABLE_ACCESS`.
    Nothing,
}

impl PkeyRights {
    /// ADi and WDi.
    const fn bits(self) -> u32 {
        match self {
            PkeyRights::ReadWrite => 0b00,
            PkeyRights::Read => 0b10,
            PkeyRights::Nothing => 0b01,
        }
    }
}

impl Kernel {
    /// A thread begins with the rights of the task that made it, as `clone()` has it. Before it runs.
    pub fn inherit_pkru(&self, from: TaskId, to: TaskId) {
        let memory = &self.core().memory;
        memory.set(self.task_pkru(to), memory.get(self.task_pkru(from)));
    }
}

/// User code says what it may do with pages of a key from now on: RDPKRU, WRPKRU, as `pkey_set()` of the C library.
///
/// # Errors
/// `EINVAL` if there is no such key.
pub async fn pkey_set(cpu: Cpu<'_>, key: u64, rights: PkeyRights) -> Result<(), Errno> {
    if key >= arch_max_pkey(cpu) {
        return Err(Errno::Einval);
    }
    let KeyRights(pkru) = cpu.controls().pkru;
    let pkru = pkru & !(0b11 << (2 * key)) | rights.bits() << (2 * key);
    cpu.wrpkru(KeyRights(pkru)).await;
    if let Some(task) = cpu.task() {
        cpu.core.memory.set(cpu.kernel.task_pkru(task), u64::from(pkru ^ INIT_PKRU.0));
    }
    Ok(())
}

/// `pkru_write_default()`: the task has the rights with which a program begins: `init_pkru`.
pub(crate) async fn pkru_write_default(cpu: Cpu<'_>, task: TaskId) {
    if cpu.setting::<Pkeys>() == Pkeys::Off {
        return;
    }
    cpu.wrpkru(INIT_PKRU).await;
    cpu.core.memory.set(cpu.kernel.task_pkru(task), 0);
}

/// `pkey_alloc()`: the lowest key that the address space does not use yet, with rights for the caller. Other threads keep
/// what they had: none, unless they said otherwise.
///
/// # Errors
/// `ENOSPC` if there is none.
pub fn sys_pkey_alloc(cpu: Cpu<'_>, rights: PkeyRights) -> BoxFuture<'_, Result<u64, Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("sys_pkey_alloc"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        let key = {
            let _mmap_lock = cpu.down_write(mm.mmap_lock).await;
            mm_pkey_alloc(cpu, mm).await.ok_or(Errno::Enospc)?
        };
        // arch_set_user_pkey_access()
        pkey_set(cpu, key, rights).await?;
        Ok(key)
    })
}

/// `mm_pkey_alloc()`: the lowest key that is free. The caller holds `mmap_lock` for writing.
async fn mm_pkey_alloc(cpu: Cpu<'_>, mm: &MmStruct) -> Option<u64> {
    let map = cpu.load(cpu.kernel.pkey_allocation_map(mm.id)).await;
    let key = (1..arch_max_pkey(cpu)).find(|key| map & 1 << key == 0)?;
    cpu.store(cpu.kernel.pkey_allocation_map(mm.id), map | 1 << key).await;
    Some(key)
}

/// `execute_only_pkey()`: the key of mappings that may only be executed. The processor lets nobody read those by their entries, so
/// a key forbids it. The first such mapping takes a free key; `None` if there is none. The caller holds `mmap_lock` for writing.
///
/// Only the rights of the caller change. Other threads may read the pages if they gave themselves the right to.
pub(crate) async fn execute_only_pkey(cpu: Cpu<'_>, mm: &MmStruct) -> Option<u8> {
    let _routine = cpu.enter("execute_only_pkey");
    let context = cpu.kernel.execute_only_pkey(mm.id);
    let known = cpu.load(context).await;
    let key = if known == 0 { mm_pkey_alloc(cpu, mm).await? } else { known };
    let is_denied = !pkru_allows_pkey(cpu, key as u8, false);
    if known == 0 || !is_denied {
        // arch_set_user_pkey_access()
        pkey_set(cpu, key, PkeyRights::Nothing).await.ok()?;
    }
    if known == 0 {
        cpu.store(context, key).await;
    }
    Some(key as u8)
}

/// `vma_is_pkey_exec_only()`: whether the mapping has its key because it may only be executed. The caller holds `mmap_lock`.
pub(crate) fn vma_is_pkey_exec_only(cpu: Cpu<'_>, mm: &MmStruct, flags: VmFlags) -> bool {
    let key = cpu.this_cpu_read(cpu.kernel.execute_only_pkey(mm.id));
    flags & VmFlags::ACCESS_FLAGS == VmFlags::EXEC && key != 0 && key == u64::from(flags.pkey())
}

/// `pkey_free()`: the key may be given away once more. Mappings that have it keep it, and nobody's rights change.
///
/// # Errors
/// `EINVAL` if the address space has no such key.
pub fn sys_pkey_free(cpu: Cpu<'_>, key: u64) -> BoxFuture<'_, Result<(), Errno>> {
    Box::pin(async move {
        let _kernel = cpu.enter_kernel();
        let _routine = cpu.enter(Routine::system_call("sys_pkey_free"));
        let mm = cpu.current_mm().ok_or(Errno::Einval)?;
        let _mmap_lock = cpu.down_write(mm.mmap_lock).await;
        if key == 0 || !mm_pkey_is_allocated(cpu, mm, key) {
            return Err(Errno::Einval);
        }
        let map = cpu.load(cpu.kernel.pkey_allocation_map(mm.id)).await;
        cpu.store(cpu.kernel.pkey_allocation_map(mm.id), map & !(1 << key)).await;
        Ok(())
    })
}

/// `mm_pkey_is_allocated()`. The caller holds `mmap_lock`. Key 0 is every address space's. The key of what may only be executed is
/// the kernel's own, so users cannot name it.
pub(crate) fn mm_pkey_is_allocated(cpu: Cpu<'_>, mm: &MmStruct, key: u64) -> bool {
    let map = cpu.this_cpu_read(cpu.kernel.pkey_allocation_map(mm.id));
    let execute_only = cpu.this_cpu_read(cpu.kernel.execute_only_pkey(mm.id));
    key == 0 || key < arch_max_pkey(cpu) && map & 1 << key != 0 && key != execute_only
}

/// `arch_dup_pkeys()`: a child has its parent's keys.
pub(crate) fn arch_dup_pkeys(cpu: Cpu<'_>, oldmm: &MmStruct, mm: &MmStruct) {
    let map = cpu.this_cpu_read(cpu.kernel.pkey_allocation_map(oldmm.id));
    if map != 0 {
        cpu.this_cpu_write(cpu.kernel.pkey_allocation_map(mm.id), map);
        let execute_only = cpu.this_cpu_read(cpu.kernel.execute_only_pkey(oldmm.id));
        cpu.this_cpu_write(cpu.kernel.execute_only_pkey(mm.id), execute_only);
    }
}

/// `__pkru_allows_pkey()`: whether what runs here may read pages of a key, or write them.
pub(crate) fn pkru_allows_pkey(cpu: Cpu<'_>, key: u8, write: bool) -> bool {
    let pkru = cpu.controls().pkru;
    !(pkru.access_disabled(key) || write && pkru.write_disabled(key))
}

/// `arch_vma_access_permitted()`: whether the key of a mapping of `mm` allows an access to data by what runs here. Somebody
/// else's memory has somebody else's keys: there PKRU says nothing.
pub fn arch_vma_access_permitted(cpu: Cpu<'_>, mm: MmId, flags: VmFlags, write: bool, foreign: bool) -> bool {
    let foreign = foreign || cpu.current_mm().is_none_or(|current| current.id != mm);
    foreign || pkru_allows_pkey(cpu, flags.pkey(), write)
}
