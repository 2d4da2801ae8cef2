//! Error numbers.

use std::fmt;

macro_rules! errnos {
    ($($(#[doc = $doc:literal])+ $errno:ident = $number:literal, $name:literal;)*) => {
        /// An errno.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(i64)]
        pub enum Errno { $($(#[doc = $doc])+ $errno = $number),* }

        impl Errno {
            /// Every errno.
            pub const ALL: &'static [Errno] = &[$(Errno::$errno),*];
        }

        impl fmt::Display for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Errno::$errno => $name),* })
            }
        }
    };
}

errnos! {
    /// Not permitted.
    Eperm = 1, "EPERM";
    /// There is nothing of that name, or nothing that was registered.
    Enoent = 2, "ENOENT";
    /// No such process.
    Esrch = 3, "ESRCH";
    /// A signal came first.
    Eintr = 4, "EINTR";
    /// Input or output failed.
    Eio = 5, "EIO";
    /// There is no such thing.
    Enxio = 6, "ENXIO";
    /// No such descriptor.
    Ebadf = 9, "EBADF";
    /// Try again.
    Eagain = 11, "EAGAIN";
    /// Out of memory, or nothing is mapped there.
    Enomem = 12, "ENOMEM";
    /// Permission denied.
    Eacces = 13, "EACCES";
    /// Bad address.
    Efault = 14, "EFAULT";
    /// Somebody else uses it.
    Ebusy = 16, "EBUSY";
    /// Something is there already.
    Eexist = 17, "EEXIST";
    /// No such device, and no such node.
    Enodev = 19, "ENODEV";
    /// Invalid argument.
    Einval = 22, "EINVAL";
    /// The file would be too large.
    Efbig = 27, "EFBIG";
    /// There is no room.
    Enospc = 28, "ENOSPC";
    /// The kernel has no such system call.
    Enosys = 38, "ENOSYS";
    /// The number is too large.
    Eoverflow = 75, "EOVERFLOW";
    /// The file cannot do that.
    Eopnotsupp = 95, "EOPNOTSUPP";
    /// The memory is broken.
    Ehwpoison = 133, "EHWPOISON";
}

impl Errno {
    /// As a system call returns it.
    pub fn code(self) -> i64 {
        -(self as i64)
    }
}
