//! What a leaf future holds: a source, and the reactor's attention for it.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, ready};

use super::budget;
use super::context;
use super::slot::{Direction, Fate, Ready, Slot, Who};
use crate::poller::{self, Interest, IoSafe, OsPoller, Poller as _, Readiness};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Whether a short read can prove a stream socket empty on this poller.
const SHORT_READS_PROVE: bool = OsPoller::CAPS.short_read_proves_empty && OsPoller::CAPS.priority;

/// What a stream socket is registered for: both directions, and, where short reads are to prove
/// something, the urgent marks that make them lie.
pub(crate) const STREAM_INTEREST: Interest = if SHORT_READS_PROVE {
    Interest::BOTH.union(Interest::PRIORITY)
} else {
    Interest::BOTH
};

/// A source and its place in a reactor: the one thing that a leaf future needs.
///
/// It owns the source, which is in non-blocking mode. Nothing is said to the operating system until
/// an operation meets would-block for the first time; then the source is registered, in both
/// directions, with the reactor of the thread that polls it: that of its `block_on`, else a shared
/// one that a background thread drives, so that a registration works on any executor. When that
/// reactor is no longer driven (its `block_on` has returned), the source moves to the reactor of
/// the thread that polls it next. Dropping the registration deregisters the source, wakes whoever
/// waits for it, and closes it.
///
/// There are three ways to use it, from the most convenient to the most basic:
///
/// * [`poll_io`](Registration::poll_io) and [`io`](Registration::io) try an operation until it does
///   not block;
/// * [`ready`](Registration::ready) is a future, of which there may be any number;
/// * [`poll_ready`](Registration::poll_ready) and [`clear_ready`](Registration::clear_ready) are
///   what the others are made of.
///
/// # Examples
///
/// ```
/// use ekio::reactor::{Direction, Registration};
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut peer = TcpStream::connect(listener.local_addr()?)?;
/// let stream = Registration::new(listener.accept()?.0)?;
///
/// let answer = ekio::block_on(async {
///     let mut buffer = [0; 16];
///     peer.write_all(b"hello")?;
///     let count = stream.io(Direction::Read, |mut stream| stream.read(&mut buffer)).await?;
///     std::io::Result::Ok(buffer[..count].to_vec())
/// })?;
/// assert_eq!(answer, b"hello");
/// # Ok(())
/// # }
/// ```
pub struct Registration<T: IoSafe> {
    source: T,
    /// Somebody else has seen the source, and may have made a duplicate of it.
    is_lent: AtomicBool,
    slot: Arc<Slot>,
}

impl<T: IoSafe> Registration<T> {
    /// Takes a source, and puts it into non-blocking mode.
    ///
    /// # Platform behaviour
    ///
    /// On Windows, do not register a socket and a duplicate of it (`try_clone`) at the same time: before
    /// Windows 11 one of the two may miss events. Share one registration instead.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a source that is always ready and cannot be watched (a regular file, a
    /// folder); else what the system says when the mode cannot be changed.
    pub fn new(source: T) -> io::Result<Registration<T>> {
        Registration::with_interest(source, Interest::BOTH)
    }

    /// Like [`new`](Registration::new), for another interest than reading and writing. With
    /// [`Interest::PRIORITY`], out-of-band data counts as [`Direction::Read`]; what it was stands in
    /// [`Ready::readiness`].
    ///
    /// # Errors
    ///
    /// Those of `new`, and `InvalidInput` for an interest of nothing.
    pub fn with_interest(source: T, interest: Interest) -> io::Result<Registration<T>> {
        if interest.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a registration needs something to be interested in",
            ));
        }
        poller::check_watchable(source.source())?;
        poller::set_nonblocking(source.source())?;
        let hope = Readiness::READABLE | Readiness::WRITABLE;
        Ok(Registration::of_nonblocking(source, interest, hope))
    }

    /// Takes a source that is in non-blocking mode already, and believes that it is ready in that
    /// way until it finds out otherwise.
    pub(crate) fn of_nonblocking(
        source: T,
        interest: Interest,
        readiness: Readiness,
    ) -> Registration<T> {
        let registration = Registration::of_own(source, interest, readiness);
        registration.lend();
        registration
    }

    /// The same for a source of our own making, which nobody else has seen, and whose drop closes it:
    /// unless it is lent, it will be gone by that, and need not be deleted before
    /// ([`Poller::abandon`](poller::Poller::abandon)).
    pub(crate) fn of_own(source: T, interest: Interest, readiness: Readiness) -> Registration<T> {
        let slot = Slot::new(interest, readiness);
        Registration {
            source,
            is_lent: AtomicBool::new(false),
            slot,
        }
    }

    /// The source.
    pub fn get_ref(&self) -> &T {
        self.lend()
    }

    /// The source, for somebody who may make a duplicate of it.
    pub(crate) fn lend(&self) -> &T {
        // Relaxed: it is looked at by the owner's end, which comes after everything.
        self.is_lent.store(true, Ordering::Relaxed);
        self.own()
    }

    /// The source, for ourselves.
    pub(crate) fn own(&self) -> &T {
        &self.source
    }

    /// Deregisters the source, and gives it back, still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the source cannot be deregistered; the source is closed then.
    pub fn into_source(self) -> io::Result<T> {
        let (source, slot) = self.into_parts();
        slot.deregister(source.source(), Fate::StaysOpen)?;
        Ok(source)
    }

    /// Deregisters the source as dropping does, and gives it back. If the queue is gone or does not
    /// know the source, it is as good as deregistered.
    pub(crate) fn leave(self) -> T {
        let (source, slot) = self.into_parts();
        let _ = slot.deregister(source.source(), Fate::StaysOpen);
        source
    }

    /// Without `drop`; the caller deregisters the source.
    fn into_parts(self) -> (T, Arc<Slot>) {
        let this = ManuallyDrop::new(self);
        // SAFETY: reads ask for values that are valid, and that nobody uses twice: `this` is neither
        // dropped nor looked at again.
        let source = unsafe { ptr::read(&raw const this.source) };
        // SAFETY: as above.
        let slot = unsafe { ptr::read(&raw const this.slot) };
        (source, slot)
    }

    /// Answers `Ready` if an operation in this direction is worth a try, else `Pending`, and the
    /// task is woken when it is.
    ///
    /// Only the latest waker for each direction is kept: of two tasks that poll the same direction by
    /// this, the first one is forgotten. ([`ready`](Registration::ready) has room for any number.)
    ///
    /// "Worth a try" may turn out wrong. The owner of the answer tries, and if the operation would
    /// block calls [`clear_ready`](Registration::clear_ready) and this method again.
    ///
    /// # Errors
    ///
    /// What the system says when the source cannot be registered: `Unsupported` for a kind that
    /// cannot be watched, others when memory or descriptors have run out.
    pub fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<Ready>> {
        self.poll_ready_as(cx, &mut Who::latest(), direction)
    }

    /// Takes note of a would-block: the direction is not worth a try until the next event. Does
    /// nothing if news came since `ready` was handed out, so that no event is ever lost.
    pub fn clear_ready(&self, ready: Ready) {
        self.slot.clear_ready(ready);
    }

    /// Waits until an operation in this direction is worth a try. Any number of these futures may
    /// wait at the same time; all of them are woken.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub fn ready(&self, direction: Direction) -> ReadyFuture<'_, T> {
        ReadyFuture {
            registration: self,
            who: Who::newcomer(),
            direction,
            is_paid: true,
        }
    }

    /// [`ready`](Registration::ready) for an operation that pays for itself.
    pub(crate) fn ready_unpaid(&self, direction: Direction) -> ReadyFuture<'_, T> {
        let mut ready = self.ready(direction);
        ready.is_paid = false;
        ready
    }

    /// Tries `operation` until it answers something other than `WouldBlock`, waiting in between.
    /// `Interrupted` is tried again at once.
    ///
    /// # Errors
    ///
    /// Those of `operation` and of [`poll_ready`](Registration::poll_ready).
    pub fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        ready!(budget::poll_proceed(cx));
        loop {
            let ready = ready!(self.poll_ready(cx, direction))?;
            if let Some(answer) = self.try_io(ready, &mut operation) {
                return Poll::Ready(answer);
            }
        }
    }

    /// [`poll_io`](Registration::poll_io) as a future. Any number of these may wait.
    ///
    /// # Cancel safety
    ///
    /// `operation` has either answered something other than `WouldBlock`, and the future is
    /// finished, or it has not, and dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Those of `operation` and of [`poll_ready`](Registration::poll_ready).
    pub fn io<R>(
        &self,
        direction: Direction,
        operation: impl FnMut(&T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        IoFuture {
            ready: self.ready_unpaid(direction),
            operation,
        }
    }

    /// Tries `operation` once, and again when a signal interrupts it. `None` means that it would
    /// have blocked, of which note has been taken.
    pub(crate) fn try_io<R>(
        &self,
        ready: Ready,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Option<io::Result<R>> {
        loop {
            match operation(self.own()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.clear_ready(ready);
                    return None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => {
                    budget::spend();
                    return Some(answer);
                }
            }
        }
    }

    /// Tries `operation`, whatever is known of the source: `WouldBlock` is one of its answers here.
    pub(crate) fn try_now<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        if let Some(ready) = self.slot.is_ready(direction) {
            let answer = self.try_io(ready, operation);
            return answer.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()));
        }
        loop {
            match operation(self.own()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    /// Takes note of a read that got less than it asked for, from a stream socket that is registered
    /// with [`STREAM_INTEREST`]. Where that proves the socket empty, it is as good as a would-block,
    /// and spares the system call that would meet one.
    ///
    /// It proves nothing when the end of the stream or an error may lie behind the data (both come in
    /// one edge, `c01_short_read_with_fin`), nor near an urgent mark, at which a read stops
    /// (`c02_short_read_at_urgent_mark`), nor where we are not told of such a mark.
    pub(crate) fn note_short_read(&self, ready: Ready) {
        let doubts = Readiness::TERMINAL | Readiness::PRIORITY;
        if SHORT_READS_PROVE && !ready.readiness().intersects(doubts) {
            self.clear_ready(ready);
        }
    }

    fn poll_ready_as(
        &self,
        cx: &mut Context<'_>,
        who: &mut Who,
        direction: Direction,
    ) -> Poll<io::Result<Ready>> {
        Slot::poll_ready(
            &self.slot,
            cx,
            who,
            direction,
            self.own().source(),
            context::current,
        )
    }
}

impl<T: IoSafe> Drop for Registration<T> {
    fn drop(&mut self) {
        // Relaxed: whoever lent it has come to an end before this.
        let fate = if self.is_lent.load(Ordering::Relaxed) {
            Fate::StaysOpen
        } else {
            Fate::IsClosed
        };
        // An error means that the queue is gone or does not know the source: it is as good as
        // deregistered, and there is nobody to tell.
        let _ = self.slot.deregister(self.source.source(), fate);
    }
}

impl<T: IoSafe + fmt::Debug> fmt::Debug for Registration<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.source).finish()
    }
}

/// The future of [`Registration::ready`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct ReadyFuture<'a, T: IoSafe> {
    registration: &'a Registration<T>,
    /// Among those who wait, while it waits.
    who: Who,
    direction: Direction,
    /// An answer costs a unit of the task's budget: without that, a task that waits for what holds
    /// already would never let go of its thread.
    is_paid: bool,
}

/// It is a part of whatever waits for a socket, of which there may be many thousands.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<ReadyFuture<'_, std::net::TcpStream>>() == 16);

impl<'a, T: IoSafe> ReadyFuture<'a, T> {
    pub(crate) fn registration(&self) -> &'a Registration<T> {
        self.registration
    }

    /// Waits as often as `attempt`, which answers `None` on a would-block, asks for it.
    pub(crate) fn poll_attempt<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(Ready) -> Option<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        ready!(budget::poll_proceed(cx));
        loop {
            let ready = ready!(self.poll_unpaid(cx))?;
            if let Some(answer) = attempt(ready) {
                return Poll::Ready(answer);
            }
        }
    }

    /// [`Registration::poll_io`], and others may wait beside it.
    pub(crate) fn poll_io<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let registration = self.registration;
        self.poll_attempt(cx, |ready| registration.try_io(ready, &mut operation))
    }

    fn poll_unpaid(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        let registration = self.registration;
        let polled = registration.poll_ready_as(cx, &mut self.who, self.direction);
        if let Poll::Ready(Ok(_)) = polled {
            // Who fired has taken our waker, see the protocol of the slot.
            self.who = Who::newcomer();
        }
        polled
    }
}

impl<T: IoSafe> Future for ReadyFuture<'_, T> {
    type Output = io::Result<Ready>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        if self.is_paid {
            ready!(budget::poll_proceed(cx));
        }
        let ready = ready!(self.poll_unpaid(cx))?;
        if self.is_paid {
            budget::spend();
        }
        Poll::Ready(Ok(ready))
    }
}

impl<T: IoSafe> Drop for ReadyFuture<'_, T> {
    fn drop(&mut self) {
        if !self.who.is_newcomer() {
            self.registration.slot.forget(self.who);
        }
    }
}

impl<T: IoSafe> fmt::Debug for ReadyFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyFuture")
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

/// The future of [`Registration::io`]: by hand, because an `async fn` would keep its arguments twice,
/// and a task that waits consists of little else.
struct IoFuture<'a, T: IoSafe, F> {
    ready: ReadyFuture<'a, T>,
    operation: F,
}

// Nothing in it is ever pinned.
impl<T: IoSafe, F> Unpin for IoFuture<'_, T, F> {}

impl<T: IoSafe, R, F: FnMut(&T) -> io::Result<R>> Future for IoFuture<'_, T, F> {
    type Output = io::Result<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        let this = self.get_mut();
        this.ready.poll_io(cx, &mut this.operation)
    }
}

/// epoll alone tells, by what a duplicate does, whether a source was deleted or abandoned.
#[cfg(all(test, poller = "epoll", not(ekio_loom)))]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::task::Waker;
    use std::time::Duration;

    /// How many events of a duplicate come after the registration has gone.
    fn events_of_a_duplicate(lends: bool) -> u64 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        crate::block_on(async {
            let stream = Registration::of_own(stream, Interest::BOTH, Readiness::NONE);
            let mut cx = Context::from_waker(Waker::noop());
            assert!(stream.poll_ready(&mut cx, Direction::Read).is_pending());
            let source = if lends { stream.lend() } else { stream.own() };
            let duplicate = source.try_clone().unwrap();
            let reactor = context::current().unwrap();
            reactor.turn(Some(Duration::ZERO)).unwrap();
            drop(stream);
            peer.write_all(b"for nobody").unwrap();
            // In the socket before its event is looked for.
            duplicate.set_nonblocking(false).unwrap();
            duplicate.peek(&mut [0]).unwrap();
            reactor.turn(Some(Duration::ZERO)).unwrap();
            assert_eq!(reactor.len(), 0);
            reactor.stale_events()
        })
    }

    #[test]
    fn what_was_lent_is_deleted_and_what_was_not_is_closed() {
        assert_eq!(events_of_a_duplicate(true), 0);
        // Not a wish, but the price of a call less: an event that finds no slot.
        assert_eq!(events_of_a_duplicate(false), 1);
    }
}
