//! Noticing that this process is a copy.
//!
//! A child of `fork` shares its parent's epoll instance (each would steal the other's events) and
//! has none of its parent's kqueues (they are not inherited). Neither can be used. Comparing
//! process numbers would cost a system call for each operation, so libc counts for us:
//! [`pthread_atfork`](https://man7.org/linux/man-pages/man3/pthread_atfork.3.html) runs a handler
//! in each child.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many forks lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_fork() {
    // Relaxed: the child of a fork has one thread, the one that runs this.
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Remembers in which process it was made.
#[derive(Debug)]
pub(crate) struct ForkGuard {
    generation: u32,
}

impl ForkGuard {
    pub(crate) fn new() -> ForkGuard {
        install_handler();
        ForkGuard {
            generation: GENERATION.load(Ordering::Relaxed),
        }
    }

    /// True in the process that made the guard.
    pub(crate) fn is_at_home(&self) -> bool {
        self.generation == GENERATION.load(Ordering::Relaxed)
    }

    /// An error in every process but the one that made the guard.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.is_at_home() {
            Ok(())
        } else {
            Err(foreign())
        }
    }
}

#[cold]
fn foreign() -> io::Error {
    io::Error::other(
        "this event queue belongs to the parent process: after a fork, make a new runtime in the \
         child (or call exec) instead of using the parent's",
    )
}

#[cfg(not(miri))]
fn install_handler() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // SAFETY: pthread_atfork asks for handlers that may run in a child of fork; `count_fork`,
        // above, only adds to an atomic. It can fail for lack of memory alone, and then a child
        // is merely not told what it does wrong.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
    });
}

/// Miri has no fork, and no pthread_atfork.
#[cfg(miri)]
fn install_handler() {
    static NOT_INSTALLED: OnceLock<()> = OnceLock::new();
    let _ = (&NOT_INSTALLED, count_fork as extern "C" fn());
}
