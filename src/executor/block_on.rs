//! The loop of a thread that waits for a future.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use super::local::{Local, Next};
use super::sleep::Turn;
#[cfg(feature = "rt-multi-thread")]
use super::worker::Worker;
use crate::reactor::{budget, context};
use crate::sync::Arc;
use crate::task::raw;

/// The most runs between two turns of the reactor, so that tasks which are always ready keep neither
/// sockets nor timers waiting (`a17_busy_task_timer_accept`). tokio's number too: a turn costs as
/// much as some ten short runs, so it adds a few per cent; and it is prime, to fall in step with
/// nobody.
const RUNS_PER_TURN: u32 = 61;

/// Runs a future to its end on this thread, and drives the thread's sockets, timers and local tasks
/// meanwhile.
///
/// The future need be neither `Send` nor `'static`. It takes part in the queue like a task: when it
/// has been woken, the tasks that were in the queue before it run first.
///
/// [Local tasks](crate::spawn_local) that have not ended when the future has are dropped before this
/// returns, on this thread; what they spawn in their destructors as well.
///
/// # Panics
///
/// * With the panic of the future. The thread is as good as before, and so is the next `block_on`.
/// * Inside another `block_on` of the same thread, because the outer one's tasks would stand still:
///   `.await` the future, or [`spawn_local`](crate::spawn_local) it, or leave it to another thread.
/// * If the operating system gives the thread no event queue, or the queue fails (as that of a parent
///   process does after a fork).
///
/// # Examples
///
/// ```
/// let answer = ekio::block_on(async {
///     let six = ekio::spawn_local(async { 6 });
///     six.await.unwrap() * 7
/// });
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    assert_outside();
    match context::enter() {
        Ok(entered) => block_on_with(Arc::clone(entered.reactor()), future),
        Err(error) => panic!("block_on found no event queue for this thread: {error}"),
    }
}

/// # Panics
///
/// If this thread is in a loop already.
#[track_caller]
pub(super) fn assert_outside() {
    #[cfg(feature = "rt-multi-thread")]
    let is_in_worker = Worker::is_inside();
    #[cfg(not(feature = "rt-multi-thread"))]
    let is_in_worker = false;
    if Local::is_inside() || is_in_worker {
        panic!(
            "block_on inside block_on, or inside a task of a runtime: this thread's tasks would \
             stand still meanwhile; `.await` the future instead, or move the call to `spawn_blocking`"
        );
    }
}

/// The same, with a reactor that the caller has entered.
pub(super) fn block_on_with<F: Future>(
    reactor: impl Turn + Clone + 'static,
    future: F,
) -> F::Output {
    block_on_by(reactor.clone(), |limit| reactor.turn(limit), future)
}

/// The same, with something else to do than just to turn the reactor, which others notify.
pub(super) fn block_on_by<F: Future>(
    reactor: impl Turn + 'static,
    turn: impl Fn(Option<Duration>) -> io::Result<()>,
    future: F,
) -> F::Output {
    // (A call on the pool is a task, and the future of its `block_on` is none.)
    let _outer = raw::leave_running();
    let local = Local::new();
    // The future is declared behind the scope, so it is dropped before: it may spawn to the last.
    let _scope = local.enter(Box::new(reactor));
    let mut future = pin!(future);
    drive(&local, turn, future.as_mut())
}

/// The loop.
fn drive<F: Future>(
    local: &Local,
    turn: impl Fn(Option<Duration>) -> io::Result<()>,
    mut root: Pin<&mut F>,
) -> F::Output {
    let waker = local.root_waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        local.collect();
        for _ in 0..RUNS_PER_TURN {
            budget::refill();
            match local.next() {
                Next::Root => {
                    if let Poll::Ready(output) = root.as_mut().poll(&mut cx) {
                        return output;
                    }
                }
                Next::Task(task) => local.run(task),
                Next::Nobody => break,
            }
        }
        // What a waker polls on the spot is none of the runs, and would find what the last one left.
        budget::lift();
        let turned = if local.has_work() {
            turn(Some(Duration::ZERO))
        } else {
            local.sleep(&turn)
        };
        turned.unwrap_or_else(|error| stop(&error));
    }
}

#[cold]
fn stop(error: &io::Error) -> ! {
    panic!("block_on cannot go on, because its event queue failed: {error}");
}

#[cfg(all(test, not(ekio_loom)))]
mod stage;
