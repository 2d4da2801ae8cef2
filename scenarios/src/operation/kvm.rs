//! `kvm_create_vm`, `guest_read` and `guest_write`: a guest whose memory is that of its process.

use std::fmt;

use sim_gup::callers::{RemoteOp, kvm_vcpu_ioctl};
use sim_mm::{Release, kvm_create_vm};

use super::argument::{NewValue, Word};
use super::{Operation, Running, as_text, operation};
use crate::stage::{Place, Task};

operation! {
    /// The process gets a virtual machine: `KVM_CREATE_VM`. The memory of the guest is that of the process, at the same addresses. A secondary MMU
    /// leads to it. It holds no references. MMU notifiers tell it before an entry of the process changes. If the process has a guest already, the
    /// operation fails with `EBUSY`.
    "kvm_create_vm" KvmCreateVm since [Release::v26(27)] {}
}

operation! {
    /// The guest of the process reads the first word of a page: `KVM_RUN`. What its secondary MMU does not have, it gets by GUP. If the process
    /// has no guest, the operation fails with `EINVAL`, and with `EFAULT` where the process itself could not read. If the memory is broken, it fails
    /// with `EHWPOISON`: in Linux the process gets `SIGBUS`.
    "guest_read" GuestRead since [Release::v26(27)] {
        /// The page.
        required "from" from: Place,
        /// The name of the value in checks.
        optional "as" name: NewValue,
    }
}

operation! {
    /// The guest of the process writes to the first word of a page: `KVM_RUN`. If the process has no guest, the operation fails with `EINVAL`, and
    /// with `EFAULT` where the process itself could not write.
    "guest_write" GuestWrite since [Release::v26(27)] {
        /// The page.
        required "to" to: Place,
        /// The value.
        required "value" value: Word,
    }
}

impl fmt::Display for KvmCreateVm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("create a virtual machine")
    }
}

impl fmt::Display for GuestRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest reads {}{}", self.from, as_text(self.name.as_ref()))
    }
}

impl fmt::Display for GuestWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest writes {} to {}", self.value, self.to)
    }
}

impl Operation for KvmCreateVm {
    fn routine(&self) -> Option<&'static str> {
        Some("kvm_create_vm")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            kvm_create_vm(task.cpu).await?;
            Ok(0)
        })
    }
}

impl Operation for GuestRead {
    fn routine(&self) -> Option<&'static str> {
        Some("kvm_vcpu_ioctl")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.address(&self.from)?;
            let value = kvm_vcpu_ioctl(task.cpu, va, RemoteOp::Read).await?;
            task.keep(self.name.as_deref(), value);
            Ok(value.cast_signed())
        })
    }
}

impl Operation for GuestWrite {
    fn routine(&self) -> Option<&'static str> {
        Some("kvm_vcpu_ioctl")
    }

    fn run<'m>(&'m self, task: Task<'m>) -> Running<'m> {
        Box::pin(async move {
            let va = task.address(&self.to)?;
            kvm_vcpu_ioctl(task.cpu, va, RemoteOp::Write(self.value)).await?;
            Ok(0)
        })
    }
}
