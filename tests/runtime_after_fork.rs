//! A child of `fork` that uses a runtime of its parent is told so, and never hangs. Forks concern the
//! whole process, so this program has one test.

#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::time::Duration;

use ekio::task::yield_now;
use ekio::{Runtime, spawn};
use support::repeat;
use support::unix::in_a_fork;

fn runtime() -> Runtime {
    Runtime::builder().workers(2).build().unwrap()
}

fn works(runtime: &Runtime) {
    let task = async { spawn(async { 7 }).await.unwrap() };
    assert_eq!(runtime.block_on(task), 7);
}

fn in_the_child(parents: Runtime, waker: Waker) {
    let handle = *parents.handle();
    for _ in 0..3 {
        let error = ekio::block_on(handle.spawn(pending::<()>())).unwrap_err();
        assert!(error.is_cancelled());
        assert!(error.to_string().contains("after a fork"), "{error}");
    }
    let blocking = AssertUnwindSafe(|| parents.block_on(async {}));
    let payload = catch_unwind(blocking).unwrap_err();
    let text = payload.downcast::<String>().unwrap();
    assert!(text.contains("after a fork"), "{text}");
    waker.wake_by_ref();
    waker.wake();
    assert!(handle.metrics().workers.is_empty());
    assert!(handle.dump().tasks.is_empty());

    let own = runtime();
    works(&own);
    // Its threads may well have got the memory of the parent's.
    drop(parents);
    works(&own);
    let blocking = ekio::spawn_blocking(|| 7);
    assert_eq!(own.block_on(blocking).unwrap(), 7);
    assert_eq!(own.shutdown_timeout(Duration::MAX), 0);
    // A crew that was vacant here, and not one that was vacant there.
    works(&runtime());
}

#[test]
fn b_fork_of_a_runtime() {
    drop(runtime()); // Leaves a crew.
    for _ in 0..repeat(300) {
        let runtime = runtime();
        works(&runtime);
        let (sender, receiver) = mpsc::channel();
        runtime.spawn(poll_fn(move |cx| {
            sender.send(cx.waker().clone()).unwrap();
            Poll::<()>::Pending
        }));
        let mut waker = Some(receiver.recv().unwrap());
        // All that can be locked is locked now and then.
        runtime.spawn(async {
            loop {
                spawn(yield_now());
                yield_now().await;
            }
        });
        let mut slot = Some(runtime);
        let answer = in_a_fork(|| {
            let (runtime, waker) = (slot.take().unwrap(), waker.take().unwrap());
            let outcome = catch_unwind(AssertUnwindSafe(|| in_the_child(runtime, waker)));
            i32::from(outcome.is_err())
        });
        assert_eq!(answer, 0);
        works(&slot.take().unwrap());
    }
}
