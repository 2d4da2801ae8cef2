//! `vmas`: compares the list of mappings of a process with what is expected of it.

use std::fmt;

use sim_mm::{VmaSnapshot, find_vma};
use sim_mmu::VirtAddr;

use super::expected::{ExpectedVmas, vma_text};
use super::{Operation, Running, operation};
use crate::stage::{Mismatch, Task};

operation! {
    /// Looks at the list of mappings of the process, as `/proc/PID/maps` shows it. If it is not as expected, the check
    /// fails, with both lists. Answers how many mappings there are.
    "vmas" Vmas {
        /// The mappings that the list is expected to have. It may have others as well.
        required "expect" expect: ExpectedVmas,
    }
}

impl fmt::Display for Vmas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expect mappings: {}", self.expect)
    }
}

impl Vmas {
    /// Notes the difference, if the list is not as expected.
    fn compare(&self, task: Task<'_>, list: &[VmaSnapshot]) {
        if self.expect.are_in(list, |at| task.address(at).ok()) {
            return;
        }
        let found: Vec<String> = list.iter().map(|vma| vma_text(vma, task.page_name(vma.start))).collect();
        let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
        task.note_mismatch(Mismatch { expected: self.expect.to_string(), found });
    }
}

impl Operation for Vmas {
    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let mm = task.cpu.kernel.mm(task.mm()?);
            let _kernel = task.cpu.enter_kernel();
            // `show_map()` does the same. The list stays as it is while `mmap_lock` is held.
            let _mmap_lock = task.cpu.down_read(mm.mmap_lock).await;
            find_vma(task.cpu, mm, VirtAddr(0)).await;
            let list = task.cpu.kernel.vma_list(mm);
            self.compare(task, &list);
            Ok(list.len() as i64)
        })
    }
}
