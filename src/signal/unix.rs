//! The signals of Unix.
//!
//! One handler serves the process. The first listener to a signal puts it in place of what that
//! signal did before, and there it stays: when the last listener is gone, the signal does nothing. A
//! handler that was there before goes on being run, after ours. (One that is put there *after* ours,
//! by somebody who does not call the one before, makes the listeners deaf.)
//!
//! Each listener has a pipe of its own, which the handler writes to and which is a source like any
//! other, at home in the reactor of whoever polls it. No thread passes signals on, and a listener in
//! one thread does not depend on what another one does.
//!
//! A child that is started by `fork` (with a `pre_exec`, say) has the handler until its `exec`: a signal that
//! reaches it in between does nothing there, where without a listener it might have ended the child.
//!
//! # What we do not use, and why
//!
//! * `signalfd`: the signals would have to be blocked in every thread of the process, which a library
//!   cannot ask for.
//! * `EVFILT_SIGNAL`: it sees signals and does not catch them; so a handler has to be there anyway
//!   (to ignore them instead would be inherited by the programs that we start), and a queue has one
//!   line for a signal, however many listen.

use std::fmt;
use std::io;
use std::os::fd::AsFd as _;
use std::task::{Context, Poll};

use crate::reactor::{Direction, Interest, IoSafe, Readiness, Registration, Source};
use crate::sys;

/// Which signal.
///
/// ```
/// use ekio::signal::unix::SignalKind;
///
/// assert_eq!(SignalKind::interrupt().as_raw_value(), 2);
/// assert_eq!(SignalKind::from_raw(15), SignalKind::terminate());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

impl SignalKind {
    /// A signal by its number, for those that have no name here.
    #[must_use]
    pub const fn from_raw(number: i32) -> SignalKind {
        SignalKind(number)
    }

    /// The number.
    #[must_use]
    pub const fn as_raw_value(&self) -> i32 {
        self.0
    }

    /// `SIGALRM`: a timer of the process has expired.
    #[must_use]
    pub const fn alarm() -> SignalKind {
        SignalKind(sys::SIGALRM)
    }

    /// `SIGCHLD`: a child has exited, or was stopped or continued. ([`Child::wait`] needs no such
    /// listener.)
    ///
    /// In a program that ignored it (`SIG_IGN`), whose children the system buries, a listener ends that:
    /// from then on a child for which nobody waits stays as a zombie. One that has set `SA_NOCLDWAIT`
    /// keeps it.
    ///
    /// [`Child::wait`]: crate::process::Child::wait
    #[must_use]
    pub const fn child() -> SignalKind {
        SignalKind(sys::SIGCHLD)
    }

    /// `SIGHUP`: the terminal is gone; to servers, by custom, "read your configuration again".
    #[must_use]
    pub const fn hangup() -> SignalKind {
        SignalKind(sys::SIGHUP)
    }

    /// `SIGINT`: Ctrl-C.
    #[must_use]
    pub const fn interrupt() -> SignalKind {
        SignalKind(sys::SIGINT)
    }

    /// `SIGIO`: a descriptor that asked for it is ready.
    #[must_use]
    pub const fn io() -> SignalKind {
        SignalKind(sys::SIGIO)
    }

    /// `SIGPIPE`: something was written to a pipe whose reader is gone. (Programs in Rust ignore it
    /// from the start, and learn of it by `BrokenPipe`.)
    #[must_use]
    pub const fn pipe() -> SignalKind {
        SignalKind(sys::SIGPIPE)
    }

    /// `SIGQUIT`: Ctrl-\.
    #[must_use]
    pub const fn quit() -> SignalKind {
        SignalKind(sys::SIGQUIT)
    }

    /// `SIGTERM`: please end. What `kill` sends, and service managers do.
    #[must_use]
    pub const fn terminate() -> SignalKind {
        SignalKind(sys::SIGTERM)
    }

    /// `SIGUSR1`: whatever the program makes of it.
    #[must_use]
    pub const fn user_defined1() -> SignalKind {
        SignalKind(sys::SIGUSR1)
    }

    /// `SIGUSR2`: the same.
    #[must_use]
    pub const fn user_defined2() -> SignalKind {
        SignalKind(sys::SIGUSR2)
    }

    /// `SIGWINCH`: the terminal's window has changed its size.
    #[must_use]
    pub const fn window_change() -> SignalKind {
        SignalKind(sys::SIGWINCH)
    }
}

impl From<i32> for SignalKind {
    fn from(number: i32) -> SignalKind {
        SignalKind(number)
    }
}

impl From<SignalKind> for i32 {
    fn from(kind: SignalKind) -> i32 {
        kind.0
    }
}

/// Begins to listen to a signal (`sigaction`).
///
/// From the first such call on, for as long as the process lives, the signal no longer does what it
/// did by default (for most: end the process), see [the module](self).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `InvalidInput` | there is no such signal, or it must not be caught: `SIGKILL`, `SIGSTOP`, `SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL` |
/// | others | what the system says when it has no pipe left |
///
/// # Examples
///
/// ```
/// use ekio::signal::unix::{SignalKind, signal};
///
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// let mut hangups = signal(SignalKind::hangup())?;
/// # let this_process = std::process::id().to_string();
/// # let kill = ["-HUP", &this_process];
/// # assert!(std::process::Command::new("kill").args(kill).status()?.success());
/// hangups.recv().await?;
/// println!("the configuration is to be read again");
/// # Ok(())
/// # })
/// # }
/// ```
#[doc(alias = "sigaction")]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let ear = Ear(sys::listen_to_signal(kind.0)?);
    Ok(Signal {
        kind,
        registration: Registration::of_nonblocking(ear, Interest::READABLE, Readiness::READABLE),
    })
}

/// A listener to one signal. Made by [`signal`].
///
/// Any number may listen to the same signal, and each of them is told of it. Dropping one ends its
/// listening, and no more than that.
///
/// A fork that goes on without `exec` must listen anew: the listeners that it got from its parent
/// hear nothing there, and answer with an error at the latest when their signal comes to the parent.
pub struct Signal {
    kind: SignalKind,
    registration: Registration<Ear>,
}

/// The listener, as a source.
struct Ear(sys::SignalListener);

// SAFETY: IoSafe asks for the same open descriptor as long as the value lives: a listener has one
// bell from its making to its end, and the descriptors of bells are never closed (`sys/unix/signals`).
unsafe impl IoSafe for Ear {
    fn source(&self) -> Source<'_> {
        Source::Descriptor(self.0.as_fd())
    }
}

impl Signal {
    /// Waits until the signal has come since the last time (or since [`signal`] was called). However
    /// often it has, it is told once.
    ///
    /// # Errors
    ///
    /// What the system says when the listener's pipe cannot be registered; and one in a fork of the
    /// process that made the listener.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: a signal that came meanwhile is told by the next `recv`.
    ///
    /// # Examples
    ///
    /// See [`signal`].
    pub async fn recv(&mut self) -> io::Result<()> {
        self.registration
            .io(Direction::Read, |ear| ear.0.take())
            .await
    }

    /// [`recv`](Signal::recv) for those who write a future by hand. The waker of the latest caller is
    /// kept.
    ///
    /// # Errors
    ///
    /// Those of `recv`.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.registration
            .poll_io(cx, Direction::Read, |ear| ear.0.take())
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signal").field(&self.kind.0).finish()
    }
}
