//! The cellar: calls to the operating system that the floors above need besides the event queue.
//!
//! `sys` and [`poller`](crate::poller) are the only rooms that import rustix, libc and
//! windows-sys. What the systems call differently has one name here.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(crate) use windows::*;

mod socket;
pub use socket::{AsSocket, BorrowedSocket};
