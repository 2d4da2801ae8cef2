//! A guest runs, and its faults get their pages by GUP: `virt/kvm/kvm_main.c`, `arch/x86/kvm/mmu/mmu.c`.

use sim_core::{BoxFuture, Routine};
use sim_mm::{
    Cpu, Errno, GuestPage, MmStruct, kvm_fault_begins, kvm_guest_access, kvm_tdp_mmu_map, mm_has_notifiers,
};
use sim_mmu::VirtAddr;

use super::remote::RemoteOp;
use crate::flags::FollFlags;
use crate::get_user_pages::get_user_pages_unlocked;
use crate::get_user_pages_fast::__get_user_pages_fast;
use crate::pages::{Pages, Pin, put_pin};

/// `KVM_RUN`: the guest of the process reads the first word of a page, or writes to it. Answers the value.
///
/// # Errors
/// `EINVAL` if the process has no guest, `EFAULT` if the process has nothing there that may be accessed so, `EHWPOISON` if the memory is broken, of
/// which the process learns by `SIGBUS` (`kvm_handle_bad_page()`).
pub fn kvm_vcpu_ioctl<'m>(cpu: Cpu<'m>, va: VirtAddr, access: RemoteOp) -> BoxFuture<'m, Result<u64, Errno>> {
    Box::pin(async move {
        let _routine = cpu.enter(Routine::system_call("kvm_vcpu_ioctl"));
        let mm = cpu.current_mm().filter(|mm| mm_has_notifiers(cpu, mm)).ok_or(Errno::Einval)?;
        let write = match access {
            RemoteOp::Read => None,
            RemoteOp::Write(value) => Some(value),
        };
        loop {
            if let Some(value) = kvm_guest_access(cpu, mm, va, write).await {
                return Ok(value);
            }
            kvm_tdp_page_fault(cpu, mm, va, write.is_some()).await?;
        }
    })
}

/// `kvm_tdp_page_fault()`: the guest gets the page, or tries again.
async fn kvm_tdp_page_fault<'m>(cpu: Cpu<'m>, mm: &'m MmStruct, va: VirtAddr, write: bool) -> Result<(), Errno> {
    // While the guest runs, the CPU is as quiet for RCU as in user code.
    let _kernel = cpu.enter_kernel();
    let _routine = cpu.enter("kvm_tdp_page_fault");
    let begun = kvm_fault_begins(cpu, mm).await;
    let (pin, writable) = hva_to_pfn(cpu, va.page_base(), write).await?;
    kvm_tdp_mmu_map(cpu, mm, va.vpn(), GuestPage { page: pin.page, writable }, begun).await;
    // The guest has the page without a reference.
    put_pin(cpu, pin).await;
    Ok(())
}

/// `hva_to_pfn()`: the page at an address of the process, and whether the process may write to it.
async fn hva_to_pfn(cpu: Cpu<'_>, addr: VirtAddr, write: bool) -> Result<(Pin, bool), Errno> {
    // hva_to_pfn_fast(): a page that is read is mapped for writing if that costs nothing.
    if let Some(pin) = fast_only(cpu, addr).await {
        return Ok((pin, true));
    }
    // hva_to_pfn_slow()
    let mut pages = Pages::default();
    // A fault of the guest counts as an access of the process, so that the page can move to the node of the virtual CPU.
    let mut flags = FollFlags::HONOR_NUMA_FAULT | FollFlags::HWPOISON;
    flags.set(FollFlags::WRITE, write);
    get_user_pages_unlocked(cpu, addr, 1, &mut pages, flags).await.map_err(|errno| match errno {
        Errno::Ehwpoison => errno,
        _ => Errno::Efault,
    })?;
    let pin = pages.take().pop().ok_or(Errno::Efault)?;
    if write {
        return Ok((pin, true));
    }
    match fast_only(cpu, addr).await {
        Some(writable) => {
            put_pin(cpu, pin).await;
            Ok((writable, true))
        }
        None => Ok((pin, false)),
    }
}

/// `get_user_page_fast_only()` for writing.
async fn fast_only(cpu: Cpu<'_>, addr: VirtAddr) -> Option<Pin> {
    let mut pages = Pages::default();
    __get_user_pages_fast(cpu, addr, 1, true, &mut pages).await;
    pages.take().pop()
}
