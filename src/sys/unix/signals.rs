//! Signals: one handler for the process, and a bell for each listener.
//!
//! A *line* is a signal's, a *bell* a listener's: a pipe of its own, which the handler writes to and
//! a reactor watches. So a listener is a source like any other, at home in whatever reactor polls it,
//! and no thread has to pass signals on.
//!
//! # Who may touch what
//!
//! The handler runs at any time, in any thread, between any two instructions. It reads atomics and
//! `OnceLock`s, writes one byte to a pipe, and does nothing else: no lock, no allocation, no panic.
//! What it looks through is therefore never taken away: a line's list only grows, and the bell of a
//! listener that has left stays in the list, quiet, until the next listener takes it.
//!
//! # The protocol of a bell
//!
//! * To ring: (1) is it in use? (2) `is_rung` := true; (3) if it was false, write a byte.
//! * To take: (1) read what is there; if there is nothing, wait; (2) `is_rung` := false.
//!
//! A signal between the two steps of taking writes nothing: it came before the listener was told, so
//! it is told with the one before. `is_rung` is never true without a byte that is there or about to
//! be written, because only who set it writes, and only who has read clears; so no signal is missed.
//! And there is one byte in the pipe (a few, if a signal was just being handled when the bell changed
//! hands), so it never runs full (`b_signal_overflow`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{ForkGuard, pipe_nonblocking};

pub(crate) use libc::{
    SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// More than the largest number of a signal on any of our systems, which is FreeBSD's 126.
const LINES: usize = 128;

/// What must not be caught: two cannot be, and the others say that the instruction at hand has
/// failed, which runs anew when a handler returns, for ever.
const FORBIDDEN: [i32; 6] = [
    libc::SIGKILL,
    libc::SIGSTOP,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
];

/// By the number of their signals.
static ALL: [Line; LINES] = [const { Line::new() }; LINES];

/// Held by who changes something; the handler needs it not.
static CHANGES: Mutex<()> = Mutex::new(());

struct Line {
    is_installed: AtomicBool,
    /// What was there before our handler was put in its place.
    expected: OnceLock<Previous>,
    /// What was really there, if somebody changed it in between.
    replaced: OnceLock<Previous>,
    first: OnceLock<Box<Bell>>,
}

/// A handler of somebody else's.
struct Previous {
    /// 0 if it was no function.
    address: usize,
    takes_details: bool,
}

struct Bell {
    reader: OwnedFd,
    writer: OwnedFd,
    is_rung: AtomicBool,
    is_in_use: AtomicBool,
    /// A fork has its parent's bells, and must not ring them.
    home: ForkGuard,
    next: OnceLock<Box<Bell>>,
}

/// Somebody who wants to know of a signal. Its descriptor is readable when the signal has come.
pub(crate) struct SignalListener {
    bell: &'static Bell,
}

/// Begins to listen to a signal. The first listener puts a handler in place of what the signal did
/// before, and there it stays.
pub(crate) fn listen_to_signal(number: i32) -> io::Result<SignalListener> {
    let line = line_of(number).filter(|_| !FORBIDDEN.contains(&number));
    let line = line.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "there is no such signal, or it is one that cannot or must not be caught",
        )
    })?;
    let _changes = CHANGES.lock().unwrap_or_else(PoisonError::into_inner);
    let listener = line.vacant_bell()?.take_over();
    // If there is no such signal, the bell goes back.
    line.install(number)?;
    Ok(listener)
}

fn line_of(number: i32) -> Option<&'static Line> {
    let index = usize::try_from(number).ok().filter(|index| *index > 0)?;
    ALL.get(index)
}

impl Line {
    const fn new() -> Line {
        Line {
            is_installed: AtomicBool::new(false),
            expected: OnceLock::new(),
            replaced: OnceLock::new(),
            first: OnceLock::new(),
        }
    }

    fn bells(&'static self) -> impl Iterator<Item = &'static Bell> {
        std::iter::successors(self.first.get(), |bell| bell.next.get()).map(|bell| &**bell)
    }

    /// A bell that nobody has, an old one if possible. Under the lock of changes.
    fn vacant_bell(&'static self) -> io::Result<&'static Bell> {
        // Relaxed: it changes from false to true under the lock only.
        let is_vacant = |bell: &&Bell| !bell.is_in_use.load(Ordering::Relaxed);
        let mut ours = self.bells().filter(|bell| bell.home.is_at_home());
        if let Some(bell) = ours.find(is_vacant) {
            return Ok(bell);
        }
        let (reader, writer) = pipe_nonblocking()?;
        let new = Box::new(Bell {
            reader,
            writer,
            is_rung: AtomicBool::new(false),
            is_in_use: AtomicBool::new(false),
            home: ForkGuard::new(),
            next: OnceLock::new(),
        });
        let end = self.bells().last().map_or(&self.first, |bell| &bell.next);
        Ok(&**end.get_or_init(|| new))
    }

    /// Puts our handler in place, once. Under the lock of changes.
    fn install(&self, number: i32) -> io::Result<()> {
        if self.is_installed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let old = exchange(number, None)?;
        self.expected.get_or_init(|| Previous::new(&old));
        let mut ours = old;
        ours.sa_sigaction = on_signal as HandlerWithDetails as usize;
        // A system call that it interrupts goes on, and children are buried as before. (Not if they were
        // because the signal was ignored: see `SignalKind::child`.)
        ours.sa_flags = libc::SA_SIGINFO
            | libc::SA_RESTART
            | (old.sa_flags & (libc::SA_NOCLDWAIT | libc::SA_NOCLDSTOP));
        // On the thread's second stack, should the first one be a small one; but a second stack is
        // small itself, and a handler of before may not expect it.
        ours.sa_flags |= match Previous::new(&old).address {
            0 => libc::SA_ONSTACK,
            _ => old.sa_flags & libc::SA_ONSTACK,
        };
        let replaced = exchange(number, Some(&ours))?;
        if replaced.sa_sigaction != old.sa_sigaction || replaced.sa_flags != old.sa_flags {
            self.replaced.get_or_init(|| Previous::new(&replaced));
        }
        self.is_installed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Bell {
    /// Under the lock of changes.
    fn take_over(&'static self) -> SignalListener {
        let listener = SignalListener { bell: self };
        // What rang for the one before. There may be nothing.
        let _ = listener.take();
        self.is_rung.store(false, Ordering::Relaxed);
        // Release: pairs with the acquire in `ring`.
        self.is_in_use.store(true, Ordering::Release);
        listener
    }

    /// Runs in the handler.
    fn ring(&self) {
        // Acquire: pairs with the release in `take_over`.
        if !self.is_in_use.load(Ordering::Acquire) || !self.home.is_at_home() {
            return;
        }
        // AcqRel: pairs with the release in `take`, which comes after the byte was read.
        let was_rung = self.is_rung.swap(true, Ordering::AcqRel);
        if !was_rung && rustix::io::write(&self.writer, &[1]).is_err() {
            self.is_rung.store(false, Ordering::Release);
        }
    }
}

impl SignalListener {
    /// Takes note of a signal that has come, once for all that came since the last time; else
    /// `WouldBlock`.
    ///
    /// # Errors
    ///
    /// In a fork, which has the pipe of its parent: a byte that it took would be missed there, and the
    /// bell would never ring again.
    pub(crate) fn take(&self) -> io::Result<()> {
        if !self.bell.home.is_at_home() {
            return Err(io::Error::other(
                "this listener belongs to the parent process: after a fork, make a new one in the child",
            ));
        }
        let mut bytes = [0; 16];
        rustix::io::read(&self.bell.reader, &mut bytes)?;
        // Release: pairs with the swap in `ring`.
        self.bell.is_rung.store(false, Ordering::Release);
        Ok(())
    }
}

impl AsFd for SignalListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.reader.as_fd()
    }
}

impl Drop for SignalListener {
    fn drop(&mut self) {
        // Release: whoever takes the bell over comes after us.
        self.bell.is_in_use.store(false, Ordering::Release);
    }
}

type Handler = extern "C" fn(libc::c_int);

type HandlerWithDetails = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// The handler.
extern "C" fn on_signal(
    number: libc::c_int,
    details: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let errno = errno::save();
    if let Some(line) = line_of(number) {
        line.bells().for_each(Bell::ring);
        if let Some(previous) = line.replaced.get().or(line.expected.get()) {
            previous.run(number, details, context);
        }
    }
    errno::restore(errno);
}

impl Previous {
    fn new(action: &libc::sigaction) -> Previous {
        let is_function = ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
        Previous {
            address: if is_function { action.sa_sigaction } else { 0 },
            takes_details: action.sa_flags & libc::SA_SIGINFO != 0,
        }
    }

    /// Runs in our handler, with what that was given.
    fn run(&self, number: i32, details: *mut libc::siginfo_t, context: *mut libc::c_void) {
        let address = ptr::with_exposed_provenance::<()>(self.address);
        if address.is_null() {
            return;
        }
        if self.takes_details {
            // SAFETY: transmute asks for a function of that type: sigaction(2) has said that it was
            // the handler of this signal, with SA_SIGINFO, which is how such a one is called.
            let function = unsafe { std::mem::transmute::<*const (), HandlerWithDetails>(address) };
            function(number, details, context);
        } else {
            // SAFETY: as above, without SA_SIGINFO.
            let function = unsafe { std::mem::transmute::<*const (), Handler>(address) };
            function(number);
        }
    }
}

/// What the signal does at present, and what it shall do from now on.
fn exchange(number: i32, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: all zeros is a value of this C structure: no flags, an empty mask, no handler.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: sigaction(2) asks for structures that live during the call, or null for the first one;
    // and for a handler that may run at any time, which `on_signal` may, see above.
    let answer = unsafe { libc::sigaction(number, new, &raw mut old) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(old)
}

/// The error number of the thread, which the code that was interrupted may be about to read.
mod errno {
    #[cfg(has_errno_errno)]
    use libc::__errno as place;
    #[cfg(has_errno_location)]
    use libc::__errno_location as place;
    #[cfg(has_errno_error)]
    use libc::__error as place;

    #[cfg(any(has_errno_location, has_errno_errno, has_errno_error))]
    pub(super) fn save() -> libc::c_int {
        // SAFETY: the function asks for nothing.
        let place = unsafe { place() };
        // SAFETY: it answers a pointer to the thread's own number, which lives as long as the thread.
        unsafe { place.read() }
    }

    #[cfg(any(has_errno_location, has_errno_errno, has_errno_error))]
    pub(super) fn restore(errno: libc::c_int) {
        // SAFETY: as in `save`.
        let place = unsafe { place() };
        // SAFETY: as in `save`; and nobody else has a reference to it.
        unsafe { place.write(errno) };
    }

    /// A system whose name for it we do not know.
    #[cfg(not(any(has_errno_location, has_errno_errno, has_errno_error)))]
    pub(super) fn save() {}

    #[cfg(not(any(has_errno_location, has_errno_errno, has_errno_error)))]
    pub(super) fn restore((): ()) {}
}
