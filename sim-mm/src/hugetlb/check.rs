//! The recount of the pool, and of the tables that address spaces share.

use std::collections::BTreeSet;

use sim_mmu::{Level, Pfn, VirtAddr, Vpn};

use crate::hugetlb_types::{Hstate, HugePageSize, Reservation};
use crate::kernel::Kernel;
use crate::miscount::Miscount;
use crate::mm_types::{MmId, Page, VmaSnapshot};
use crate::vm_flags::VmFlags;

impl Kernel {
    /// How many entries map a page at these places. One entry of a table that address spaces share is found at several.
    pub fn count_entries(&self, places: &[(MmId, Vpn)]) -> u64 {
        if !self.has_hugetlb() {
            return places.len() as u64;
        }
        let entry = |&(mm, vpn): &(MmId, Vpn)| {
            let root = Pfn(self.core().memory.get(self.mm(mm).pgd().loc()));
            let (table, level, _) = self.mmu.lowest_under(root, vpn.base());
            (table, self.mmu.geometry.index(vpn.base(), level))
        };
        places.iter().map(entry).collect::<BTreeSet<(Pfn, u32)>>().len() as u64
    }

    /// Whether a pool has all its pages.
    fn check_pool(&self, hstate: &Hstate) -> Result<(), Miscount> {
        let memory = &self.core().memory;
        let free = hstate.freelist.peek();
        let is_used = |head: &Page| memory.get(self.refcount(*head).loc()) > 0;
        let is_of_pool = |page: &Page| self.is_hugetlb(*page) && std::ptr::eq(self.hstate_of(*page), hstate);
        let heads = self.mem_map.pfns().map(Page).filter(is_of_pool);
        let has = heads.filter(|head| is_used(head) || free.contains(head)).count() as u64;
        let says = memory.get(hstate.nr_huge_pages.loc());
        if says != has {
            return Err(Miscount::HugePages { says, has });
        }
        match free.iter().copied().find(is_used) {
            Some(page) => Err(Miscount::FreeInUse { page }),
            None => Ok(()),
        }
    }

    /// Whether a pool counts what is set aside, and has it.
    fn check_set_aside(&self, size: HugePageSize) -> Result<(), Miscount> {
        let memory = &self.core().memory;
        let hstate = self.hugetlb.hstate(size);
        let is_of_size = |key: &Reservation| {
            memory.get(self.shmem.inodes.record(key.file as usize).hstate().loc()) == size.to_word()
        };
        let reservations = self.hugetlb.reservations.peek();
        let has = reservations.iter().filter(|(key, taken)| !**taken && is_of_size(key)).count() as u64;
        let (says, free) = (memory.get(hstate.resv_huge_pages.loc()), hstate.freelist.peek().len() as u64);
        if says != has || has > free { Err(Miscount::HugePagesSetAside { says, has, free }) } else { Ok(()) }
    }

    /// Whether an address space has a private mapping of the page for which a huge page is set aside.
    fn maps_for_itself(&self, mm: MmId, reservation: &Reservation) -> bool {
        let has = |vma: &VmaSnapshot| {
            let pages = vma.end.vpn().0 - vma.start.vpn().0;
            let is_of_file = vma.file.is_some_and(|file| file.index() as u32 == reservation.file);
            let is_private = !vma.flags.contains(VmFlags::MAYSHARE);
            is_of_file && is_private && (vma.pgoff..vma.pgoff + pages).contains(&reservation.index)
        };
        self.vma_list(self.mm(mm)).iter().any(has)
    }

    /// Whether some mapping at this place may share the table there: it covers all that the table translates.
    fn may_share(&self, mm: MmId, start: VirtAddr) -> bool {
        let end = VirtAddr(start.0 + self.mmu.geometry.span(Level::Pud));
        let covers = |vma: &VmaSnapshot| {
            vma.start <= start && end <= vma.end && vma.flags.contains(VmFlags::HUGETLB | VmFlags::MAYSHARE)
        };
        self.vma_list(self.mm(mm)).iter().any(covers)
    }

    /// Whether the pools have all their pages, what is set aside is counted, and each table is counted as often as it is used, and shared only where a
    /// mapping may. `tables` are those that entries lead to, as often as they do, with where they do.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub(crate) fn check_hugetlb(&self, tables: &[(Pfn, MmId, VirtAddr)]) -> Result<(), Miscount> {
        if !self.has_hugetlb() {
            return Ok(());
        }
        let memory = &self.core().memory;
        for size in [HugePageSize::Huge, HugePageSize::Gigantic] {
            self.check_pool(self.hugetlb.hstate(size))?;
            self.check_set_aside(size)?;
        }
        for reservation in
            self.hugetlb.reservations.peek().iter().filter(|(_, taken)| !**taken).map(|(key, _)| key)
        {
            if let Some(mm) = reservation.owner.filter(|mm| !self.maps_for_itself(*mm, reservation)) {
                return Err(Miscount::SetAsideForNone { mm, index: reservation.index });
            }
        }
        for (table, mm, start) in tables {
            let users = tables.iter().filter(|(other, ..)| other == table).count() as u64;
            let count = memory.get(self.page(Page(*table)).pt_share_count().loc());
            if count + 1 != users {
                return Err(Miscount::TableUsers { table: *table, count, users });
            }
            if users > 1 && !self.may_share(*mm, *start) {
                return Err(Miscount::SharedInPart { mm: *mm, va: *start });
            }
        }
        Ok(())
    }
}
