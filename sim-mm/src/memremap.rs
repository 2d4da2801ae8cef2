//! `mm/memremap.c`: the pages of a device, and references to their map. While somebody has one the descriptors of the pages stay.

use sim_core::{Routine, Word};
use sim_mmu::Pfn;

use crate::dev_pagemap::{DYING, REFERENCE};
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::Page;
use crate::page_flags::PageType;
use crate::settings::{DaxPages, PgmapPages};

/// A reference to the map of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Pgmap(());

/// `get_dev_pagemap()`: a reference to the map that a page of the device belongs to; none if the map is dying.
///
/// A dying map is looked up like a live one. `percpu_ref_tryget_live()` tells them apart, and is one step here.
pub async fn get_dev_pagemap(cpu: Cpu<'_>) -> Option<Pgmap> {
    let _routine = cpu.enter(Routine::helper("get_dev_pagemap"));
    let take = |word: u64| if word & DYING != 0 { word } else { word + REFERENCE };
    let old = cpu.rmw(cpu.kernel.pgmap.references, take).await;
    (old & DYING == 0).then_some(Pgmap(()))
}

/// `put_dev_pagemap()`.
pub async fn put_dev_pagemap(cpu: Cpu<'_>, _pgmap: Pgmap) {
    put_references(cpu, 1).await;
}

/// `percpu_ref_put_many()`.
pub(crate) async fn put_references(cpu: Cpu<'_>, count: u64) {
    let _routine = cpu.enter(Routine::helper("put_dev_pagemap"));
    cpu.rmw(cpu.kernel.pgmap.references, move |word: u64| word.wrapping_sub(count * REFERENCE)).await;
}

/// `__put_page()` of a page of the device, `free_zone_device_page()` since v5.18: nobody has a reference to it any more. It stays the device's. Until v5.17 each page has a
/// reference to the map, which its last holder puts.
pub(crate) async fn free_zone_device_page(cpu: Cpu<'_>) {
    if cpu.setting::<PgmapPages>() == PgmapPages::Each {
        put_references(cpu, 1).await;
    }
}

impl Kernel {
    /// Whether the machine has a device with memory of its own.
    #[inline]
    pub fn has_device(&self) -> bool {
        !self.pgmap.frames.is_empty()
    }

    /// `is_zone_device_page()`.
    #[inline]
    pub fn is_zone_device(&self, pfn: Pfn) -> bool {
        self.pgmap.contains(pfn)
    }

    /// What the count of a page of the device is while nobody uses the page.
    pub(crate) fn idle_count(&self) -> u64 {
        u64::from(self.config.setting::<DaxPages>() == DaxPages::Devmap)
    }

    /// `memremap_pages()`: the device has its descriptors, and nobody allocates its frames.
    pub(crate) fn boot_device(&self) {
        let memory = &self.core().memory;
        let frames = self.pgmap.frames.clone();
        for page in frames.clone().map(|pfn| Page(Pfn(pfn))) {
            self.any_frame.reserve(memory, page.0);
            memory.set(self.refcount(page).loc(), self.idle_count());
            memory.set(self.page(page).page_type().loc(), PageType::InUse.into_word());
        }
        if self.has_device() {
            memory.set(self.pgmap.memmap.loc(), 1);
            memory.set(self.pgmap.alive.loc(), 1);
            memory.set(self.pgmap.references.loc(), (1 + frames.end - frames.start) * REFERENCE);
        }
    }

    /// How many references a page has that nobody holds: for those who look at the machine when nothing is going on. None, if it has no descriptor.
    /// A page that is broken keeps that of `memory_failure()`.
    pub fn idle_references(&self, page: Page) -> Option<u64> {
        if !self.is_zone_device(page.0) {
            return Some(self.hwpoison_references(page));
        }
        let memory = &self.core().memory;
        (!memory.get(self.pgmap.memmap.loc()).is_multiple_of(2)).then(|| self.idle_count())
    }

    /// Whether a file on the device has a page there. For the same.
    pub fn is_block(&self, pfn: Pfn) -> bool {
        self.is_zone_device(pfn) && self.pgmap.is_used(Page(pfn))
    }
}
