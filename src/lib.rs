//! An async runtime whose reactor talks straight to the operating system's event queue.
//!
//! ```
//! use ekio::net::{TcpListener, TcpStream};
//!
//! # #[cfg(not(feature = "futures-io"))]
//! # fn main() {}
//! # #[cfg(feature = "futures-io")]
//! # fn main() -> std::io::Result<()> {
//! let answer = ekio::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     ekio::spawn_local(async move {
//!         let (stream, _peer) = listener.accept().await?;
//!         futures_lite::io::copy(&stream, &stream).await
//!     });
//!     let stream = TcpStream::connect(address).await?;
//!     stream.write_all(b"hello").await?;
//!     let mut buffer = [0; 5];
//!     stream.read_exact(&mut buffer).await?;
//!     std::io::Result::Ok(buffer)
//! })?;
//! assert_eq!(&answer, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! This page is the tour of the house. It is for users who want to know what they run, and for
//! readers who want to know where to begin.
//!
//! # The floor plan
//!
//! | floor | does | may import |
//! |---|---|---|
//! | `sync` (cellar) | std's or loom's atomics, locks and threads, under one name | std, loom |
//! | `sys` (cellar) | the calls that leaf futures need besides the queue | rustix, libc, windows-sys |
//! | [`poller`] (ground) | speaks to the event queue, knows no futures | `sync`, `sys`, and the same |
//! | [`task`] (side room) | one task's memory, state and budget; sets of tasks | `sync` |
//! | [`reactor`] (first) | decides *who* is woken: slots, wakers, timers | `poller`, `sync`, `task::budget` |
//! | `executor` (second) | decides *what* runs next: queues, loops, [workers](runtime), blocking pool | `reactor`, `task`, `sync` |
//! | [`net`], [`time`], [`io`] (top) | the leaf futures | `reactor`, `executor::blocking`, `sys` |
//! | [`process`], [`signal`] (top) | the same, of other programs and of what the system tells | and `io` |
//! | [`fs`] (top too) | files, on the blocking pool | the same, and `io` |
//! | `compat` (top, by feature) | ekio in the traits of others: hyper | every floor |
//!
//! `tests/layers.rs` reads the source and fails if a floor names one above it.
//!
//! # The journey of one event
//!
//! Say that a segment arrives for a socket on which a task waits. Each hop hands on one value.
//!
//! | hop | value | where |
//! |---|---|---|
//! | kernel → poller | `epoll_event`, `kevent` or completion → [`Event`](poller::Event) | `poller/epoll.rs` (or its neighbours): `wait`, and `poller/flags`: `decode` |
//! | poller → reactor | key and readiness | `reactor/mod.rs`: `turn`; `reactor/slot.rs`: `fire` |
//! | reactor → waker | wakers, in batches | `reactor/wakers.rs`: `wake_all`, outside every lock |
//! | waker → queue | a `Runnable` | `task/state.rs`: `wake`; `executor/local.rs` or `crew.rs`: `schedule`; `executor/sleep.rs` or `crew/idle.rs`: who is roused |
//! | queue → task | a `Context` | `executor/block_on.rs`: `drive`, or `worker.rs`: `work`; `task/raw.rs`: `run` |
//! | task → leaf future | `Poll<io::Result<_>>` | `net/stream.rs`: try the call; on would-block clear, arm, and wait |
//!
//! And the way down: the leaf future's first would-block registers its source with the reactor of
//! the thread that polls it (`reactor/slot.rs`: `poll_ready`); from then on a would-block costs no
//! system call where the queue is edge-triggered.
//!
//! # What always holds
//!
//! * There is one way for a thread to sleep, the reactor's `turn`, and one way to end that sleep,
//!   `notify`.
//! * No waker is woken, cloned or dropped under a lock of ours.
//! * A source is deregistered before it is closed, because a [`Registration`](reactor::Registration)
//!   owns it.
//! * A key names a slot of one generation: an event that comes late wakes nobody.
//! * Time-outs and deadlines are rounded up, and never early.
//! * A panic in a task is the output of that task. A panic of a waker ends at that waker.
//! * A future that is not `Send`, and its output, are dropped on the thread that spawned it.
//!
//! # Glossary
//!
//! | word | means |
//! |---|---|
//! | `wait` | block in the kernel |
//! | `turn` | one round of the reactor |
//! | `notify` | end a `wait` |
//! | `wake`, `poll` | what they mean in `std::task` and `std::future`, and nothing else |
//! | `add`, `modify`, `rearm`, `delete` | change the kernel's table |
//! | `register` | get a [`Registration`](reactor::Registration); dropping it deregisters |
//! | `arm` | ask a slot for its next event |
//! | `fire` | deliver one |
//! | `schedule`, `run` | queue a `Runnable`; poll it once |
//! | interest, readiness | what we want; what the system said |
//! | key, source, slot | the caller's name of a source; the thing watched; the reactor's record of it |
//!
//! # Channels, locks, `select`, `join`
//!
//! Whatever needs no runtime runs on ekio as it is, and ekio has no second one of it:
//!
//! ```
//! use ekio::time::sleep;
//! use futures_lite::future::{or, zip};
//! use std::time::Duration;
//!
//! ekio::block_on(async {
//!     let (sender, receiver) = async_channel::bounded(1);
//!     let lock = async_lock::Mutex::new(0);
//!     let send = async {
//!         for number in 1..=3 {
//!             sender.send(number).await.unwrap();
//!         }
//!         sender.close();
//!     };
//!     let receive = async {
//!         while let Ok(number) = receiver.recv().await {
//!             *lock.lock().await += number;
//!         }
//!     };
//!     zip(send, receive).await; // A join.
//!     assert_eq!(lock.into_inner(), 6);
//!
//!     let late = async {
//!         sleep(Duration::MAX).await;
//!         "late"
//!     };
//!     assert_eq!(or(late, async { "early" }).await, "early"); // A select.
//! });
//! ```
//!
//! And ekio's leaf futures run in other executors: what they have to wait for, a thread named
//! `ekio-reactor` waits for there. The package `anywhere` in the repository holds both to it.
//!
//! # Where to change what
//!
//! * *To add a backend*: one file in `poller` with its essay, its pure half in `poller/flags`, a noun
//!   in `build.rs`, and one line in `tests/poller_conformance`; `CONTRIBUTING.md` has the steps.
//! * *To add a system*: `build.rs`, which is the only file that knows their names.
//! * *To add a leaf future*: hold a [`Registration`](reactor::Registration), and try the operation by
//!   [`poll_io`](reactor::Registration::poll_io). Nothing of it has to be inside this crate.
//! * *To change when tasks run*: `executor/block_on.rs` is the loop of one thread, and
//!   `executor/worker.rs` that of each of many.
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `fs` | yes | the module [`fs`] |
//! | `futures-io` | yes | `futures_io::AsyncRead` and `AsyncWrite` on the streams, and thereby the ecosystem |
//! | `hyper` | no | hyper 1.x on ekio, in `compat::hyper`: hyper without any feature of its own, and of what it depends on, tokio's channels (but none of tokio's runtime) |
//! | `io-std` | yes | [`io::stdin`], [`io::stdout`] and [`io::stderr`] |
//! | `process` | yes | the module [`process`] |
//! | `rt-multi-thread` | yes | [`Runtime`] and [`spawn`]: workers, virtual time, metrics and dumps |
//! | `signal` | yes | the module [`signal`] |
//!
//! What is always there: [`poller`], [`reactor`], [`block_on`], [`spawn_local`], [`spawn_blocking`],
//! [`net`], [`time`], [`task`] and [`io::Async`]. A program that needs no more builds in two thirds of the
//! time with `default-features = false`.

// What only the modules that are left out would use is dead without them. With all features nothing may be.
#![cfg_attr(
    not(all(
        feature = "fs",
        feature = "io-std",
        feature = "process",
        feature = "rt-multi-thread",
        feature = "signal"
    )),
    allow(dead_code)
)]

#[cfg(feature = "hyper")]
pub mod compat;
mod executor;
#[cfg(feature = "fs")]
pub mod fs;
pub mod io;
pub mod net;
pub mod poller;
#[cfg(feature = "process")]
pub mod process;
pub mod reactor;
#[cfg(feature = "signal")]
pub mod signal;
mod sync;
mod sys;
pub mod task;
pub mod time;

pub use executor::{block_on, spawn_blocking, spawn_local};
#[cfg(feature = "rt-multi-thread")]
pub use executor::{
    runtime::{self, Runtime},
    spawn,
};

/// The README's programs are compiled with the documentation's.
#[cfg(all(
    doctest,
    feature = "fs",
    feature = "futures-io",
    feature = "io-std",
    feature = "process",
    feature = "rt-multi-thread",
    feature = "signal"
))]
#[doc = include_str!("../README.md")]
struct Readme;
