//! The two ends that a pipe can have here: one to read from and one to write to.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(super) use unix::{Receiver, Sender};

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(super) use windows::{Receiver, Sender};
