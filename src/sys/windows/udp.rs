//! Datagrams over IP: what `std` cannot do.

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::ptr;

use windows_sys::Win32::Networking::WinSock;

use super::net::{check, option, raw, set_option};

/// Prepares a socket that `std` made: it does not block, and a peer that is gone, or a datagram that
/// came to its end under way, is not reported to whoever receives next, by errors that would end a
/// server (`b_udp_connreset`).
pub(crate) fn adopt_datagrams(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    switch_off(socket, WinSock::SIO_UDP_CONNRESET)?;
    match switch_off(socket, SIO_UDP_NETRESET) {
        // Wine has no such switch, nor what it is for.
        Err(error) if error.raw_os_error() == Some(WinSock::WSAEOPNOTSUPP) => Ok(()),
        answer => answer,
    }
}

/// `_WSAIOW(IOC_VENDOR, 15)` of mstcpip.h, which windows-sys does not have.
const SIO_UDP_NETRESET: u32 = WinSock::IOC_IN | WinSock::IOC_VENDOR | 15;

fn switch_off(socket: &UdpSocket, code: u32) -> io::Result<()> {
    let off = 0_u32;
    let mut returned = 0;
    // SAFETY: WSAIoctl asks for an open socket, which `socket` owns, for as many bytes as the length
    // says, which is the number above, for room for a count, which is the other one, and for nothing
    // more, since the call is not overlapped.
    let answer = unsafe {
        WinSock::WSAIoctl(
            raw(socket),
            code,
            (&raw const off).cast(),
            size_of::<u32>() as u32,
            ptr::null_mut(),
            0,
            &mut returned,
            ptr::null_mut(),
            None,
        )
    };
    check(answer)
}

pub(crate) fn recv(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    receive(socket, buffer, 0)
}

pub(crate) fn recv_from(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    receive_from(socket, buffer, 0)
}

pub(crate) fn peek(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    receive(socket, buffer, WinSock::MSG_PEEK)
}

pub(crate) fn peek_from(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    receive_from(socket, buffer, WinSock::MSG_PEEK)
}

/// `IPV6_MULTICAST_HOPS`.
pub(crate) fn multicast_hops_v6(socket: &UdpSocket) -> io::Result<u32> {
    let level = WinSock::IPPROTO_IPV6;
    option(socket, level, WinSock::IPV6_MULTICAST_HOPS)
}

/// `IPV6_MULTICAST_HOPS`.
pub(crate) fn set_multicast_hops_v6(socket: &UdpSocket, hops: u32) -> io::Result<()> {
    let level = WinSock::IPPROTO_IPV6;
    set_option(socket, level, WinSock::IPV6_MULTICAST_HOPS, hops)
}

fn receive(socket: &UdpSocket, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
    let len = len_max(buffer);
    // SAFETY: recv asks for an open socket, which `socket` owns, and for room for `len` bytes, which
    // `buffer` lends.
    let answer = unsafe { WinSock::recv(raw(socket), buffer.as_mut_ptr(), len, flags) };
    received(answer, len)
}

fn receive_from(
    socket: &UdpSocket,
    buffer: &mut [u8],
    flags: i32,
) -> io::Result<(usize, SocketAddr)> {
    let len = len_max(buffer);
    let mut from = Storage::new();
    // SAFETY: recvfrom asks for an open socket, which `socket` owns, for room for `len` bytes, which
    // `buffer` lends, and for room for an address and its length, which `from` is.
    let answer = unsafe {
        WinSock::recvfrom(
            raw(socket),
            buffer.as_mut_ptr(),
            len,
            flags,
            (&raw mut from.address).cast(),
            &mut from.len,
        )
    };
    let count = received(answer, len)?;
    Ok((count, from.address()?))
}

/// The most that can be asked for at once; no datagram is as long.
fn len_max(buffer: &[u8]) -> i32 {
    i32::try_from(buffer.len()).unwrap_or(i32::MAX)
}

/// A datagram that found no room as a whole is an error here, though the buffer has been filled
/// and the rest is lost, as elsewhere. So the answer is as elsewhere, too.
fn received(answer: i32, len: i32) -> io::Result<usize> {
    match check(answer) {
        Ok(()) => Ok(answer as usize),
        Err(error) if error.raw_os_error() == Some(WinSock::WSAEMSGSIZE) => Ok(len as usize),
        Err(error) => Err(error),
    }
}

/// Room for an address of any family.
struct Storage {
    address: WinSock::SOCKADDR_STORAGE,
    len: i32,
}

impl Storage {
    fn new() -> Storage {
        Storage {
            // SAFETY: all bytes zero is a value of this plain structure.
            address: unsafe { mem::zeroed() },
            len: size_of::<WinSock::SOCKADDR_STORAGE>() as i32,
        }
    }

    /// What the system wrote.
    fn address(&self) -> io::Result<SocketAddr> {
        match self.address.ss_family {
            WinSock::AF_INET => {
                // SAFETY: a read asks for as many initialised and aligned bytes as the type has,
                // and a storage has at least those of every address; any bytes are this structure.
                let name: WinSock::SOCKADDR_IN =
                    unsafe { ptr::read((&raw const self.address).cast()) };
                // SAFETY: any four bytes are a value of each part of this union.
                let ip = unsafe { name.sin_addr.S_un.S_addr };
                let ip = Ipv4Addr::from(ip.to_ne_bytes());
                Ok(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
            }
            WinSock::AF_INET6 => {
                // SAFETY: as above.
                let name: WinSock::SOCKADDR_IN6 =
                    unsafe { ptr::read((&raw const self.address).cast()) };
                // SAFETY: any sixteen bytes are a value of each part of this union.
                let ip = Ipv6Addr::from(unsafe { name.sin6_addr.u.Byte });
                // SAFETY: any four bytes are a value of each part of this union.
                let scope = unsafe { name.Anonymous.sin6_scope_id };
                let port = u16::from_be(name.sin6_port);
                Ok(SocketAddrV6::new(ip, port, name.sin6_flowinfo, scope).into())
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the sender's address is of no family that UDP has",
            )),
        }
    }
}
