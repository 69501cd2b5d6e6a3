//! Grips on tasks and what a task knows of itself: `AbortHandle`, `task::id`, `task::unconstrained`.

#[path = "support/mod.rs"]
mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use ekio::task::{self, AbortHandle, yield_now};
use ekio::time::interval;
use ekio::{Runtime, block_on, spawn_blocking, spawn_local};
use support::repeat;
use support::watchdog::Watchdog;

#[test]
fn an_abort_handle_works_from_anywhere_whatever_the_output() {
    fn goes_anywhere<T: Send + Sync + Clone + 'static>(value: &T) -> T {
        value.clone()
    }

    let _watchdog = Watchdog::start();
    block_on(async {
        // Neither future nor output is Send.
        let shared = Rc::new(7);
        let stuck = spawn_local(async move {
            pending::<()>().await;
            shared
        });
        let abort = goes_anywhere(&stuck.abort_handle());
        assert_eq!(abort.id(), stuck.id());
        assert!(!abort.is_finished());
        let thread = thread::spawn(move || {
            abort.abort();
            abort
        });
        assert!(stuck.await.unwrap_err().is_cancelled());
        let abort = thread.join().unwrap();
        assert!(abort.is_finished());
        abort.abort(); // Nothing is left to do.
    });
}

#[test]
fn an_abort_handle_keeps_memory_alone() {
    let _watchdog = Watchdog::start();
    let witness = Rc::new(());
    let mut handles: Vec<AbortHandle> = Vec::new();
    block_on(async {
        for is_joined in [true, false] {
            let copy = Rc::clone(&witness);
            let done = spawn_local(async move { copy });
            handles.push(done.abort_handle());
            if is_joined {
                done.await.unwrap();
            } else {
                yield_now().await;
                drop(done);
            }
        }
        let copy = Rc::clone(&witness);
        let stuck = spawn_local(async move {
            let _copy = copy;
            pending::<()>().await;
        });
        handles.push(stuck.abort_handle());
        handles.push(handles[2].clone());
    });
    assert_eq!(Rc::strong_count(&witness), 1);
    // The last grip on their memory goes on another thread.
    thread::spawn(move || assert!(handles.iter().all(AbortHandle::is_finished)))
        .join()
        .unwrap();
}

#[test]
fn abort_handles_race_with_completion_and_with_each_other() {
    let _watchdog = Watchdog::start();
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let (mut done, mut cancelled) = (0, 0);
    let rounds = if cfg!(miri) { 4 } else { repeat(10_000) };
    for round in 0..rounds {
        let witness = Arc::new(round);
        let copy = Arc::clone(&witness);
        let task = runtime.spawn(async move {
            for _ in 0..round % 4 {
                yield_now().await;
            }
            copy
        });
        let aborts = [task.abort_handle(), task.abort_handle().clone()];
        let threads = aborts.map(|abort| thread::spawn(move || abort.abort()));
        match block_on(task) {
            Ok(output) => done += usize::from(*output == round),
            Err(error) => cancelled += usize::from(error.is_cancelled()),
        }
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(Arc::strong_count(&witness), 1);
    }
    assert_eq!(done + cancelled, rounds);
    println!("{done} done, {cancelled} cancelled");
}

/// Tells the number of the task in which it is dropped.
struct TellsId(mpsc::Sender<Option<task::Id>>);

impl Drop for TellsId {
    fn drop(&mut self) {
        let _ = self.0.send(task::try_id());
    }
}

#[test]
fn a_task_knows_its_number() {
    let _watchdog = Watchdog::start();
    assert!(task::try_id().is_none());
    block_on(async {
        assert!(task::try_id().is_none(), "the root is no task");
        let (sender, receiver) = mpsc::channel();
        let outer = spawn_local(async move {
            let before = task::id();
            let inner = spawn_local(async { task::id() });
            let id = inner.id();
            assert_eq!(inner.await.unwrap(), id);
            // Dropped inside this one, and yet in their own names.
            let aborted = spawn_local(async { pending::<()>().await });
            aborted.abort();
            assert!(aborted.await.is_err());
            assert_eq!(task::id(), before);
            before
        });
        let id = outer.id();
        assert_eq!(outer.await.unwrap(), id);

        let guard = TellsId(sender.clone());
        let stuck = spawn_local(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        yield_now().await;
        stuck.abort();
        let id = stuck.id();
        assert!(stuck.await.unwrap_err().is_cancelled());
        assert_eq!(receiver.recv().unwrap(), Some(id));

        // After a panic too.
        let guard = TellsId(sender);
        let bad = spawn_local(async move {
            let _guard = guard;
            yield_now().await;
            resume_unwind(Box::new("on purpose"))
        });
        let id = bad.id();
        let joined: Result<(), _> = bad.await;
        assert!(joined.unwrap_err().is_panic());
        assert_eq!(receiver.recv().unwrap(), Some(id));
        assert!(task::try_id().is_none());

        let blocking = spawn_blocking(task::id);
        let id = blocking.id();
        assert_eq!(blocking.await.unwrap(), id);
        // In which there is a loop whose future is none.
        let blocking = spawn_blocking(|| (block_on(async { task::try_id() }), task::id()));
        let id = blocking.id();
        assert_eq!(blocking.await.unwrap(), (None, id));
    });
    let outside = catch_unwind(|| task::id()).unwrap_err();
    let text = outside.downcast_ref::<&str>().unwrap();
    assert!(text.starts_with("task::id outside of a task"), "{text}");
}

#[test]
fn a_task_of_a_runtime_knows_its_number_on_any_worker() {
    let _watchdog = Watchdog::start();
    let runtime = Runtime::builder().workers(2).build().unwrap();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            runtime.spawn(async {
                let id = task::id();
                for _ in 0..10 {
                    yield_now().await;
                    assert_eq!(task::id(), id);
                }
                id
            })
        })
        .collect();
    for task in tasks {
        let id = task.id();
        assert_eq!(block_on(task).unwrap(), id);
    }
    // The future of a task that a runtime refuses is dropped in its name.
    let handle = *runtime.handle();
    drop(runtime);
    let (sender, receiver) = mpsc::channel();
    let guard = TellsId(sender);
    let late = handle.spawn(async move {
        let _guard = guard;
    });
    assert_eq!(receiver.recv().unwrap(), Some(late.id()));
}

/// More ticks than a run has budget for.
async fn many_ticks() {
    let mut interval = interval(Duration::from_nanos(1));
    for _ in 0..if cfg!(miri) { 150 } else { 1_000 } {
        interval.tick().await;
    }
}

#[test]
fn unconstrained_does_not_give_way() {
    let _watchdog = Watchdog::start();
    for is_constrained in [true, false] {
        block_on(async {
            let has_run = Rc::new(Cell::new(false));
            let flag = Rc::clone(&has_run);
            let other = spawn_local(async move { flag.set(true) });
            if is_constrained {
                many_ticks().await;
            } else {
                task::unconstrained(many_ticks()).await;
            }
            assert_eq!(has_run.get(), is_constrained);
            other.await.unwrap();
        });
    }
}

#[test]
fn unconstrained_is_nested_and_ends_with_a_panic() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let log = Rc::new(RefCell::new(Vec::new()));
        let copy = Rc::clone(&log);
        let mut bad = Box::pin(task::unconstrained(async {
            task::unconstrained(many_ticks()).await;
            many_ticks().await;
            resume_unwind(Box::new("on purpose"))
        }));
        let caught = poll_fn(move |cx| {
            let poll = || bad.as_mut().poll(cx).map(|()| ());
            Poll::Ready(catch_unwind(AssertUnwindSafe(poll)))
        });
        let other = spawn_local(async move { copy.borrow_mut().push("other") });
        assert!(caught.await.is_err(), "it has not given way until then");
        log.borrow_mut().push("caught");
        // What follows is limited again.
        many_ticks().await;
        log.borrow_mut().push("ticked");
        other.await.unwrap();
        assert_eq!(*log.borrow(), ["caught", "other", "ticked"]);
    });
}

/// A task that is spawned inside is as limited as any.
#[test]
fn unconstrained_is_not_inherited() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let has_run = Rc::new(Cell::new(false));
        let flag = Rc::clone(&has_run);
        let task = task::unconstrained(poll_fn(|_| Poll::Ready(spawn_local(many_ticks())))).await;
        spawn_local(async move { flag.set(true) });
        task.await.unwrap();
        assert!(has_run.get());
    });
}
