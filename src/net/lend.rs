//! Lending what the system knows a socket by. Who borrows it may make a duplicate, of which the
//! reactor has to know: see [`Registration::lend`](crate::reactor::Registration).

#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

use super::unix::{UnixListener, UnixStream};
use super::{TcpListener, TcpSocket, TcpStream, UdpSocket};

/// The traits of `std::os`, for types that have a method `lend`.
macro_rules! lend {
    ($($type:ty),* $(,)?) => {$(
        #[cfg(unix)]
        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.lend().as_fd()
            }
        }

        #[cfg(unix)]
        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.lend().as_raw_fd()
            }
        }

        #[cfg(windows)]
        impl AsSocket for $type {
            fn as_socket(&self) -> BorrowedSocket<'_> {
                self.lend().as_socket()
            }
        }

        #[cfg(windows)]
        impl AsRawSocket for $type {
            fn as_raw_socket(&self) -> RawSocket {
                self.lend().as_raw_socket()
            }
        }
    )*};
}

lend!(TcpListener, TcpSocket, TcpStream, UdpSocket);
lend!(UnixListener, UnixStream);
#[cfg(unix)]
lend!(super::unix::UnixDatagram);
