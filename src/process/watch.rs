//! Waiting for a child.
//!
//! # The protocol
//!
//! Whatever the system's queue says of a child is a *hint*: a pidfd is readable for a moment when a
//! tracer takes the child's end away, and some kernels tell of an exit before `waitpid` knows. So the
//! child itself is asked each time, and its answer is the only one that counts.
//!
//! ```text
//!            not yet                 hint                not yet
//!    ask ------------> registered --------> ask again ------------> napping
//!     ^                    ^                    |                     |
//!     |                    |                    | exited              | over: ask again, and if
//!     |                    |                    v                     | "not yet" register again
//!   start                  |                  done                    |
//!                          '------------------------------------------'
//! ```
//!
//! * A child is registered after it was asked, so that one that exits in between is reported at once:
//!   the condition holds at `add`.
//! * A hint that turns out wrong costs a nap, longer each time up to [`NAP_MAX`]; however often the
//!   queue is wrong, nobody spins (`a10_pidfd_spurious`).
//! * Where the queue cannot watch a child (no pidfd: before Linux 5.3, in some sandboxes, on Android;
//!   `Poll` outside of Linux), or cannot at the moment (descriptors have run out), naps are all there
//!   is. A handler of `SIGCHLD` would be quicker by some milliseconds. It would also change what the
//!   signal does for the whole process, and be silenced by whoever does the same after us.
//! * The child leaves the queue before it is asked: when it has been asked successfully, its number
//!   may become another process's.

use std::io;
use std::pin::Pin;
use std::process::ExitStatus;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::reactor::timers::Timer;
use crate::reactor::{
    Direction, Interest, IoSafe, Reactor, Readiness, Registration, budget, clock, context,
    virtual_time,
};

/// The first nap; each of the next ones is twice as long.
const NAP_MIN: Duration = Duration::from_millis(1);

/// The longest: how late an exit may be noticed where there are no hints.
const NAP_MAX: Duration = Duration::from_millis(50);

/// What exits at some time, and can be watched by a reactor meanwhile.
pub(super) trait Mortal: IoSafe {
    /// The answer that counts (`waitpid` without waiting).
    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>>;
}

impl Mortal for std::process::Child {
    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        std::process::Child::try_wait(self)
    }
}

pub(super) struct Watch<C: Mortal> {
    place: Place<C>,
    nap: Option<Nap>,
    naps: u32,
    is_unsupported: bool,
    status: Option<ExitStatus>,
}

/// A pause before the child is asked again.
struct Nap {
    timer: Pin<Box<Timer<Reactor>>>,
    /// It is the child that is waited for, and its time is real.
    _real_time: Option<virtual_time::RealTime>,
}

/// Where the child is.
enum Place<C: Mortal> {
    Here(C),
    InReactor(Registration<C>),
    /// Inside a method, and after `into_child`.
    Nowhere,
}

impl<C: Mortal> Watch<C> {
    pub(super) fn new(child: C) -> Watch<C> {
        Watch {
            place: Place::Here(child),
            nap: None,
            naps: 0,
            is_unsupported: false,
            status: None,
        }
    }

    /// How it has ended, if that is known.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    #[cfg_attr(unix, allow(dead_code))]
    pub(super) fn get_ref(&self) -> Option<&C> {
        match &self.place {
            Place::Here(child) => Some(child),
            Place::InReactor(registration) => Some(registration.own()),
            Place::Nowhere => None,
        }
    }

    /// The child, out of the queue. Whoever waits is woken, and will register it again.
    pub(super) fn get_mut(&mut self) -> Option<&mut C> {
        if let Place::InReactor(_) = self.place {
            if let Place::InReactor(registration) = self.take() {
                self.place = Place::Here(registration.leave());
            }
        }
        match &mut self.place {
            Place::Here(child) => Some(child),
            _ => None,
        }
    }

    /// The child, for good.
    pub(super) fn into_child(mut self) -> Option<C> {
        self.get_mut()?;
        match self.place {
            Place::Here(child) => Some(child),
            _ => None,
        }
    }

    fn take(&mut self) -> Place<C> {
        std::mem::replace(&mut self.place, Place::Nowhere)
    }

    /// Asks the child.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let child = self.get_mut().ok_or(io::ErrorKind::NotFound)?;
            self.status = child.try_wait()?;
        }
        Ok(self.status)
    }

    /// Waits for its end. The latest waker is kept.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        ready!(budget::poll_proceed(cx));
        loop {
            let was_told = ready!(self.poll_hint(cx))?;
            if let Some(status) = self.try_wait()? {
                self.nap = None;
                budget::spend();
                return Poll::Ready(Ok(status));
            }
            if was_told || self.is_unsupported {
                self.take_a_nap()?;
            } else {
                self.register();
            }
        }
    }

    /// Ready when the child is worth asking; true if it was the queue that has said so, or refused
    /// to.
    fn poll_hint(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if let Some(nap) = &mut self.nap {
            ready!(nap.timer.as_mut().poll_elapsed(cx, context::current));
            self.nap = None;
            return Poll::Ready(Ok(false));
        }
        let Place::InReactor(registration) = &self.place else {
            return Poll::Ready(Ok(false));
        };
        if let Err(error) = ready!(registration.poll_ready(cx, Direction::Read)) {
            self.is_unsupported |= error.kind() == io::ErrorKind::Unsupported;
        }
        Poll::Ready(Ok(true))
    }

    fn register(&mut self) {
        self.place = match self.take() {
            Place::Here(child) => Place::InReactor(Registration::of_nonblocking(
                child,
                Interest::READABLE,
                Readiness::NONE,
            )),
            other => other,
        };
    }

    fn take_a_nap(&mut self) -> io::Result<()> {
        // A timer without a reactor panics.
        context::current()?;
        let nap = NAP_MIN.saturating_mul(1 << self.naps.min(16)).min(NAP_MAX);
        self.naps = self.naps.saturating_add(1);
        let deadline = clock::after(clock::now(), nap);
        self.nap = Some(Nap {
            timer: Box::pin(Timer::new(deadline)),
            _real_time: virtual_time::real_time(),
        });
        Ok(())
    }
}

#[cfg(all(test, unix, not(miri), not(ekio_loom)))]
mod tests {
    use super::*;
    use crate::reactor::Source;
    use crate::sys::pipe_nonblocking;
    use std::future::poll_fn;
    use std::os::fd::OwnedFd;
    use std::os::unix::process::ExitStatusExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A child whose pidfd is readable all the time, and which is not yet dead for so many times.
    struct Liar {
        fd: OwnedFd,
        lives: usize,
        asked: usize,
    }

    // SAFETY: the descriptor is closed when the value is dropped and not before.
    unsafe impl IoSafe for Liar {
        fn source(&self) -> Source<'_> {
            Source::descriptor(&self.fd)
        }
    }

    impl Mortal for Liar {
        fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
            self.asked += 1;
            let is_over = self.asked > self.lives;
            Ok(is_over.then(|| ExitStatus::from_raw(7 << 8)))
        }
    }

    /// Row a10: readiness that turns out wrong, ten times.
    #[test]
    fn a10_pidfd_spurious() {
        let (fd, writer) = pipe_nonblocking().unwrap();
        drop(writer);
        let liar = Liar {
            fd,
            lives: 10,
            asked: 0,
        };
        let mut watch = Watch::new(liar);
        let polls = AtomicUsize::new(0);
        let status = crate::executor::block_on(poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            watch.poll_wait(cx)
        }));
        assert_eq!(status.unwrap().code(), Some(7));
        let polls = polls.into_inner();
        assert!(polls <= 20, "{polls} polls");
        assert_eq!(watch.get_ref().unwrap().asked, 11);
        assert_eq!(watch.try_wait().unwrap().unwrap().code(), Some(7));
        assert_eq!(watch.get_ref().unwrap().asked, 11, "it is known");
    }

    /// What no queue can watch is asked now and then.
    #[test]
    fn without_hints() {
        let file = std::fs::File::open("Cargo.toml").unwrap();
        let liar = Liar {
            fd: file.into(),
            lives: 4,
            asked: 0,
        };
        let mut watch = Watch::new(liar);
        let status = crate::executor::block_on(poll_fn(|cx| watch.poll_wait(cx)));
        assert_eq!(status.unwrap().code(), Some(7));
        assert!(watch.is_unsupported);
        assert_eq!(watch.naps, 3);
    }
}
