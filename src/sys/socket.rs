//! One name for "whatever owns a socket": `AsFd` on Unix, `AsSocket` on Windows.

#[cfg(unix)]
mod os {
    pub use std::os::fd::{AsFd as AsSocketOs, BorrowedFd as BorrowedSocket};

    pub(super) fn borrow<T: AsSocketOs>(socket: &T) -> BorrowedSocket<'_> {
        socket.as_fd()
    }
}

#[cfg(windows)]
mod os {
    pub use std::os::windows::io::{AsSocket as AsSocketOs, BorrowedSocket};

    pub(super) fn borrow<T: AsSocketOs>(socket: &T) -> BorrowedSocket<'_> {
        socket.as_socket()
    }
}

/// A borrowed socket: `std`'s `BorrowedFd` on Unix, `BorrowedSocket` on Windows.
pub type BorrowedSocket<'a> = os::BorrowedSocket<'a>;

/// Whatever has a socket to lend: everything that is `AsFd` on Unix or `AsSocket` on Windows.
pub trait AsSocket {
    /// The socket, for as long as `self` is borrowed.
    fn as_socket_ref(&self) -> BorrowedSocket<'_>;
}

impl<T: os::AsSocketOs> AsSocket for T {
    fn as_socket_ref(&self) -> BorrowedSocket<'_> {
        os::borrow(self)
    }
}
