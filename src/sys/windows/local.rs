//! Unix sockets, which Windows has since version 10 (1803), and `std` has not.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::windows::io::{
    AsRawSocket, AsSocket, BorrowedSocket, FromRawSocket as _, OwnedSocket, RawSocket,
};
use std::path::{Path, PathBuf};

use windows_sys::Win32::Networking::WinSock;

use super::net::{
    begun, check, finish_accepted, last_error, listen_raw, new_stream_socket, option, raw,
};
use crate::sys::stream::{ListeningSocket, StreamSocket};

/// A stream.
#[derive(Debug)]
pub(crate) struct UnixStream(OwnedSocket);

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct UnixListener(OwnedSocket);

/// The address of a Unix socket: a path, or nothing. It has the methods of
/// `std::os::unix::net::SocketAddr`, which Unix has in its place.
#[derive(Clone, Debug)]
pub struct UnixAddr {
    path: Option<PathBuf>,
}

impl UnixAddr {
    /// The address with this path.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is too long (108 bytes of UTF-8 and more), is no Unicode, or
    /// contains a zero.
    pub fn from_pathname(path: impl AsRef<Path>) -> io::Result<UnixAddr> {
        let path = path.as_ref();
        Name::new(path)?;
        let path = (!path.as_os_str().is_empty()).then(|| path.to_owned());
        Ok(UnixAddr { path })
    }

    /// The path, if it has one.
    #[must_use]
    pub fn as_pathname(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// True if it has no path: that of a client, for one.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.path.is_none()
    }
}

pub(crate) fn unix_addr(path: &Path) -> io::Result<UnixAddr> {
    UnixAddr::from_pathname(path)
}

/// A non-blocking socket that listens at `address`.
pub(crate) fn listen_unix(address: &UnixAddr, backlog: u32) -> io::Result<UnixListener> {
    let name = Name::of(address)?;
    let socket = unix_socket()?.0;
    // SAFETY: bind asks for an open socket, which `socket` owns, and for `len` bytes of address,
    // which `name` lends.
    let answer = unsafe { WinSock::bind(raw(&socket), (&raw const name.0).cast(), NAME_LEN) };
    check(answer)?;
    listen_raw(&socket, backlog)?;
    Ok(UnixListener(socket))
}

/// A stream that is to be connected.
pub(crate) fn unix_socket() -> io::Result<UnixStream> {
    match new_stream_socket(WinSock::AF_UNIX) {
        Ok(socket) => Ok(UnixStream(socket)),
        Err(error) if error.raw_os_error() == Some(WinSock::WSAEAFNOSUPPORT) => {
            Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this machine has no Unix sockets: Windows has them since version 10 (1803)",
            ))
        }
        Err(error) => Err(error),
    }
}

/// Begins to connect, and says whether it is connected already.
pub(crate) fn connect_unix(socket: &UnixStream, address: &UnixAddr) -> io::Result<bool> {
    let name = Name::of(address)?;
    // SAFETY: connect asks for an open socket, which `socket` owns, and for `len` bytes of address,
    // which `name` lends.
    let answer = unsafe { WinSock::connect(raw(socket), (&raw const name.0).cast(), NAME_LEN) };
    begun(answer)
}

pub(crate) fn unix_local_addr(socket: &impl AsRawSocket) -> io::Result<UnixAddr> {
    let mut name = Name::empty();
    let mut len = NAME_LEN;
    // SAFETY: getsockname asks for an open socket, which `socket` owns, and for room for `len` bytes
    // of address, which is the structure above.
    let answer = unsafe { WinSock::getsockname(raw(socket), (&raw mut name.0).cast(), &mut len) };
    check(answer)?;
    Ok(name.address())
}

pub(crate) fn take_unix_error(socket: &impl AsRawSocket) -> io::Result<Option<io::Error>> {
    let code: u32 = option(socket, WinSock::SOL_SOCKET, WinSock::SO_ERROR)?;
    let code = i32::try_from(code).unwrap_or(WinSock::WSA_INVALID_PARAMETER);
    Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
}

impl UnixStream {
    pub(crate) fn local_addr(&self) -> io::Result<UnixAddr> {
        unix_local_addr(self)
    }
}

impl UnixListener {
    pub(crate) fn local_addr(&self) -> io::Result<UnixAddr> {
        unix_local_addr(self)
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        take_unix_error(self)
    }
}

impl StreamSocket for UnixStream {
    /// Nobody promises it.
    const SHORT_READS_PROVE: bool = false;

    type Address = UnixAddr;

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(self, buffer, 0)
    }

    /// Into the first buffer alone, as `std` does where the system has nothing better.
    fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let first = buffers.iter_mut().find(|buffer| !buffer.is_empty());
        first.map_or(Ok(0), |buffer| self.read(buffer))
    }

    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        receive(self, buffer, WinSock::MSG_PEEK)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let len = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        // SAFETY: send asks for an open socket, which `self` owns, and for `len` bytes, which
        // `bytes` lends.
        let answer = unsafe { WinSock::send(raw(self), bytes.as_ptr(), len, 0) };
        check(answer)?;
        Ok(answer as usize)
    }

    /// From the first buffer alone, as `std` does where the system has nothing better.
    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = buffers.iter().find(|buffer| !buffer.is_empty());
        first.map_or(Ok(0), |buffer| self.write(buffer))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => WinSock::SD_RECEIVE,
            Shutdown::Write => WinSock::SD_SEND,
            Shutdown::Both => WinSock::SD_BOTH,
        };
        // SAFETY: shutdown asks for an open socket, which `self` owns.
        let answer = unsafe { WinSock::shutdown(raw(self), how) };
        check(answer)
    }

    fn peer_addr(&self) -> io::Result<UnixAddr> {
        let mut name = Name::empty();
        let mut len = NAME_LEN;
        // SAFETY: getpeername asks for an open socket, which `self` owns, and for room for `len`
        // bytes of address, which is the structure above.
        let answer = unsafe { WinSock::getpeername(raw(self), (&raw mut name.0).cast(), &mut len) };
        check(answer)?;
        Ok(name.address())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        take_unix_error(self)
    }
}

impl ListeningSocket for UnixListener {
    type Stream = UnixStream;

    fn accept(&self) -> io::Result<(UnixStream, UnixAddr)> {
        let mut name = Name::empty();
        let mut len = NAME_LEN;
        // SAFETY: accept asks for an open socket, which `self` owns, and for room for `len` bytes of
        // address, which is the structure above.
        let socket = unsafe { WinSock::accept(raw(self), (&raw mut name.0).cast(), &mut len) };
        if socket == WinSock::INVALID_SOCKET {
            return Err(last_error());
        }
        // SAFETY: the number is that of an open socket, made above, which nobody else has.
        let socket = unsafe { OwnedSocket::from_raw_socket(socket as RawSocket) };
        finish_accepted(&socket)?;
        super::set_socket_nonblocking(socket.as_socket())?;
        Ok((UnixStream(socket), name.address()))
    }
}

fn receive(stream: &UnixStream, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
    let len = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
    // SAFETY: recv asks for an open socket, which `stream` owns, and for room for `len` bytes, which
    // `buffer` lends.
    let answer = unsafe { WinSock::recv(raw(stream), buffer.as_mut_ptr(), len, flags) };
    match check(answer) {
        Ok(()) => Ok(answer as usize),
        // This side was shut down: as `std` has it, that is an end.
        Err(error) if error.raw_os_error() == Some(WinSock::WSAESHUTDOWN) => Ok(0),
        Err(error) => Err(error),
    }
}

/// An address as Winsock takes it. The path is UTF-8, and has a zero behind it.
struct Name(WinSock::SOCKADDR_UN);

const NAME_LEN: i32 = size_of::<WinSock::SOCKADDR_UN>() as i32;

impl Name {
    fn empty() -> Name {
        Name(WinSock::SOCKADDR_UN {
            sun_family: WinSock::AF_UNIX,
            sun_path: [0; 108],
        })
    }

    fn new(path: &Path) -> io::Result<Name> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let text = path.to_str();
        let text = text.ok_or_else(|| invalid("the path of a Unix socket must be Unicode"))?;
        let mut name = Name::empty();
        if text.len() >= name.0.sun_path.len() {
            return Err(invalid("the path of a Unix socket is up to 107 bytes long"));
        }
        if text.contains('\0') {
            return Err(invalid("the path of a Unix socket contains no zero"));
        }
        for (to, from) in name.0.sun_path.iter_mut().zip(text.bytes()) {
            *to = from as i8;
        }
        Ok(name)
    }

    fn of(address: &UnixAddr) -> io::Result<Name> {
        match &address.path {
            Some(path) => Name::new(path),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this address has no name by which a socket could be found",
            )),
        }
    }

    fn address(&self) -> UnixAddr {
        let bytes = self.0.sun_path.iter().map(|byte| *byte as u8);
        let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
        let path = String::from_utf8_lossy(&bytes).into_owned();
        UnixAddr {
            path: (!path.is_empty()).then(|| path.into()),
        }
    }
}

impl AsSocket for UnixStream {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}

impl AsRawSocket for UnixStream {
    fn as_raw_socket(&self) -> RawSocket {
        self.0.as_raw_socket()
    }
}

impl AsSocket for UnixListener {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}

impl AsRawSocket for UnixListener {
    fn as_raw_socket(&self) -> RawSocket {
        self.0.as_raw_socket()
    }
}
