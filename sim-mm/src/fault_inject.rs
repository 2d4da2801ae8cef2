//! `lib/fault-inject.c`: allocations that fail although there is memory.

use crate::event::Event;
use crate::kernel::Cpu;
use crate::settings::AllocFailures;

/// `should_fail_alloc_page()`, `should_failslab()`: whether this allocation, of `what`, fails. That is a choice, as far as the
/// machine allows it; the simplest is that it does not.
pub(crate) fn should_fail(cpu: Cpu<'_>, what: &'static str) -> bool {
    let failed = cpu.kernel.alloc_failed;
    let may_fail = match cpu.setting::<AllocFailures>() {
        AllocFailures::None => return false,
        AllocFailures::One => !cpu.this_cpu_read(failed),
        AllocFailures::Any => true,
    };
    let fails = may_fail && cpu.core.choose_value("allocation", 2) == 1;
    if fails {
        cpu.this_cpu_write(failed, true);
        cpu.note(Event::AllocationFailed { what });
    }
    fails
}
