//! What the leaf futures ask of a stream socket and of one that listens, whatever its family.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

/// A connected stream socket in non-blocking mode. A write to one whose peer is gone is an error
/// and no signal.
pub(crate) trait StreamSocket: Sized {
    /// Whether a read that gets less than it asked for has met the end of what there is, or can have
    /// been stopped before by something that no event tells of.
    const SHORT_READS_PROVE: bool;

    type Address;

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize>;
    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize>;
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize>;
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    fn peer_addr(&self) -> io::Result<Self::Address>;
    fn take_error(&self) -> io::Result<Option<io::Error>>;
}

/// A socket that listens, in non-blocking mode.
pub(crate) trait ListeningSocket {
    type Stream: StreamSocket;

    /// Accepts a connection.
    fn accept(&self) -> io::Result<(Self::Stream, <Self::Stream as StreamSocket>::Address)>;
}

impl StreamSocket for TcpStream {
    const SHORT_READS_PROVE: bool = true;

    type Address = SocketAddr;

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(buffer)
    }

    fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&mut &*self).read_vectored(buffers)
    }

    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        TcpStream::peek(self, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        super::write_vectored(self, buffers)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        TcpStream::shutdown(self, how)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        TcpStream::peer_addr(self)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        TcpStream::take_error(self)
    }
}

impl ListeningSocket for TcpListener {
    type Stream = TcpStream;

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        super::accept(self)
    }
}
