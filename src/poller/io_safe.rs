//! Which types may be handed to a reactor.

use super::Source;

/// A value that owns a socket or another thing that can be watched, and keeps it.
///
/// A reactor deregisters a source before it drops it, which is of use only if the source has not
/// been closed or exchanged before. The types of `std` promise that; a wrapper whose `&self` methods
/// can close or replace what is in it must not.
///
/// # Safety
///
/// * As long as the value is not dropped or moved out by value, [`source`](IoSafe::source) names the
///   same open descriptor or socket each time, and does not panic.
///
/// # Examples
///
/// ```
/// use ekio::poller::{IoSafe, Source};
///
/// struct Wrapped(std::net::TcpStream);
///
/// // SAFETY: the stream is private, and nothing here closes or replaces it.
/// unsafe impl IoSafe for Wrapped {
///     fn source(&self) -> Source<'_> {
///         Source::socket(&self.0)
///     }
/// }
/// ```
pub unsafe trait IoSafe {
    /// The thing to watch, of the right kind.
    fn source(&self) -> Source<'_>;
}

/// None of these types closes its source as long as it is only shared.
macro_rules! sources {
    ($kind:ident: $($source:ty),* $(,)?) => {
        $(impl Owned for $source {
            fn owned_source(&self) -> Source<'_> {
                Source::$kind(self)
            }
        })*
    };
}

/// A type of `std` that owns its source. (It stands between so that no macro contains `unsafe`.)
trait Owned {
    fn owned_source(&self) -> Source<'_>;
}

// SAFETY: the same source each time, because `Owned` is private and implemented, below, for types
// of `std` and `sys` alone that have no way to close or exchange what they own by a shared
// reference.
unsafe impl<T: Owned> IoSafe for T {
    fn source(&self) -> Source<'_> {
        self.owned_source()
    }
}

sources!(socket: std::net::TcpStream, std::net::TcpListener, std::net::UdpSocket);

#[cfg(unix)]
sources!(
    socket: std::os::unix::net::UnixStream,
    std::os::unix::net::UnixListener,
    std::os::unix::net::UnixDatagram,
);

#[cfg(unix)]
sources!(
    descriptor: std::os::fd::OwnedFd,
    std::fs::File,
    std::process::ChildStdin,
    std::process::ChildStdout,
    std::process::ChildStderr,
);

#[cfg(windows)]
sources!(
    socket: std::os::windows::io::OwnedSocket,
    crate::sys::UnixStream,
    crate::sys::UnixListener,
);

// It is reaped by `&mut self` alone.
sources!(process: std::process::Child);
