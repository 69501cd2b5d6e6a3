//! Signals are the whole process's, and the tests of a program share it; so each test has a signal
//! to itself, or takes the lock of [`alone`]. They are sent to this process alone.

use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsRawFd as _;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use ekio::signal::ctrl_c;
use ekio::signal::unix::{Signal, SignalKind, signal};

use crate::support::futures::{cancel, everywhere, poll_once};
use crate::support::unix::in_a_fork;
use crate::support::watchdog::Watchdog;
use crate::support::{QUIET, repeat};

/// For tests that use the same signal.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends a signal to this thread; its handler has run when this returns.
fn raise(kind: SignalKind) {
    // SAFETY: raise(3) asks for nothing; a listener has put a handler in place.
    assert_eq!(unsafe { libc::raise(kind.as_raw_value()) }, 0);
}

/// Puts a handler in place, as somebody else would.
fn handle(kind: SignalKind, handler: usize, flags: i32) {
    // SAFETY: all zeros is a value of this C structure: no flags, an empty mask, no handler.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    let number = kind.as_raw_value();
    // SAFETY: sigaction(2) asks for a structure that lives during the call, and for a handler that
    // may run at any time: those of this file work on atomics and `errno`.
    let answer = unsafe { libc::sigaction(number, &raw const action, std::ptr::null_mut()) };
    assert_eq!(answer, 0);
}

async fn expect_silence(signal: &mut Signal) {
    let mut recv = pin!(signal.recv());
    assert!(poll_once(recv.as_mut()).await.is_pending());
    let waited = ekio::time::timeout(QUIET, recv).await;
    assert!(waited.is_err(), "silence was expected");
}

#[test]
fn each_listener_is_told_once() {
    let kind = SignalKind::user_defined1();
    let _turn = alone();
    everywhere(|| async move {
        let mut listeners = [signal(kind), signal(kind), signal(kind)].map(Result::unwrap);
        for listener in &mut listeners {
            cancel(listener.recv()).await;
        }
        for round in 1..=3 {
            for _ in 0..round {
                raise(kind);
            }
            for listener in &mut listeners {
                listener.recv().await.unwrap();
            }
            for listener in &mut listeners {
                cancel(listener.recv()).await;
            }
        }
        raise(kind);
        let [mut stays, leaves, _] = listeners;
        drop(leaves);
        stays.recv().await.unwrap();
        expect_silence(&mut stays).await;
        assert_eq!(
            format!("{stays:?}"),
            format!("Signal({})", kind.as_raw_value())
        );
    });
    // Nobody listens, and nothing happens.
    raise(kind);
}

/// A signal wakes who waits, wherever it waits and whichever thread the signal comes to.
#[test]
fn many_threads_and_reactors() {
    let _watchdog = Watchdog::start();
    let kind = SignalKind::from_raw(libc::SIGTTOU);
    let (sender, are_waiting) = mpsc::channel();
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let sender = sender.clone();
            let mut listener = signal(kind).unwrap();
            let wait = async move {
                cancel(listener.recv()).await;
                for _ in 0..20 {
                    sender.send(()).unwrap();
                    listener.recv().await.unwrap();
                }
            };
            thread::spawn(move || match number % 2 {
                0 => ekio::block_on(wait),
                _ => futures_lite::future::block_on(wait),
            })
        })
        .collect();
    for _ in 0..20 {
        for _ in 0..4 {
            are_waiting.recv().unwrap();
        }
        crate::support::unix::send_signal(kind.as_raw_value());
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Listeners of tasks that many workers run, and a runtime that is dropped with listeners in it.
#[test]
fn on_many_workers() {
    let _watchdog = Watchdog::start();
    let kind = SignalKind::from_raw(libc::SIGTSTP);
    let runtime = ekio::runtime::Runtime::builder()
        .workers(3)
        .build()
        .unwrap();
    let mut idle = signal(kind).unwrap();
    let (sender, are_waiting) = mpsc::channel();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let sender = sender.clone();
            let mut listener = signal(kind).unwrap();
            runtime.spawn(async move {
                for _ in 0..10 {
                    sender.send(()).unwrap();
                    listener.recv().await.unwrap();
                }
            })
        })
        .collect();
    for _ in 0..10 {
        for _ in 0..8 {
            are_waiting.recv().unwrap();
        }
        raise(kind);
    }
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
        idle.recv().await.unwrap();
        cancel(idle.recv()).await;
    });
    let mut never = signal(kind).unwrap();
    runtime.spawn(async move { never.recv().await });
    drop(runtime);
    raise(kind);
    ekio::block_on(idle.recv()).unwrap();
}

#[test]
fn a_listener_moves_between_executors() {
    let _watchdog = Watchdog::start();
    let kind = SignalKind::from_raw(libc::SIGTTIN);
    let mut listener = signal(kind).unwrap();
    ekio::block_on(cancel(listener.recv()));
    raise(kind);
    let listener = thread::spawn(move || {
        ekio::block_on(listener.recv()).unwrap();
        ekio::block_on(cancel(listener.recv()));
        listener
    });
    let mut listener = listener.join().unwrap();
    raise(kind);
    futures_lite::future::block_on(listener.recv()).unwrap();
    futures_lite::future::block_on(cancel(listener.recv()));
}

#[test]
fn ctrl_c_listens_from_its_call_on() {
    everywhere(|| async {
        let (one, other) = (ctrl_c(), ctrl_c());
        raise(SignalKind::interrupt());
        one.await.unwrap();
        other.await.unwrap();
        cancel(ctrl_c()).await;
    });
}

#[test]
fn what_must_not_be_caught() {
    let forbidden = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
    ];
    let nonsense = [-1, 0, 127, 128, 1_000, i32::MIN, i32::MAX];
    for number in forbidden.into_iter().chain(nonsense) {
        let error = signal(SignalKind::from_raw(number)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}");
    }
}

static CALLS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count_call(_number: libc::c_int) {
    CALLS.fetch_add(1, Ordering::SeqCst);
}

static SENDER: AtomicI32 = AtomicI32::new(0);

/// Notes who has sent it, and leaves an `errno` behind.
extern "C" fn note_sender(
    _number: libc::c_int,
    details: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: sigaction(2) gives a handler with SA_SIGINFO a structure that lives while it runs.
    let details = unsafe { &*details };
    // SAFETY: the signal is sent by raise(3), and has the field.
    let sender = unsafe { details.si_pid() };
    SENDER.store(sender, Ordering::SeqCst);
    // SAFETY: close(2) refuses a number that is no descriptor's.
    unsafe { libc::close(-1) };
}

#[test]
fn the_handler_of_before_goes_on() {
    let kind = SignalKind::window_change();
    handle(kind, count_call as extern "C" fn(libc::c_int) as usize, 0);
    raise(kind);
    assert_eq!(CALLS.load(Ordering::SeqCst), 1);
    let mut listener = signal(kind).unwrap();
    raise(kind);
    assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    ekio::block_on(listener.recv()).unwrap();
    let mut second = signal(kind).unwrap();
    raise(kind);
    assert_eq!(CALLS.load(Ordering::SeqCst), 3, "once for each signal");
    ekio::block_on(second.recv()).unwrap();
    // It had the thread's stack, and has it now, for a second stack may be too small for it.
    assert_eq!(flags_of(kind) & libc::SA_ONSTACK, 0);
    let alone = SignalKind::from_raw(libc::SIGCONT);
    let _listener = signal(alone).unwrap();
    assert_ne!(flags_of(alone) & libc::SA_ONSTACK, 0);
    assert_ne!(flags_of(alone) & libc::SA_RESTART, 0);
}

fn flags_of(kind: SignalKind) -> i32 {
    // SAFETY: all zeros is a value of this C structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let number = kind.as_raw_value();
    // SAFETY: sigaction(2) asks for room for the action, which the local is.
    let answer = unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) };
    assert_eq!(answer, 0);
    action.sa_flags
}

#[test]
fn errno_is_none_the_worse() {
    let kind = SignalKind::alarm();
    let note: extern "C" fn(_, _, _) = note_sender;
    handle(kind, note as usize, libc::SA_SIGINFO);
    let _listener = signal(kind).unwrap();
    let missing = std::ffi::CString::new("/no/such/file").unwrap();
    // SAFETY: access(2) asks for a text with a zero at its end, which this is.
    let answer = unsafe { libc::access(missing.as_ptr(), 0) };
    raise(kind);
    let error = io::Error::last_os_error();
    assert_eq!((answer, error.kind()), (-1, ErrorKind::NotFound));
    let this_process = i32::try_from(std::process::id()).unwrap();
    assert_eq!(SENDER.load(Ordering::SeqCst), this_process);
}

/// A system call that a signal interrupts goes on by itself.
#[test]
fn system_calls_are_restarted() {
    let _watchdog = Watchdog::start();
    let kind = SignalKind::from_raw(libc::SIGURG);
    let mut listener = signal(kind).unwrap();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let (sender, receiver) = mpsc::channel();
    let blocked = thread::spawn(move || {
        // SAFETY: pthread_self(3) asks for nothing.
        sender
            .send(unsafe { libc::pthread_self() } as usize)
            .unwrap();
        let mut byte = 0_u8;
        // SAFETY: read(2) asks for room for so many bytes, which the local has.
        let count = unsafe { libc::read(reader.as_raw_fd(), (&raw mut byte).cast(), 1) };
        (count, byte)
    });
    let thread = receiver.recv().unwrap();
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(2));
        // SAFETY: pthread_kill(3) asks for a thread that lives, and the byte that it waits for has
        // not been written.
        let answer = unsafe { libc::pthread_kill(thread as libc::pthread_t, kind.as_raw_value()) };
        assert_eq!(answer, 0);
    }
    ekio::block_on(listener.recv()).unwrap();
    std::fs::File::from(writer).write_all(b"x").unwrap();
    assert_eq!(blocked.join().unwrap(), (1, b'x'), "EINTR was seen");
}

/// Row b_signal_overflow: more signals than any pipe holds, while nobody reads.
#[test]
fn b_signal_overflow() {
    let kind = SignalKind::user_defined2();
    let _turn = alone();
    let _watchdog = Watchdog::start();
    let mut listener = signal(kind).unwrap();
    for _ in 0..repeat(2_000_000) {
        raise(kind);
    }
    ekio::block_on(async {
        listener.recv().await.unwrap();
        cancel(listener.recv()).await;
        raise(kind);
        listener.recv().await.unwrap();
    });
}

/// Signals that come while a listener takes note of the ones before: none is missed.
#[test]
fn a_storm_of_signals() {
    let kind = SignalKind::quit();
    let mut listener = signal(kind).unwrap();
    let is_seen = AtomicBool::new(true);
    let _watchdog = Watchdog::start();
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..repeat(200_000) {
                // The next one comes as soon as the last one was told of: while it is being taken.
                while !is_seen.swap(false, Ordering::SeqCst) {
                    std::hint::spin_loop();
                    thread::yield_now();
                }
                raise(kind);
            }
        });
        ekio::block_on(async {
            for _ in 0..repeat(200_000) {
                listener.recv().await.unwrap();
                is_seen.store(true, Ordering::SeqCst);
            }
        });
    });
}

/// In a fork, its parent's listeners hear nothing of what is sent to the fork.
#[test]
fn b_fork() {
    let kind = SignalKind::user_defined2();
    let _turn = alone();
    let mut listener = signal(kind).unwrap();
    let answer = in_a_fork(|| {
        raise(kind);
        0
    });
    assert_eq!(answer, 0);
    ekio::block_on(async {
        expect_silence(&mut listener).await;
        raise(kind);
        listener.recv().await.unwrap();
    });
}

/// Nor does a fork take what its parent is to hear.
#[test]
fn a_fork_takes_nothing_from_its_parent() {
    let kind = SignalKind::user_defined2();
    let _turn = alone();
    let mut listener = signal(kind).unwrap();
    raise(kind);
    let answer = in_a_fork(|| {
        let heard = ekio::block_on(listener.recv());
        i32::from(heard.is_ok())
    });
    assert_eq!(answer, 0);
    ekio::block_on(async {
        listener.recv().await.unwrap();
        raise(kind);
        listener.recv().await.unwrap();
    });
}

/// Listeners that come and go use the same few pipes.
#[test]
fn listeners_come_and_go() {
    let kind = SignalKind::io();
    let highest = || {
        let (one, _other) = rustix::pipe::pipe().unwrap();
        one.as_raw_fd()
    };
    drop([signal(kind), signal(kind), signal(kind)]);
    let before = highest();
    for _ in 0..1_000 {
        let mut listener = signal(kind).unwrap();
        raise(kind);
        ekio::block_on(async {
            listener.recv().await.unwrap();
            cancel(listener.recv()).await;
        });
        raise(kind);
        // It leaves without having taken note.
        drop(listener);
        let mut next = signal(kind).unwrap();
        ekio::block_on(cancel(next.recv()));
    }
    // Other tests open pipes too, but not a thousand.
    assert!(highest() < before + 500);
}
