//! The ground floor: one trait over the event queues of the operating systems.
//!
//! A poller knows descriptors, keys and readiness; it knows no futures. It is public, and useful
//! alone, for people who write their own loop:
//!
//! ```
//! use ekio::poller::{Events, Interest, Key, OsPoller, Poller, Source, Trigger};
//! use std::{io, net::{TcpListener, TcpStream}, time::Duration};
//!
//! # fn main() -> io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! listener.set_nonblocking(true)?;
//! let poller = OsPoller::new()?;
//!
//! // SAFETY: the listener is deleted, below, before it is closed.
//! let ticket = unsafe {
//!     poller.add(Source::socket(&listener), Key(7), Interest::READABLE, Trigger::Level)?
//! };
//! let _peer = TcpStream::connect(listener.local_addr()?)?;
//!
//! let mut events = Events::with_capacity(16);
//! while events.is_empty() {
//!     poller.wait(&mut events, Some(Duration::from_secs(10)))?;
//! }
//! assert_eq!(events.iter().next().unwrap().key, Key(7));
//! poller.delete(ticket, Source::socket(&listener))?;
//! # Ok(())
//! # }
//! ```
//!
//! # The rooms of this floor
//!
//! * [`Poller`] is the contract, [`Event`] and its parts are the data, [`Source`] is what can be
//!   watched.
//! * One file for each queue, named after the mechanism: `epoll`, `kqueue`, `poll`, `iocp`. Each
//!   begins with an essay on its queue. `script` replays a list of events, for tests.
//! * `flags` holds the pure halves of all of them; `wait`, `posts` and `notifier` are what they
//!   have in common.
//!
//! `build.rs` chooses which one [`OsPoller`] is.

mod event;
pub(crate) mod flags;
mod io_safe;
#[cfg(any(has_epoll, has_poll, has_kqueue))]
mod notifier;
mod posts;
mod source;
mod wait;

#[cfg(has_epoll)]
pub mod epoll;
// Parts of it run on every host.
#[cfg(any(has_iocp, test))]
pub mod iocp;
#[cfg(has_kqueue)]
pub mod kqueue;
#[cfg(has_poll)]
pub mod poll;
#[cfg(test)]
pub(crate) mod script;

use std::io;
use std::time::Duration;

pub(crate) use crate::sys::ForkGuard;
pub(crate) use crate::sys::coarse_clock;
pub use crate::sys::{AsSocket, BorrowedSocket};
pub use event::{Event, Events, Interest, Key, Readiness, Trigger};
pub use io_safe::IoSafe;
pub(crate) use source::{Label, addresses, check_watchable, set_nonblocking};
pub use source::{Process, Source};

/// The poller that `build.rs` chose.
#[cfg(poller = "epoll")]
pub type OsPoller = epoll::Epoll;

/// The poller that `build.rs` chose.
#[cfg(poller = "kqueue")]
pub type OsPoller = kqueue::Kqueue;

/// The poller that `build.rs` chose.
#[cfg(poller = "poll")]
pub type OsPoller = poll::Poll;

/// The poller that `build.rs` chose.
#[cfg(poller = "iocp")]
pub type OsPoller = iocp::Iocp;

/// What a backend can do.
///
/// These are facts of the backend as it was compiled; a kernel or sandbox may still refuse a thing
/// at run time, and then the call that needs it says so (time-outs are rounded up, `add` answers
/// `Unsupported`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// [`Trigger::Edge`] needs a [`rearm`](Poller::rearm) for the next event. Where this is false,
    /// `rearm` does nothing.
    pub needs_rearm: bool,
    /// With [`Trigger::Edge`], data that arrives after a read that returned less than was asked for
    /// gives a new event, so such a read proves that a stream socket is empty (unless its end or an
    /// urgent mark is near).
    pub short_read_proves_empty: bool,
    /// The unit to which time-outs are rounded up.
    pub timeout_resolution: Duration,
    /// Whether [`Source::Process`] can be watched.
    pub processes: bool,
    /// Whether [`Source::Signal`] can be watched.
    pub signals: bool,
    /// Whether [`Interest::PRIORITY`] can be watched.
    pub priority: bool,
}

/// An event queue of the operating system.
///
/// # The contract of the triggers
///
/// It is the same on every backend, and `tests/poller_conformance` holds each of them to it.
///
/// * [`Trigger::Level`]: reported at every `wait` while the condition holds.
/// * [`Trigger::Edge`]: what holds at `add` and `modify` is reported once. After the owner met
///   would-block in a direction and called `rearm` for it, readiness that arises from then on is
///   reported at least once; more events are allowed. Terminal bits are reported at least once.
/// * [`Trigger::OneShot`]: one event, with all that is known at that moment; then both directions
///   are quiet until `modify`.
///
/// An interest of [`Interest::NONE`] is silence, whatever happens to the source.
///
/// # Threads
///
/// Every method may be called from any thread at any time. One thread at a time may `wait`. What
/// other threads `add`, `modify`, `rearm` and `delete` meanwhile takes effect for the `wait` that is
/// under way.
///
/// # After a fork
///
/// A child process must not use its parent's queue (see
/// [fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html)); each method answers an error
/// there, with a text that says what to do.
///
/// # Errors
///
/// | kind | from | when |
/// |---|---|---|
/// | `AlreadyExists` | `add` | the source is in the table already |
/// | `NotFound` | `modify` | the source is not in the table |
/// | `Unsupported` | `add`, `modify` | this backend, kernel or sandbox cannot watch such a source, or not for that interest |
/// | `InvalidInput` | `add`, `modify`, `post` | the key is [`Key::RESERVED`] |
/// | `ResourceBusy` | `wait` | another thread is waiting |
/// | others | all | what the operating system said |
///
/// `wait` never answers `Interrupted`.
pub trait Poller: Sized + Send + Sync {
    /// What this backend can do.
    const CAPS: Caps;

    /// The poller's note on a source, handed out by `add` and given back to `delete`. What is in it
    /// is the backend's own affair. Dropping it instead of giving it back leaks an entry at most.
    type Ticket: Send + Sync + 'static;

    /// Makes a queue. It is not inherited by programs that this one starts.
    fn new() -> io::Result<Self>;

    /// Puts a source into the table.
    ///
    /// # Safety
    ///
    /// * [`delete`](Poller::delete) or [`abandon`](Poller::abandon) the source before it is closed.
    ///
    /// A breach may deliver events of one source under the key of another. It never touches freed
    /// memory.
    unsafe fn add(
        &self,
        source: Source<'_>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<Self::Ticket>;

    /// Changes key, interest and trigger of a source, and re-arms both directions: what holds now
    /// is reported (again).
    fn modify(
        &self,
        ticket: &Self::Ticket,
        source: Source<'_>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()>;

    /// With [`Trigger::Edge`]: asks for the next event of those `directions` in which the owner met
    /// would-block. Does nothing where [`Caps::needs_rearm`] is false.
    fn rearm(&self, ticket: &Self::Ticket, directions: Interest) -> io::Result<()>;

    /// Takes a source out of the table. An event that a concurrent `wait` has fetched already may
    /// still be handed out by that `wait`; no later one has any.
    ///
    /// A source that the kernel has forgotten by itself is not an error.
    fn delete(&self, ticket: Self::Ticket, source: Source<'_>) -> io::Result<()>;

    /// Takes out a source that the caller closes next, and that has no duplicate (`dup`, a descriptor
    /// passed on). Where closing is deleting, this is no system call; elsewhere it is `delete`.
    ///
    /// Until it is closed there may be events of it, and as long as there is a duplicate after all (a
    /// child process between its `fork` and its `exec` has one): so its key stays out of use.
    fn abandon(&self, ticket: Self::Ticket, source: Source<'_>) -> io::Result<()> {
        self.delete(ticket, source)
    }

    /// Sleeps until there is an event, a notification, or until `timeout` is over (`None` is never),
    /// and puts the events into the cleared list.
    ///
    /// The list can stay empty: after a notification and after a time-out, which never comes early.
    /// Interrupted by a signal, it goes on with the time that remains.
    #[doc(alias = "epoll_wait")]
    #[doc(alias = "kevent")]
    #[doc(alias = "GetQueuedCompletionStatusEx")]
    fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()>;

    /// Makes the current `wait` return, or the next one if there is none. Several notifications
    /// before that return are one.
    fn notify(&self) -> io::Result<()>;

    /// Puts an event of one's own into the queue; it is delivered once, with its key and payload, by
    /// this `wait` or a later one.
    fn post(&self, event: Event) -> io::Result<()>;
}

/// Refuses the key that backends keep for themselves.
fn check_key(key: Key) -> io::Result<()> {
    if key == Key::RESERVED {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the key u64::MAX is reserved for the poller itself",
        ));
    }
    Ok(())
}

/// The answer to what a backend cannot watch.
fn unsupported(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what)
}
