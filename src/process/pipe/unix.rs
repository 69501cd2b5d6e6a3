//! Pipes on Unix: sources like any other.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::task::{Context, Poll};

use crate::reactor::{Direction, Interest, Registration};
use crate::sys;

/// An end to read from.
#[derive(Debug)]
pub(in super::super) struct Receiver {
    registration: Registration<File>,
}

impl Receiver {
    pub(in super::super) fn new(end: OwnedFd) -> io::Result<Receiver> {
        let registration = Registration::with_interest(File::from(end), Interest::READABLE)?;
        Ok(Receiver { registration })
    }

    pub(in super::super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.registration
            .poll_io(cx, Direction::Read, |mut pipe| pipe.read(buffer))
    }

    pub(in super::super) fn into_owned_fd(self) -> io::Result<OwnedFd> {
        give_back(self.registration)
    }
}

/// An end to write to.
#[derive(Debug)]
pub(in super::super) struct Sender {
    /// `None` when closed.
    registration: Option<Registration<File>>,
}

impl Sender {
    pub(in super::super) fn new(end: OwnedFd) -> io::Result<Sender> {
        let registration = Registration::with_interest(File::from(end), Interest::WRITABLE)?;
        Ok(Sender {
            registration: Some(registration),
        })
    }

    pub(in super::super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &self.registration {
            Some(registration) => {
                registration.poll_io(cx, Direction::Write, |mut pipe| pipe.write(bytes))
            }
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// The system has it.
    pub(in super::super) fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    #[cfg_attr(not(feature = "futures-io"), allow(dead_code))]
    pub(in super::super) fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registration = None;
        Poll::Ready(Ok(()))
    }

    pub(in super::super) fn into_owned_fd(self) -> io::Result<OwnedFd> {
        give_back(self.registration.ok_or(io::ErrorKind::NotConnected)?)
    }
}

fn give_back(registration: Registration<File>) -> io::Result<OwnedFd> {
    let end = OwnedFd::from(registration.into_source()?);
    sys::set_fd_blocking(end.as_fd())?;
    Ok(end)
}
