//! The cellar: calls to the operating system that the floors above need besides the event queue.
//!
//! `sys` and [`poller`](crate::poller) are the only rooms that import rustix, libc and
//! windows-sys. What the systems call differently has one name here.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::UnixAddr;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::UnixAddr;
#[cfg(windows)]
pub(crate) use windows::*;

#[cfg(not(has_reuseport))]
mod no_reuseport;
#[cfg(not(has_reuseport))]
pub(crate) use no_reuseport::*;

mod clock;
pub(crate) use clock::coarse_clock;

mod socket;
mod stream;

pub use socket::{AsSocket, BorrowedSocket};
pub(crate) use socket::{RawSocket, addresses, to_number, to_raw};
pub(crate) use stream::{ListeningSocket, StreamSocket};

use std::net::SocketAddr;

/// What kind of IP addresses a socket has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IpFamily {
    V4,
    V6,
}

impl IpFamily {
    pub(crate) fn of(address: &SocketAddr) -> IpFamily {
        match address {
            SocketAddr::V4(_) => IpFamily::V4,
            SocketAddr::V6(_) => IpFamily::V6,
        }
    }
}
