//! Sockets: what `std` cannot do.

use std::io::{self, IoSlice, Write as _};
#[cfg(feature = "hyper")]
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::windows::io::{
    AsRawSocket, AsSocket as _, FromRawSocket as _, OwnedSocket, RawSocket,
};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::Foundation::{HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::Networking::WinSock;

#[cfg(feature = "hyper")]
use crate::sys::BorrowedSocket;
use crate::sys::IpFamily;

/// A stream socket that no child process inherits and that does not block.
pub(crate) fn tcp_socket(family: IpFamily) -> io::Result<TcpStream> {
    let family = match family {
        IpFamily::V4 => WinSock::AF_INET,
        IpFamily::V6 => WinSock::AF_INET6,
    };
    Ok(new_stream_socket(family)?.into())
}

pub(crate) fn bind(socket: &TcpStream, address: &SocketAddr) -> io::Result<()> {
    let name = Name::new(address);
    // SAFETY: bind asks for an open socket, which `socket` owns, and for `len` bytes of address,
    // which `name` lends.
    let answer = unsafe { WinSock::bind(raw(socket), name.pointer(), name.len()) };
    check(answer)
}

pub(crate) fn listen(socket: TcpStream, backlog: u32) -> io::Result<TcpListener> {
    listen_raw(&socket, backlog)?;
    Ok(OwnedSocket::from(socket).into())
}

pub(super) fn listen_raw(socket: &impl AsRawSocket, backlog: u32) -> io::Result<()> {
    // A positive number above 200 would be cut to that; a negative one is a hint that is followed
    // from there up to 65,535 (`SOMAXCONN_HINT` in winsock2.h).
    let backlog = match i32::try_from(backlog).unwrap_or(i32::MAX) {
        few @ 0..200 => few,
        many => -many,
    };
    // SAFETY: listen asks for an open socket, which `socket` owns.
    let answer = unsafe { WinSock::listen(raw(socket), backlog) };
    check(answer)
}

/// Begins to connect, and says whether it is connected already.
pub(crate) fn connect(socket: &TcpStream, address: &SocketAddr) -> io::Result<bool> {
    let name = Name::new(address);
    // SAFETY: connect asks for an open socket, which `socket` owns, and for `len` bytes of address,
    // which `name` lends.
    let answer = unsafe { WinSock::connect(raw(socket), name.pointer(), name.len()) };
    begun(answer)
}

/// What `connect` answered: whether the socket is connected already.
pub(super) fn begun(answer: i32) -> io::Result<bool> {
    match check(answer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// Accepts a connection as a non-blocking socket.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept()?;
    finish_accepted(&stream)?;
    stream.set_nonblocking(true)?;
    Ok((stream, address))
}

/// No child process inherits it.
pub(super) fn finish_accepted(socket: &impl AsRawSocket) -> io::Result<()> {
    let handle = socket.as_raw_socket() as HANDLE;
    // SAFETY: SetHandleInformation asks for an open handle; that of the socket is one.
    let answer = unsafe { SetHandleInformation(handle, HANDLE_FLAG_INHERIT, 0) };
    if answer == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// True for an error of `accept` that tells of one connection that came to nothing, not of the
/// listener (the peer had taken it back).
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// True for an error that says that descriptors or memory have run out.
pub(crate) fn is_want_of_means(error: &io::Error) -> bool {
    let means = [WinSock::WSAEMFILE, WinSock::WSAENOBUFS];
    error
        .raw_os_error()
        .is_some_and(|code| means.contains(&code))
}

/// Prepares a stream that somebody else made: it does not block.
pub(crate) fn adopt_stream(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)
}

/// Reads from a stream into memory of whatever contents: from its beginning, as many bytes as the
/// answer says are initialised then. (`std` can read into nothing but initialised memory.)
#[cfg(feature = "hyper")]
pub(crate) fn read_uninit(
    stream: BorrowedSocket<'_>,
    buffer: &mut [MaybeUninit<u8>],
) -> io::Result<usize> {
    let len = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
    // SAFETY: recv asks for an open socket, which the borrow is, and for room for `len` bytes, which
    // `buffer` lends; it only writes there.
    let answer = unsafe { WinSock::recv(raw(&stream), buffer.as_mut_ptr().cast(), len, 0) };
    match check(answer) {
        Ok(()) => Ok(answer as usize),
        // Reading was shut down: `std`, too, calls that the end.
        Err(error) if error.raw_os_error() == Some(WinSock::WSAESHUTDOWN) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Writes from several buffers.
pub(crate) fn write_vectored(mut stream: &TcpStream, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    stream.write_vectored(&buffers[..buffers.len().min(BUFFERS_MAX)])
}

/// More than that Wine refuses, instead of writing the first ones.
const BUFFERS_MAX: usize = 1024;

/// `SO_LINGER`.
pub(crate) fn linger(stream: &TcpStream) -> io::Result<Option<Duration>> {
    let linger: WinSock::LINGER = option(stream, WinSock::SOL_SOCKET, WinSock::SO_LINGER)?;
    Ok((linger.l_onoff != 0).then(|| Duration::from_secs(linger.l_linger.into())))
}

/// `SO_LINGER`, in whole seconds, rounded up.
pub(crate) fn set_linger(stream: &TcpStream, linger: Option<Duration>) -> io::Result<()> {
    let seconds = linger.map_or(0, |time| {
        time.as_secs()
            .saturating_add(u64::from(time.subsec_nanos() > 0))
    });
    let linger = WinSock::LINGER {
        l_onoff: linger.is_some().into(),
        l_linger: u16::try_from(seconds).map_err(|_| io::ErrorKind::InvalidInput)?,
    };
    set_option(stream, WinSock::SOL_SOCKET, WinSock::SO_LINGER, linger)
}

/// `SO_REUSEADDR`.
pub(crate) fn is_address_reused(socket: &TcpStream) -> io::Result<bool> {
    is_on(socket, WinSock::SO_REUSEADDR)
}

/// `SO_REUSEADDR`.
pub(crate) fn reuse_address(socket: &TcpStream, on: bool) -> io::Result<()> {
    switch(socket, WinSock::SO_REUSEADDR, on)
}

/// `SO_SNDBUF`.
pub(crate) fn send_buffer_size(socket: &TcpStream) -> io::Result<u32> {
    option(socket, WinSock::SOL_SOCKET, WinSock::SO_SNDBUF)
}

/// `SO_SNDBUF`.
pub(crate) fn set_send_buffer_size(socket: &TcpStream, size: u32) -> io::Result<()> {
    let size = size.min(i32::MAX as u32);
    set_option(socket, WinSock::SOL_SOCKET, WinSock::SO_SNDBUF, size)
}

/// `SO_RCVBUF`.
pub(crate) fn recv_buffer_size(socket: &TcpStream) -> io::Result<u32> {
    option(socket, WinSock::SOL_SOCKET, WinSock::SO_RCVBUF)
}

/// `SO_RCVBUF`.
pub(crate) fn set_recv_buffer_size(socket: &TcpStream, size: u32) -> io::Result<()> {
    let size = size.min(i32::MAX as u32);
    set_option(socket, WinSock::SOL_SOCKET, WinSock::SO_RCVBUF, size)
}

/// `SO_KEEPALIVE`.
pub(crate) fn keepalive(socket: &TcpStream) -> io::Result<bool> {
    is_on(socket, WinSock::SO_KEEPALIVE)
}

/// `SO_KEEPALIVE`.
pub(crate) fn set_keepalive(socket: &TcpStream, on: bool) -> io::Result<()> {
    switch(socket, WinSock::SO_KEEPALIVE, on)
}

fn is_on(socket: &TcpStream, name: i32) -> io::Result<bool> {
    let value: u32 = option(socket, WinSock::SOL_SOCKET, name)?;
    Ok(value != 0)
}

fn switch(socket: &TcpStream, name: i32, on: bool) -> io::Result<()> {
    set_option(socket, WinSock::SOL_SOCKET, name, u32::from(on))
}

/// The value of a socket's option.
///
/// # Safety
///
/// * Any bytes are a value of the type.
pub(super) unsafe trait OptionValue: Copy + Default {}

// SAFETY: any bytes are a number.
unsafe impl OptionValue for u32 {}
// SAFETY: it consists of two numbers.
unsafe impl OptionValue for WinSock::LINGER {}

/// Reads an option.
pub(super) fn option<T: OptionValue>(
    socket: &impl AsRawSocket,
    level: i32,
    name: i32,
) -> io::Result<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as i32;
    // SAFETY: getsockopt asks for an open socket, which `socket` owns, and for room for `len` bytes,
    // any of which make a value: the local above, by the promise of `OptionValue`.
    let answer = unsafe {
        let value = (&raw mut value).cast();
        WinSock::getsockopt(raw(socket), level, name, value, &mut len)
    };
    check(answer)?;
    Ok(value)
}

/// Changes an option.
pub(super) fn set_option<T: OptionValue>(
    socket: &impl AsRawSocket,
    level: i32,
    name: i32,
    value: T,
) -> io::Result<()> {
    let len = size_of::<T>() as i32;
    // SAFETY: setsockopt asks for an open socket, which `socket` owns, and for as many bytes as the
    // length says, which is the value above.
    let answer = unsafe {
        let value = (&raw const value).cast();
        WinSock::setsockopt(raw(socket), level, name, value, len)
    };
    check(answer)
}

/// A stream socket that no child process inherits and that does not block.
pub(super) fn new_stream_socket(family: WinSock::ADDRESS_FAMILY) -> io::Result<OwnedSocket> {
    super::start_winsock()?;
    // SAFETY: WSASocketW asks for nothing but that Winsock has been started, as it has above; no
    // protocol structure is allowed.
    let socket = unsafe {
        WinSock::WSASocketW(
            family.into(),
            WinSock::SOCK_STREAM,
            0,
            ptr::null(),
            0,
            WinSock::WSA_FLAG_OVERLAPPED | WinSock::WSA_FLAG_NO_HANDLE_INHERIT,
        )
    };
    if socket == WinSock::INVALID_SOCKET {
        return Err(last_error());
    }
    // SAFETY: the number is that of an open socket, made above, which nobody else has.
    let socket = unsafe { OwnedSocket::from_raw_socket(socket as RawSocket) };
    super::set_socket_nonblocking(socket.as_socket())?;
    Ok(socket)
}

/// An address as Winsock takes it.
enum Name {
    V4(WinSock::SOCKADDR_IN),
    V6(WinSock::SOCKADDR_IN6),
}

impl Name {
    fn new(address: &SocketAddr) -> Name {
        match address {
            SocketAddr::V4(address) => Name::V4(WinSock::SOCKADDR_IN {
                sin_family: WinSock::AF_INET,
                sin_port: address.port().to_be(),
                sin_addr: WinSock::IN_ADDR {
                    S_un: WinSock::IN_ADDR_0 {
                        S_addr: u32::from_ne_bytes(address.ip().octets()),
                    },
                },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(address) => Name::V6(WinSock::SOCKADDR_IN6 {
                sin6_family: WinSock::AF_INET6,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: WinSock::IN6_ADDR {
                    u: WinSock::IN6_ADDR_0 {
                        Byte: address.ip().octets(),
                    },
                },
                Anonymous: WinSock::SOCKADDR_IN6_0 {
                    sin6_scope_id: address.scope_id(),
                },
            }),
        }
    }

    fn pointer(&self) -> *const WinSock::SOCKADDR {
        match self {
            Name::V4(name) => ptr::from_ref(name).cast(),
            Name::V6(name) => ptr::from_ref(name).cast(),
        }
    }

    fn len(&self) -> i32 {
        match self {
            Name::V4(_) => size_of::<WinSock::SOCKADDR_IN>() as i32,
            Name::V6(_) => size_of::<WinSock::SOCKADDR_IN6>() as i32,
        }
    }
}

pub(super) fn raw(socket: &impl AsRawSocket) -> WinSock::SOCKET {
    socket.as_raw_socket() as WinSock::SOCKET
}

pub(super) fn check(answer: i32) -> io::Result<()> {
    if answer == WinSock::SOCKET_ERROR {
        Err(last_error())
    } else {
        Ok(())
    }
}

pub(super) fn last_error() -> io::Error {
    // SAFETY: WSAGetLastError asks for nothing.
    io::Error::from_raw_os_error(unsafe { WinSock::WSAGetLastError() })
}
