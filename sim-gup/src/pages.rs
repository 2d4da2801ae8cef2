//! The array of pages that GUP fills.

use sim_core::BoxFuture;
use sim_mm::{Cpu, Errno, Event, MmId, MmStruct, Page, Pgmap, Vma, pin_references, put_page, unpin_user_page};
use sim_mmu::{Level, VirtAddr};

use crate::flags::FollFlags;

/// Which kind of reference a page was given out with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grab {
    /// `FOLL_GET`.
    Get,
    /// `FOLL_PIN`.
    Pin,
}

/// A page with the reference that its holder must drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Tells references of one run apart.
    pub id: u64,
    /// The page.
    pub page: Page,
    /// The kind of the reference.
    pub grab: Grab,
    /// The address space that it was got from.
    pub mm: MmId,
    /// The user address that it was behind.
    pub va: VirtAddr,
}

/// `struct page **pages` with `nr`: what was got so far, in the order of the addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    pins: Vec<Pin>,
    /// In a box, as what hardly anybody needs.
    context: Option<Box<Context>>,
}

/// What the one who fills the array has beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Context {
    /// `ctx->pgmap`, and `pgmap` of `gup_pte_range()`: a reference to the map of a device.
    pgmap: Option<Pgmap>,
    /// `vmas`: the mapping of each page.
    vmas: Option<Vec<Vma>>,
    /// The address space that the lockless walk looks at, if it is not the caller's.
    walked: Option<MmId>,
}

impl Pages {
    /// `*nr`.
    pub fn nr(&self) -> u64 {
        self.pins.len() as u64
    }

    /// The pages.
    pub fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// A function of GUP that was asked for `nr_pages` pages from `start` on returns: `told` is what it says, and the array had `before` pages
    /// when it began.
    pub(crate) fn returned(
        &self,
        cpu: Cpu<'_>,
        (start, nr_pages): (VirtAddr, u64),
        before: u64,
        told: Result<u64, Errno>,
    ) {
        let handed = self.pins.iter().skip(before as usize).map(|pin| pin.va).collect();
        cpu.note(Event::GupReturned { start, nr_pages, told: told.ok(), handed });
    }

    /// Hands the pages over.
    pub fn take(&mut self) -> Vec<Pin> {
        std::mem::take(&mut self.pins)
    }

    /// Hands over those that one page table maps, of pages that came in the order of their addresses.
    pub(crate) fn take_of_table(&mut self, cpu: Cpu<'_>, addr: VirtAddr) -> Vec<Pin> {
        let table = VirtAddr(addr.0 & !(cpu.mmu.geometry.span(Level::Pmd) - 1));
        let first = self.pins.partition_point(|pin| pin.va < table);
        self.pins.split_off(first)
    }

    /// Whether there is a reference to the map of a device.
    pub(crate) fn has_pgmap(&self) -> bool {
        self.context.as_ref().is_some_and(|context| context.pgmap.is_some())
    }

    /// Keeps such a reference.
    pub(crate) fn hold_pgmap(&mut self, pgmap: Pgmap) {
        self.context.get_or_insert_default().pgmap = Some(pgmap);
    }

    /// Hands it over.
    pub(crate) fn take_pgmap(&mut self) -> Option<Pgmap> {
        self.context.as_mut()?.pgmap.take()
    }

    /// From now on the mappings of the pages are wanted as well. They may be used as long as `mmap_lock` is held.
    pub(crate) fn collect_vmas(&mut self) {
        self.context.get_or_insert_default().vmas = Some(Vec::new());
    }

    /// `vmas[i] = vma`.
    pub(crate) fn push_vma(&mut self, vma: Vma) {
        if let Some(vmas) = self.context.as_mut().and_then(|context| context.vmas.as_mut()) {
            vmas.push(vma);
        }
    }

    /// Hands the mappings over.
    pub(crate) fn take_vmas(&mut self) -> Vec<Vma> {
        self.context.as_mut().and_then(|context| context.vmas.take()).unwrap_or_default()
    }

    /// Takes back all but the first pages.
    pub(crate) fn split_off(&mut self, nr: u64) -> Vec<Pin> {
        self.pins.split_off(nr as usize)
    }

    /// The lockless walk is to look at the tables of another process.
    pub(crate) fn walk_another(&mut self, mm: &MmStruct) {
        self.context.get_or_insert_default().walked = Some(mm.id);
    }

    /// The address space whose tables the lockless walk looks at.
    pub(crate) fn walked<'m>(&self, cpu: Cpu<'m>) -> Option<&'m MmStruct> {
        let another = self.context.as_ref().and_then(|context| context.walked);
        another.map(|mm| cpu.kernel.mm(mm)).or_else(|| cpu.current_mm())
    }

    /// The same as [`push`](Pages::push), for the address space that is walked.
    pub(crate) fn push_own(&mut self, cpu: Cpu<'_>, page: Page, va: VirtAddr, flags: FollFlags) {
        if let Some(mm) = self.walked(cpu) {
            self.push(cpu, mm.id, page, va, flags);
        }
    }

    /// `pages[*nr] = page; (*nr)++`: the page and its reference are the caller's from here on.
    pub(crate) fn push(&mut self, cpu: Cpu<'_>, mm: MmId, page: Page, va: VirtAddr, flags: FollFlags) {
        let id = cpu.kernel.next_pin();
        let grab = if flags.contains(FollFlags::PIN) { Grab::Pin } else { Grab::Get };
        let references = if grab == Grab::Pin { pin_references(cpu, page) } else { 1 };
        let write = flags.contains(FollFlags::WRITE);
        let longterm = flags.contains(FollFlags::LONGTERM);
        cpu.note(Event::Pinned { id, mm, va, pfn: page.0, write, references, longterm });
        self.pins.push(Pin { id, page, grab, mm, va });
    }
}

/// `put_page()` or `unpin_user_page()` by a holder that got the page from GUP.
pub fn put_pin(cpu: Cpu<'_>, pin: Pin) -> BoxFuture<'_, ()> {
    Box::pin(do_put_pin(cpu, pin))
}

async fn do_put_pin(cpu: Cpu<'_>, pin: Pin) {
    cpu.note(Event::Unpinned { id: pin.id });
    match pin.grab {
        Grab::Get => put_page(cpu, pin.page).await,
        Grab::Pin => unpin_user_page(cpu, pin.page).await,
    }
}
