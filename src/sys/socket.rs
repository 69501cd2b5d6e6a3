//! One name for "whatever owns a socket": `AsFd` on Unix, `AsSocket` on Windows.

use std::mem::ManuallyDrop;
use std::net::{SocketAddr, UdpSocket};

#[cfg(unix)]
mod os {
    pub use std::os::fd::{AsFd as AsSocketOs, BorrowedFd as BorrowedSocket};

    pub(crate) use std::os::fd::RawFd as RawSocket;

    use std::os::fd::{AsRawFd, FromRawFd};

    pub(super) fn borrow<T: AsSocketOs>(socket: &T) -> BorrowedSocket<'_> {
        socket.as_fd()
    }

    pub(crate) fn to_raw(socket: BorrowedSocket<'_>) -> RawSocket {
        socket.as_raw_fd()
    }

    pub(crate) fn to_number(socket: RawSocket) -> u64 {
        socket as u64
    }

    pub(super) unsafe fn from_raw<T: FromRawFd>(socket: RawSocket) -> T {
        // SAFETY: by the contract of the only caller, below.
        unsafe { T::from_raw_fd(socket) }
    }
}

#[cfg(windows)]
mod os {
    pub use std::os::windows::io::{AsSocket as AsSocketOs, BorrowedSocket};

    pub(crate) use std::os::windows::io::RawSocket;

    use std::os::windows::io::{AsRawSocket, FromRawSocket};

    pub(super) fn borrow<T: AsSocketOs>(socket: &T) -> BorrowedSocket<'_> {
        socket.as_socket()
    }

    pub(crate) fn to_raw(socket: BorrowedSocket<'_>) -> RawSocket {
        socket.as_raw_socket()
    }

    pub(crate) fn to_number(socket: RawSocket) -> u64 {
        socket
    }

    pub(super) unsafe fn from_raw<T: FromRawSocket>(socket: RawSocket) -> T {
        // SAFETY: by the contract of the only caller, below.
        unsafe { T::from_raw_socket(socket) }
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

pub(crate) use os::{RawSocket, to_number, to_raw};

/// The addresses of an internet socket at both ends, as far as it has them. (`getsockname`,
/// `getpeername`)
///
/// # Safety
///
/// * The socket is open, and stays so for the call.
pub(crate) unsafe fn addresses(socket: RawSocket) -> (Option<SocketAddr>, Option<SocketAddr>) {
    // Whatever socket it is: a type of std's that asks for both, of which nothing else is used.
    // SAFETY: it is open, by the contract, and the ManuallyDrop sees to it that it is not closed.
    let socket = ManuallyDrop::new(unsafe { os::from_raw::<UdpSocket>(socket) });
    (socket.local_addr().ok(), socket.peer_addr().ok())
}
