//! The events of a console on Windows.
//!
//! The system tells a program of them on a thread of its own, which is made for the purpose; that
//! thread wakes the listeners. The first listener installs a handler for the process
//! (`SetConsoleCtrlHandler`), which stays. An event of a kind that somebody has ever listened to is
//! ours; all others go on to the handlers that were there before, and in the end to the system's,
//! which ends the process.
//!
//! After [`ctrl_close`], [`ctrl_logoff`] and [`ctrl_shutdown`] the system ends the process as soon as
//! its handlers have returned. So ours does not return from these: the program has until the system
//! loses patience, some seconds, to clean up and end by itself.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::reactor::virtual_time::{self, RealTime};
use crate::sys::{self, ConsoleAnswer};

/// By the system's number of the event.
static KINDS: [Kind; 7] = [const { Kind::new() }; 7];

struct Kind {
    listeners: Mutex<Vec<Arc<Listener>>>,
    /// Somebody listens, or did.
    is_ours: AtomicBool,
}

#[derive(Default)]
struct Listener {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    has_come: bool,
    waker: Option<Waker>,
    /// No reactor knows that somebody waits.
    real_time: Option<RealTime>,
}

/// Begins to listen to Ctrl-C (`CTRL_C_EVENT`).
///
/// # Errors
///
/// What the system says when the handler cannot be installed.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// let mut ctrl_c = ekio::signal::windows::ctrl_c()?;
/// for count in 1..=3 {
///     ctrl_c.recv().await?;
///     println!("{count} of 3");
/// }
/// # Ok(())
/// # })
/// # }
/// ```
#[doc(alias = "CTRL_C_EVENT")]
pub fn ctrl_c() -> io::Result<CtrlEvent> {
    CtrlEvent::new(sys::CTRL_C_EVENT)
}

/// Begins to listen to Ctrl-Break (`CTRL_BREAK_EVENT`).
///
/// # Errors
///
/// Those of [`ctrl_c`].
#[doc(alias = "CTRL_BREAK_EVENT")]
pub fn ctrl_break() -> io::Result<CtrlEvent> {
    CtrlEvent::new(sys::CTRL_BREAK_EVENT)
}

/// Begins to listen to the closing of the console's window (`CTRL_CLOSE_EVENT`), after which the
/// system ends the process within seconds.
///
/// # Errors
///
/// Those of [`ctrl_c`].
#[doc(alias = "CTRL_CLOSE_EVENT")]
pub fn ctrl_close() -> io::Result<CtrlEvent> {
    CtrlEvent::new(sys::CTRL_CLOSE_EVENT)
}

/// Begins to listen to the user's logging off (`CTRL_LOGOFF_EVENT`), of which services alone are
/// told, and after which the system ends the process within seconds.
///
/// # Errors
///
/// Those of [`ctrl_c`].
#[doc(alias = "CTRL_LOGOFF_EVENT")]
pub fn ctrl_logoff() -> io::Result<CtrlEvent> {
    CtrlEvent::new(sys::CTRL_LOGOFF_EVENT)
}

/// Begins to listen to the end of the system (`CTRL_SHUTDOWN_EVENT`), of which services alone are
/// told, and after which the system ends the process within seconds.
///
/// # Errors
///
/// Those of [`ctrl_c`].
#[doc(alias = "CTRL_SHUTDOWN_EVENT")]
pub fn ctrl_shutdown() -> io::Result<CtrlEvent> {
    CtrlEvent::new(sys::CTRL_SHUTDOWN_EVENT)
}

/// A listener to one kind of event. Made by [`ctrl_c`] and its neighbours.
///
/// Any number may listen to the same kind, and each of them is told. Dropping one ends its listening,
/// and no more than that.
pub struct CtrlEvent {
    number: u32,
    listener: Arc<Listener>,
}

impl CtrlEvent {
    fn new(number: u32) -> io::Result<CtrlEvent> {
        sys::handle_console_events(on_event)?;
        let listener = Arc::new(Listener::default());
        if let Some(kind) = Kind::of(number) {
            lock(&kind.listeners).push(Arc::clone(&listener));
            // Relaxed: whoever listens has come under the lock, which the handler takes.
            kind.is_ours.store(true, Ordering::Relaxed);
        }
        Ok(CtrlEvent { number, listener })
    }

    /// Waits until the event has come since the last time (or since the listener was made). However
    /// often it has, it is told once.
    ///
    /// # Errors
    ///
    /// None today.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: an event that came meanwhile is told by the next `recv`.
    pub async fn recv(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](CtrlEvent::recv) for those who write a future by hand. The waker of the latest caller
    /// is kept.
    ///
    /// # Errors
    ///
    /// Those of `recv`.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Foreign code runs without the lock: the clone, and the drop of the one before.
        let waker = cx.waker().clone();
        let mut state = lock(&self.listener.state);
        state.real_time = None;
        if std::mem::take(&mut state.has_come) {
            return Poll::Ready(Ok(()));
        }
        let displaced = state.waker.replace(waker);
        state.real_time = virtual_time::real_time();
        drop(state);
        drop(displaced);
        Poll::Pending
    }
}

impl Drop for CtrlEvent {
    fn drop(&mut self) {
        if let Some(kind) = Kind::of(self.number) {
            lock(&kind.listeners).retain(|listener| !Arc::ptr_eq(listener, &self.listener));
        }
    }
}

impl fmt::Debug for CtrlEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CtrlEvent").field(&self.number).finish()
    }
}

impl Kind {
    const fn new() -> Kind {
        Kind {
            listeners: Mutex::new(Vec::new()),
            is_ours: AtomicBool::new(false),
        }
    }

    fn of(number: u32) -> Option<&'static Kind> {
        KINDS.get(number as usize)
    }
}

/// The handler, on a thread of the system's.
fn on_event(number: u32) -> ConsoleAnswer {
    let Some(kind) = Kind::of(number) else {
        return ConsoleAnswer::NotOurs;
    };
    let listeners = lock(&kind.listeners).clone();
    for listener in &listeners {
        let mut state = lock(&listener.state);
        state.has_come = true;
        let (waker, real_time) = (state.waker.take(), state.real_time.take());
        drop(state);
        // A waker that panics is nobody's affair but its own, least of all the system's.
        let _ = catch_unwind(AssertUnwindSafe(|| waker.map(Waker::wake)));
        drop(real_time);
    }
    let is_last_word = ![sys::CTRL_C_EVENT, sys::CTRL_BREAK_EVENT].contains(&number);
    match kind.is_ours.load(Ordering::Relaxed) {
        false => ConsoleAnswer::NotOurs,
        // Nobody will clean up.
        true if is_last_word && listeners.is_empty() => ConsoleAnswer::NotOurs,
        true if is_last_word => ConsoleAnswer::StayAwhile,
        true => ConsoleAnswer::Ours,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    struct Count(std::sync::atomic::AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Bomb;

    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }

    /// The handler is called by the test, on behalf of the system: Wine cannot send an event to
    /// itself.
    #[test]
    fn each_listener_is_told_once() {
        let number = sys::CTRL_BREAK_EVENT;
        assert!(matches!(on_event(number), ConsoleAnswer::NotOurs));
        let (mut one, mut other) = (ctrl_break().unwrap(), ctrl_break().unwrap());
        let mut foreign = ctrl_close().unwrap();
        let count = Arc::new(Count(0.into()));
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        for listener in [&mut one, &mut other, &mut foreign] {
            assert!(listener.poll_recv(&mut cx).is_pending());
        }
        for _ in 0..3 {
            assert!(matches!(on_event(number), ConsoleAnswer::Ours));
        }
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        for listener in [&mut one, &mut other] {
            assert!(listener.poll_recv(&mut cx).is_ready());
            assert!(listener.poll_recv(&mut cx).is_pending(), "told once");
        }
        assert!(foreign.poll_recv(&mut cx).is_pending());
        let bomb = Waker::from(Arc::new(Bomb));
        assert!(one.poll_recv(&mut Context::from_waker(&bomb)).is_pending());
        assert!(matches!(on_event(number), ConsoleAnswer::Ours));
        assert!(other.poll_recv(&mut cx).is_ready(), "in spite of the bomb");
        drop((one, other));
        assert!(matches!(on_event(number), ConsoleAnswer::Ours), "it stays");
    }

    #[test]
    fn the_last_word_is_drawn_out() {
        let number = sys::CTRL_SHUTDOWN_EVENT;
        let listener = ctrl_shutdown().unwrap();
        assert!(matches!(on_event(number), ConsoleAnswer::StayAwhile));
        drop(listener);
        assert!(matches!(on_event(number), ConsoleAnswer::NotOurs));
    }
}
