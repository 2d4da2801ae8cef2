//! `arch/x86/kernel/idt.c`: the handler of each interrupt. The code that runs between two tasks is here too.

use sim_core::{BoxFuture, TaskId, Vector};

use crate::arch::smp::flush_smp_call_function_queue;
use crate::arch::tlb::switch_mm_irqs_off;
use crate::kernel::{Cpu, Kernel};
use crate::mm_types::MmId;
use crate::rcu::RCU_VECTOR;
use crate::rcu_batch::rcu_do_batch;
use crate::smp::CALL_FUNCTION_VECTOR;

impl<'m> sim_core::Platform<'m> for Kernel {
    fn interrupt(&'m self, cpu: sim_core::Cpu<'m>, vector: Vector) -> BoxFuture<'m> {
        let cpu = Cpu::new(self, cpu.id);
        match vector {
            CALL_FUNCTION_VECTOR => Box::pin(flush_smp_call_function_queue(cpu)),
            RCU_VECTOR => Box::pin(rcu_do_batch(cpu)),
            Vector(number) => panic!("simulator defect: no handler for vector {number}"),
        }
    }

    fn switch_to(&'m self, cpu: sim_core::Cpu<'m>, next: TaskId) -> Option<BoxFuture<'m>> {
        let cpu = Cpu::new(self, cpu.id);
        // PKRU goes with the task.
        self.pkru_load(cpu.id, next);
        let next = MmId::from_word(self.core().memory.get(self.task_mm(next)));
        (next != cpu.loaded_mm() || cpu.is_lazy())
            .then(|| -> BoxFuture<'m> { Box::pin(switch_mm_irqs_off(cpu, next.map(|id| self.mm(id)))) })
    }

    fn rcu_vector(&self) -> Vector {
        RCU_VECTOR
    }
}
