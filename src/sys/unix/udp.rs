//! Datagrams over IP: what `std` cannot do, and by these names what it can.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use rustix::net::sockopt;

/// Prepares a socket that `std` made: it does not block.
pub(crate) fn adopt_datagrams(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    super::net::silence(socket)
}

pub(crate) fn recv(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    socket.recv(buffer)
}

pub(crate) fn recv_from(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    socket.recv_from(buffer)
}

pub(crate) fn peek(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    socket.peek(buffer)
}

pub(crate) fn peek_from(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    socket.peek_from(buffer)
}

/// `IPV6_MULTICAST_HOPS`.
pub(crate) fn multicast_hops_v6(socket: &UdpSocket) -> io::Result<u32> {
    Ok(sockopt::ipv6_multicast_hops(socket)?)
}

/// `IPV6_MULTICAST_HOPS`.
pub(crate) fn set_multicast_hops_v6(socket: &UdpSocket, hops: u32) -> io::Result<()> {
    Ok(sockopt::set_ipv6_multicast_hops(socket, hops)?)
}
