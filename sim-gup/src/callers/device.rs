//! A device that uses pinned pages: direct I/O, RDMA.
//!
//! The device uses physical addresses. It has no translation, no fault and no store buffer. The CPU that asks for
//! the transfer acts for the device.

use sim_core::{Op, OpKind};
use sim_mm::{Cpu, Event, MmId};

use crate::pages::Pin;

/// The device reads the first word of a pinned page, for its owner.
#[track_caller]
pub fn device_read<'m>(cpu: Cpu<'m>, pin: Pin) -> impl Future<Output = u64> + use<'m> {
    let op = Op::new(OpKind::Walk, cpu.mmu.phys.word(pin.page.0, 0));
    cpu.step(op, move |hw| {
        let value = hw.core.memory.get(op.loc);
        hw.perform_rmw(&op, value, value);
        touched(cpu, pin, pin.mm, value, false);
        value
    })
}

/// The device writes the first word of a pinned page, for its owner.
#[track_caller]
pub fn device_write<'m>(cpu: Cpu<'m>, pin: Pin, value: u64) -> impl Future<Output = ()> + use<'m> {
    let op = Op::new(OpKind::Rmw, cpu.mmu.phys.word(pin.page.0, 0));
    cpu.step(op, move |hw| {
        hw.perform_rmw(&op, hw.core.memory.get(op.loc), value);
        touched(cpu, pin, pin.mm, value, true);
    })
}

pub(super) fn touched(cpu: Cpu<'_>, pin: Pin, mm: MmId, value: u64, write: bool) {
    cpu.note(Event::PinTouched { id: pin.id, mm, pfn: pin.page.0, word: 0, value, write });
}
