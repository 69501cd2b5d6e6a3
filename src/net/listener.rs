//! A listener of any family: what [`TcpListener`](super::TcpListener) and
//! [`UnixListener`](super::unix::UnixListener) are made of. Their documentation is there.

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

use super::back_off::BackOff;
use crate::reactor::{Direction, Interest, IoSafe, Readiness, Registration};
use crate::sys::{self, ListeningSocket, StreamSocket};

/// How many connections may wait to be accepted. `std` asks for 128, which is over soon: a client
/// beyond it has to try again after a second. Linux cuts this down to
/// [`net.core.somaxconn`](https://man7.org/linux/man-pages/man2/listen.2.html), 4,096 since 5.4.
pub(super) const BACKLOG: u32 = 4_096;

/// The most connections that one try of `accept` finds dead. Each is taken off the queue, so there
/// is an end to them; the bound is for a system that does not keep to that.
const DEAD_MAX: usize = 64;

/// A listening socket and the reactor's attention for it.
pub(super) struct Listener<L: ListeningSocket + IoSafe> {
    registration: Registration<L>,
    back_off: BackOff,
}

/// A connection and the address that it comes from.
type Accepted<L> = (
    <L as ListeningSocket>::Stream,
    <<L as ListeningSocket>::Stream as StreamSocket>::Address,
);

impl<L: ListeningSocket + IoSafe> Listener<L> {
    pub(super) fn of_nonblocking(socket: L) -> Listener<L> {
        let hope = Readiness::READABLE;
        Listener {
            registration: Registration::of_nonblocking(socket, Interest::READABLE, hope),
            back_off: BackOff::default(),
        }
    }

    pub(super) fn socket(&self) -> &L {
        self.registration.own()
    }

    /// The socket, for somebody who may make a duplicate of it.
    pub(super) fn lend(&self) -> &L {
        self.registration.lend()
    }

    pub(super) fn into_socket(self) -> io::Result<L> {
        self.registration.into_source()
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted<L>> {
        self.back_off.rest().await;
        let accepted = self.registration.io(Direction::Read, accept_live).await;
        self.learn(accepted)
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted<L>>> {
        ready!(self.back_off.poll_rest(cx));
        let accepted = self.registration.poll_io(cx, Direction::Read, accept_live);
        Poll::Ready(self.learn(ready!(accepted)))
    }

    fn learn<T>(&self, accepted: io::Result<T>) -> io::Result<T> {
        match &accepted {
            Ok(_) => self.back_off.succeeded(),
            Err(error) if sys::is_want_of_means(error) => self.back_off.failed(),
            Err(_) => {}
        }
        accepted
    }
}

/// Accepts the first connection that is not dead already.
fn accept_live<L: ListeningSocket>(listener: &L) -> io::Result<Accepted<L>> {
    let mut dead = 0;
    loop {
        match listener.accept() {
            Err(error) if dead < DEAD_MAX && sys::is_of_one_connection(&error) => dead += 1,
            answer => return answer,
        }
    }
}

impl<L: ListeningSocket + IoSafe + fmt::Debug> fmt::Debug for Listener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}
