//! A connection of any family: what [`TcpStream`](super::TcpStream) and
//! [`UnixStream`](super::unix::UnixStream) are made of. Their documentation is there.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
#[cfg(feature = "hyper")]
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::reactor::{
    Direction, Interest, IoSafe, Readiness, Ready, ReadyFuture, Registration, STREAM_INTEREST,
    budget,
};
use crate::sys::StreamSocket;
#[cfg(feature = "hyper")]
use crate::sys::{self, AsSocket};

/// A stream socket and the reactor's attention for it.
pub(crate) struct Stream<S: StreamSocket + IoSafe> {
    registration: Registration<S>,
}

impl<S: StreamSocket + IoSafe> Stream<S> {
    /// A socket that nobody else has seen. A connected one is worth a try in both directions; one that is
    /// not yet connected is not.
    pub(super) fn of_nonblocking(socket: S, is_connected: bool) -> Stream<S> {
        let interest = if S::SHORT_READS_PROVE {
            STREAM_INTEREST
        } else {
            Interest::BOTH
        };
        let hope = if is_connected {
            Readiness::READABLE | Readiness::WRITABLE
        } else {
            Readiness::NONE
        };
        Stream {
            registration: Registration::of_own(socket, interest, hope),
        }
    }

    /// Waits for the outcome of `connect`. The error is in `SO_ERROR`, which gives it out once, so
    /// it is asked for once (`b_connect_refused_once`).
    pub(super) async fn finish_connect(&self) -> io::Result<()> {
        loop {
            let ready = self.registration.ready_unpaid(Direction::Write).await?;
            if let Some(error) = self.socket().take_error()? {
                return Err(error);
            }
            let is_over = ready
                .readiness()
                .intersects(Readiness::ERROR | Readiness::WRITE_CLOSED);
            match self.socket().peer_addr() {
                Ok(_) => return Ok(()),
                // Woken for nothing: the attempt goes on.
                Err(error) if error.kind() == io::ErrorKind::NotConnected && !is_over => {
                    self.registration.clear_ready(ready);
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn socket(&self) -> &S {
        self.registration.own()
    }

    /// The socket, for somebody who may make a duplicate of it.
    pub(super) fn lend(&self) -> &S {
        self.registration.lend()
    }

    pub(super) fn into_socket(self) -> io::Result<S> {
        self.registration.into_source()
    }

    // None of these is an `async fn`: that would keep its arguments twice, and a task that waits for a
    // socket consists of little else.

    pub(super) fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.read_into(buffer)
    }

    pub(super) fn read_vectored(
        &self,
        buffers: &mut [IoSliceMut<'_>],
    ) -> impl Future<Output = io::Result<usize>> {
        self.read_into(buffers)
    }

    pub(super) fn read_exact(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<()>> {
        ReadExact {
            ready: self.registration.ready_unpaid(Direction::Read),
            rest: buffer,
        }
    }

    pub(super) fn peek(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        let peek = |socket: &S| socket.peek(buffer);
        self.registration.io(Direction::Read, peek)
    }

    pub(super) fn write(&self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> {
        let write = |socket: &S| socket.write(bytes);
        self.registration.io(Direction::Write, write)
    }

    pub(super) fn write_vectored(
        &self,
        buffers: &[IoSlice<'_>],
    ) -> impl Future<Output = io::Result<usize>> {
        let write = |socket: &S| socket.write_vectored(buffers);
        self.registration.io(Direction::Write, write)
    }

    pub(super) fn write_all(&self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        WriteAll {
            ready: self.registration.ready_unpaid(Direction::Write),
            rest: bytes,
        }
    }

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let asked = buffer.len();
        self.poll_read_by(cx, asked, |socket| socket.read(buffer))
    }

    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = |socket: &S| socket.write(bytes);
        self.registration.poll_io(cx, Direction::Write, write)
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket().shutdown(how)
    }

    fn read_into<R: Room<S>>(&self, room: R) -> ReadInto<'_, S, R> {
        ReadInto {
            ready: self.registration.ready_unpaid(Direction::Read),
            room,
        }
    }

    fn poll_read_by(
        &self,
        cx: &mut Context<'_>,
        asked: usize,
        mut read: impl FnMut(&S) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if asked == 0 {
            return Poll::Ready(Ok(0)); // The system would wait for data even then.
        }
        ready!(budget::poll_proceed(cx));
        loop {
            let ready = ready!(self.registration.poll_ready(cx, Direction::Read))?;
            if let Some(answer) = try_read(&self.registration, ready, asked, &mut read) {
                return Poll::Ready(answer);
            }
        }
    }
}

/// One try. A read that gets less than it asked for has met the end of what there is, on a socket where
/// that is so.
fn try_read<S: StreamSocket + IoSafe>(
    registration: &Registration<S>,
    ready: Ready,
    asked: usize,
    read: &mut impl FnMut(&S) -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let answer = registration.try_io(ready, read)?;
    let is_short = matches!(answer, Ok(count) if 0 < count && count < asked);
    if S::SHORT_READS_PROVE && is_short {
        registration.note_short_read(ready);
    }
    Some(answer)
}

/// The future of one read.
struct ReadInto<'a, S: StreamSocket + IoSafe, R> {
    ready: ReadyFuture<'a, S>,
    room: R,
}

// Nothing in it is ever pinned.
impl<S: StreamSocket + IoSafe, R> Unpin for ReadInto<'_, S, R> {}

impl<S: StreamSocket + IoSafe, R: Room<S>> Future for ReadInto<'_, S, R> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let ReadInto { ready, room } = self.get_mut();
        let asked = room.asked();
        if asked == 0 {
            return Poll::Ready(Ok(0)); // As in `poll_read_by`.
        }
        let registration = ready.registration();
        ready.poll_attempt(cx, |ready| {
            try_read(registration, ready, asked, &mut |socket| room.fill(socket))
        })
    }
}

/// Where a read puts what comes.
trait Room<S> {
    /// How much is asked for.
    fn asked(&self) -> usize;

    fn fill(&mut self, socket: &S) -> io::Result<usize>;
}

impl<S: StreamSocket> Room<S> for &mut [u8] {
    fn asked(&self) -> usize {
        self.len()
    }

    fn fill(&mut self, socket: &S) -> io::Result<usize> {
        socket.read(self)
    }
}

impl<S: StreamSocket> Room<S> for &mut [IoSliceMut<'_>] {
    fn asked(&self) -> usize {
        total_len(self)
    }

    fn fill(&mut self, socket: &S) -> io::Result<usize> {
        socket.read_vectored(self)
    }
}

/// The future of `read_exact`.
struct ReadExact<'a, 'b, S: StreamSocket + IoSafe> {
    ready: ReadyFuture<'a, S>,
    rest: &'b mut [u8],
}

impl<S: StreamSocket + IoSafe> Future for ReadExact<'_, '_, S> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ReadExact { ready, rest } = self.get_mut();
        let registration = ready.registration();
        while !rest.is_empty() {
            let asked = rest.len();
            let polled = ready.poll_attempt(cx, |ready| {
                try_read(registration, ready, asked, &mut |socket| socket.read(rest))
            });
            match ready!(polled)? {
                0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                count => *rest = &mut mem::take(rest)[count..],
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The future of `write_all`.
struct WriteAll<'a, 'b, S: StreamSocket + IoSafe> {
    ready: ReadyFuture<'a, S>,
    rest: &'b [u8],
}

impl<S: StreamSocket + IoSafe> Future for WriteAll<'_, '_, S> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let WriteAll { ready, rest } = self.get_mut();
        while !rest.is_empty() {
            match ready!(ready.poll_io(cx, |socket| socket.write(rest)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *rest = &rest[count..],
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// What only traits of others offer.
#[cfg(any(feature = "futures-io", feature = "hyper"))]
impl<S: StreamSocket + IoSafe> Stream<S> {
    #[cfg(feature = "futures-io")]
    pub(super) fn poll_read_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let asked = total_len(buffers);
        self.poll_read_by(cx, asked, |socket| socket.read_vectored(buffers))
    }

    /// [`poll_read`](Stream::poll_read) into memory of whatever contents: from its beginning, as many
    /// bytes as the answer says are initialised then.
    #[cfg(feature = "hyper")]
    pub(crate) fn poll_read_uninit(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>>
    where
        S: AsSocket,
    {
        let asked = buffer.len();
        self.poll_read_by(cx, asked, |socket| {
            sys::read_uninit(socket.as_socket_ref(), buffer)
        })
    }

    pub(crate) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = |socket: &S| socket.write_vectored(buffers);
        self.registration.poll_io(cx, Direction::Write, write)
    }

    /// Tells the peer that no more will come. Reading goes on.
    pub(crate) fn close(&self) -> io::Result<()> {
        match self.shutdown(Shutdown::Write) {
            // The connection is closed already, by whomever.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            answer => answer,
        }
    }
}

/// How much a vectored read asks for. What lies in the buffers behind the ones that `std` hands over
/// is not asked for, and a read that does not fill it is not short.
fn total_len(buffers: &[IoSliceMut<'_>]) -> usize {
    let handed_over = buffers.iter().take(BUFFERS_MAX);
    handed_over.map(|buffer| buffer.len()).sum()
}

/// `IOV_MAX` of every system where a short read can prove something.
const BUFFERS_MAX: usize = 1_024;

impl<S: StreamSocket + IoSafe + fmt::Debug> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}
