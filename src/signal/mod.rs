//! What the system tells a program by the way: Ctrl-C, and the like.
//!
//! [`ctrl_c`] is the same everywhere. Everything else has a module for each family of systems:
//! `unix` for its signals, `windows` for the events of a console.
//!
//! Each listener hears of each event, whichever thread and executor it waits on; what comes several
//! times before a listener looks is told once.

#[cfg(unix)]
pub mod unix;
#[cfg(windows)]
pub mod windows;

use std::future::Future;
use std::io;

/// Waits for the next Ctrl-C (`SIGINT` on Unix, `CTRL_C_EVENT` on Windows).
///
/// The call itself, not the first poll, begins to listen. From the first call on, Ctrl-C no longer
/// ends the program, also when nobody waits: whoever asked to be told decides. Any number of these
/// futures may wait; each is told.
///
/// A future hears of what comes after its call. Whoever wants every Ctrl-C, also those that come
/// while the one before is being dealt with, keeps a `unix::Signal` or a `windows::CtrlEvent`.
///
/// # Platform behaviour
///
/// | | Unix | Windows |
/// |---|---|---|
/// | listening costs | a pipe | a lock |
/// | without a terminal or console | `kill -INT` does the same | nothing ever comes |
///
/// # Errors
///
/// What the system says when it cannot be listened to: descriptors have run out, say.
///
/// # Cancel safety
///
/// Dropping the future ends the listening. A Ctrl-C that came meanwhile is lost to it.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// ekio::block_on(async {
///     println!("press Ctrl-C to end this");
///     ekio::signal::ctrl_c().await?;
///     println!("good-bye");
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias = "SIGINT")]
#[doc(alias = "SetConsoleCtrlHandler")]
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> + Send + Sync + Unpin {
    CtrlC(Some(listen_to_ctrl_c()))
}

#[cfg(unix)]
use unix::Signal as Listener;
#[cfg(windows)]
use windows::CtrlEvent as Listener;

#[cfg(unix)]
fn listen_to_ctrl_c() -> io::Result<Listener> {
    unix::signal(unix::SignalKind::interrupt())
}

#[cfg(windows)]
fn listen_to_ctrl_c() -> io::Result<Listener> {
    windows::ctrl_c()
}

/// The future of [`ctrl_c`]. An error of listening is told at the first poll.
struct CtrlC(Option<io::Result<Listener>>);

impl Future for CtrlC {
    type Output = io::Result<()>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        match &mut self.0 {
            Some(Ok(listener)) => listener.poll_recv(cx),
            failed => match failed.take() {
                Some(Err(error)) => std::task::Poll::Ready(Err(error)),
                _ => panic!("`ctrl_c` was polled after it had answered an error"),
            },
        }
    }
}
