//! Our ends of a child's standard pipes.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::pipe::{Receiver, Sender};

/// The writing end of a child's standard input. See [`Child::stdin`](super::Child::stdin).
///
/// Dropping it closes the pipe: the child sees the end of its input when it has read what was
/// written.
///
/// With the feature `futures-io`, which is on by default, it is `futures_io::AsyncWrite`, whose
/// `close` closes the pipe.
///
/// # Platform behaviour
///
/// | | Unix | Windows |
/// |---|---|---|
/// | what was written is | in the system's buffer | on its way to it: an error may show at the next `write` or `flush` only |
/// | [`flush`](ChildStdin::flush) waits | for nothing | until the system has taken what was written |
/// | when this program ends | what was written is in the pipe | what is still on its way is lost: [`flush`](ChildStdin::flush) before |
/// | dropping | closes the pipe | closes the pipe as soon as the system has taken what was written |
pub struct ChildStdin {
    pub(super) pipe: Sender,
}

impl ChildStdin {
    pub(super) fn new(std: std::process::ChildStdin) -> io::Result<ChildStdin> {
        let pipe = Sender::new(std.into())?;
        Ok(ChildStdin { pipe })
    }

    /// Writes as much as there is room for (`write`), waiting until there is some.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the child has closed its end, or has exited.
    ///
    /// # Cancel safety
    ///
    /// Nothing has been written if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [`Command`](super::Command).
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(cx, bytes)).await
    }

    /// Writes everything.
    ///
    /// # Errors
    ///
    /// Those of [`write`](ChildStdin::write).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part may have been written, and nobody knows how much it is.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => rest = &rest[count..],
            }
        }
        Ok(())
    }

    /// Waits until the system has taken what was written.
    ///
    /// # Errors
    ///
    /// Those of [`write`](ChildStdin::write).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// [`write`](ChildStdin::write) for those who write a future by hand. The waker of the latest
    /// caller is kept.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.pipe.poll_write(cx, bytes)
    }

    /// [`flush`](ChildStdin::flush) for those who write a future by hand.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.poll_flush(cx)
    }
}

/// The reading end of a child's standard output. See [`Child::stdout`](super::Child::stdout).
///
/// Dropping it closes the pipe: if the child writes on, it is an error to it.
///
/// With the feature `futures-io`, which is on by default, it is `futures_io::AsyncRead`.
pub struct ChildStdout {
    pub(super) pipe: Receiver,
}

/// The reading end of a child's standard error. See [`Child::stderr`](super::Child::stderr), and
/// [`ChildStdout`], which is the same in every respect.
pub struct ChildStderr {
    pub(super) pipe: Receiver,
}

/// The two reading ends differ in their names.
macro_rules! reading_end {
    ($name:ident) => {
        impl $name {
            pub(super) fn new(std: std::process::$name) -> io::Result<$name> {
                let pipe = Receiver::new(std.into())?;
                Ok($name { pipe })
            }

            /// Reads what there is (`read`), waiting until there is something. 0 is the end: nobody
            /// has the writing end any more. (An empty buffer gives 0 as well.)
            ///
            /// # Errors
            ///
            /// What the system says.
            ///
            /// # Cancel safety
            ///
            /// Nothing has been read if the future is dropped before it is finished.
            pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                poll_fn(|cx| self.poll_read(cx, buffer)).await
            }

            /// Reads until the buffer is full.
            ///
            /// # Errors
            ///
            /// `UnexpectedEof` if the pipe ends before, and those of `read`. What the buffer holds is
            /// unspecified then.
            ///
            /// # Cancel safety
            ///
            /// Not cancel safe: what has been read is in the buffer, but nobody knows how much it is.
            pub async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
                let mut rest = buffer;
                while !rest.is_empty() {
                    match self.read(rest).await? {
                        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                        count => rest = &mut rest[count..],
                    }
                }
                Ok(())
            }

            /// Appends everything up to the end to `bytes`, and answers how much that is.
            ///
            /// # Errors
            ///
            /// Those of `read`. What was read before is in `bytes`.
            ///
            /// # Cancel safety
            ///
            /// Dropping the future loses nothing: what has been read is in `bytes`.
            pub async fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
                let before = bytes.len();
                let mut chunk = vec![0; 16 * 1024];
                loop {
                    match self.read(&mut chunk).await? {
                        0 => return Ok(bytes.len() - before),
                        count => bytes.extend_from_slice(&chunk[..count]),
                    }
                }
            }

            /// `read` for those who write a future by hand. The waker of the latest caller is kept.
            ///
            /// # Errors
            ///
            /// Those of `read`.
            pub fn poll_read(
                &mut self,
                cx: &mut Context<'_>,
                buffer: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                self.pipe.poll_read(cx, buffer)
            }
        }
    };
}

reading_end!(ChildStdout);
reading_end!(ChildStderr);

/// What all three have: a name to print, and on Unix their descriptor.
macro_rules! common_end {
    ($($name:ident)*) => {
        $(
            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.debug_tuple(stringify!($name)).field(&self.pipe).finish()
                }
            }

            #[cfg(unix)]
            impl $name {
                /// Gives the descriptor back, in blocking mode: to hand it to another program as one
                /// of its standard streams, say (`Stdio::from`).
                ///
                /// # Errors
                ///
                /// What the system says; the pipe is closed then. `NotConnected` if it was closed
                /// before.
                pub fn into_owned_fd(self) -> io::Result<std::os::fd::OwnedFd> {
                    self.pipe.into_owned_fd()
                }
            }
        )*
    };
}

common_end!(ChildStdin ChildStdout ChildStderr);
