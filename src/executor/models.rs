//! Models for loom: the real loop of `block_on` around a pretended reactor, and wakes from other
//! threads at every moment of it.
//!
//! `RUSTFLAGS="--cfg ekio_loom" cargo test --lib --release loom`

use std::future::{Future, pending, poll_fn};
use std::task::Poll;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::block_on::block_on_with;
use super::spawn_local;
use super::testing::Couch;

/// How often a thread is interrupted where it would not have to wait; see the models of `task`.
const PREEMPTIONS_MAX: usize = 3;

/// The same where three threads and two queues take more than a minute.
const FEW_PREEMPTIONS_MAX: usize = 2;

fn model(preemptions_max: usize, threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions_max);
    builder.check(threads);
}

/// Ready when `threads` threads, which its first poll starts, have counted to that number and woken
/// it, half of them by value.
fn counted(threads: usize) -> impl Future<Output = ()> {
    let count = Arc::new(AtomicUsize::new(0));
    let mut is_started = false;
    poll_fn(move |cx| {
        if !is_started {
            is_started = true;
            for number in 0..threads {
                let (waker, count) = (cx.waker().clone(), Arc::clone(&count));
                thread::spawn(move || {
                    // Relaxed: what makes the value visible has to be the wake.
                    count.fetch_add(1, Ordering::Relaxed);
                    if number % 2 == 0 {
                        waker.wake();
                    } else {
                        waker.wake_by_ref();
                    }
                });
            }
        }
        if count.load(Ordering::Relaxed) == threads {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
}

/// The thread goes to sleep while its root is woken. A lost wake is a deadlock, which loom reports.
#[test]
fn loom_sleep_vs_wake_of_root() {
    model(PREEMPTIONS_MAX, || {
        let couch = Couch::new();
        block_on_with(couch.clone(), counted(1));
        assert!(couch.notifications() <= 1);
    });
}

#[test]
fn loom_sleep_vs_two_wakes_of_root() {
    model(PREEMPTIONS_MAX, || {
        let couch = Couch::new();
        block_on_with(couch.clone(), counted(2));
        assert!(couch.notifications() <= 2);
    });
}

/// The same for a task, whose wake comes through the inbox.
#[test]
fn loom_sleep_vs_wake_of_task() {
    model(PREEMPTIONS_MAX, || {
        let couch = Couch::new();
        block_on_with(couch.clone(), async {
            spawn_local(counted(1)).await.unwrap();
        });
        assert!(couch.notifications() <= 1);
    });
}

#[test]
fn loom_sleep_vs_two_wakes_of_task() {
    model(FEW_PREEMPTIONS_MAX, || {
        let couch = Couch::new();
        block_on_with(couch.clone(), async {
            spawn_local(counted(2)).await.unwrap();
        });
        assert!(couch.notifications() <= 2);
    });
}

/// `block_on` returns while two wakers of a task that waits are used for the last time: the future is
/// dropped here (loom reports an `Arc` that is left over), and the memory by whoever is last.
#[test]
fn loom_close_vs_wakes() {
    model(PREEMPTIONS_MAX, || {
        block_on_with(Couch::new(), async {
            let task = spawn_local(async {
                counted(2).await;
                pending::<()>().await;
            });
            crate::task::yield_now().await;
            drop(task);
        });
    });
}

/// `block_on` returns while another thread aborts a task and waits for it.
#[test]
fn loom_close_vs_abort() {
    model(PREEMPTIONS_MAX, || {
        let aborting = block_on_with(Couch::new(), async {
            let task = spawn_local(pending::<()>());
            crate::task::yield_now().await;
            thread::spawn(move || {
                task.abort();
                task
            })
        });
        assert!(aborting.join().unwrap().is_finished());
    });
}
