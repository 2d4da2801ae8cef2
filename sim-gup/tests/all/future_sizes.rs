//! The room that the future of a system call takes on the heap. This is a ratchet: the numbers may fall, and never rise.
//!
//! Each run of a machine makes such a future for every system call. A future holds the futures of everything that it calls,
//! up to the next border. So one more level of calls, or a large value that is kept across an access, shows here first.

use crate::KERNELS;
use sim_core::{BoxFuture, MemoryBuilder, TaskId};
use sim_gup::callers::{Pipe, pipe_read, vmsplice};
use sim_gup::{__get_user_pages_fast, FollFlags, Pages, get_user_pages_fast, get_user_pages_unlocked};
use sim_mm::arch::fault::user_access;
use sim_mm::{MmId, Mmap, do_exit, madvise_dontneed, sys_fork, sys_mmap, sys_munmap};
use sim_mm_testing::{Machine, address};
use sim_mmu::DataOp;

fn size<T>(future: BoxFuture<'_, T>) -> usize {
    size_of_val(&*future)
}

#[test]
fn futures_of_system_calls_do_not_grow() {
    let mut memory = MemoryBuilder::default();
    let pipe = Pipe::new(&mut memory, "pipe");
    let machine = Machine::with(KERNELS.setup(), memory);
    let cpu = machine.shell(0, 0).cpu;
    let (start, end) = (address(1), address(2));
    let mut pages = Pages::default();
    let sizes = [
        ("user_access", size(user_access(cpu, start, DataOp::Read)), 808),
        ("sys_mmap", size(sys_mmap(cpu, Mmap::default())), 792),
        ("sys_munmap", size(sys_munmap(cpu, start, end)), 2472),
        ("madvise_dontneed", size(madvise_dontneed(cpu, start, end)), 2264),
        ("sys_fork", size(sys_fork(cpu)), 3248),
        ("do_exit", size(do_exit(cpu, TaskId(0))), 272),
        ("get_user_pages_fast", size(get_user_pages_fast(cpu, start, 1, true, &mut pages)), 1896),
        ("__get_user_pages_fast", size(__get_user_pages_fast(cpu, start, 1, true, &mut pages)), 1704),
        (
            "get_user_pages_unlocked",
            size(get_user_pages_unlocked(cpu, start, 1, &mut pages, FollFlags::empty())),
            2088,
        ),
        ("vmsplice", size(vmsplice(cpu, &pipe, start, 1)), 312),
        ("pipe_read", size(pipe_read(cpu, &pipe, MmId(0))), 360),
    ];
    let larger: Vec<_> = sizes.iter().filter(|(_, size, most)| size > most).collect();
    assert!(larger.is_empty(), "{larger:#?} of {sizes:#?}");
}
