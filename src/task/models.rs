//! Models for loom: every interleaving of two or three threads, up to a bound.
//!
//! `RUSTFLAGS="--cfg ekio_loom" cargo test --lib --release loom`

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};

use super::testing::{Bell, Desk};
use super::{JoinHandle, JoinSet};

/// How often a thread is interrupted where it would not have to wait. Three find every fault that
/// was put in to try the models (a weaker ordering each, and lost steps); without a bound they take
/// hours.
const PREEMPTIONS_MAX: usize = 3;

fn model(threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.check(threads);
}

/// A future that is ready when `count` has reached `goal`. It hands out its waker at its first poll.
fn reaches(
    count: Arc<AtomicUsize>,
    goal: usize,
    wakers: Arc<Mutex<Vec<Waker>>>,
    copies: usize,
) -> impl Future<Output = usize> {
    let mut is_handed_out = false;
    poll_fn(move |cx| {
        if !is_handed_out {
            is_handed_out = true;
            let copies = (0..copies).map(|_| cx.waker().clone());
            wakers.lock().unwrap().extend(copies);
        }
        // Relaxed: what makes the value visible has to be the wake.
        match count.load(Ordering::Relaxed) {
            reached if reached == goal => Poll::Ready(reached),
            _ => Poll::Pending,
        }
    })
}

/// The end of a poll races with two wakes; the poll after the last of them sees what was written
/// before each.
#[test]
fn a16_loom_wake_unschedule() {
    model(|| {
        let (desk, count, wakers) = (Desk::new(), Arc::default(), Arc::default());
        let future = reaches(Arc::clone(&count), 2, Arc::clone(&wakers), 2);
        let mut handle = desk.spawn(future);
        assert!(!desk.run());
        let waker = wakers.lock().unwrap().pop().unwrap();
        let other = wakers.lock().unwrap().pop().unwrap();
        other.wake_by_ref(); // A run is due, so that its end can race.
        let waking = loom::thread::spawn(move || {
            count.fetch_add(1, Ordering::Relaxed);
            waker.wake();
            count.fetch_add(1, Ordering::Relaxed);
            other.wake_by_ref();
        });
        desk.run_to_end();
        waking.join().unwrap();
        assert_eq!(take(&mut handle), 2);
    });
}

/// The same, with the wakes on two threads: neither hides the other.
#[test]
fn loom_two_wakers() {
    model(|| {
        let (desk, count, wakers) = (Desk::new(), Arc::default(), Arc::default());
        let future = reaches(Arc::clone(&count), 2, Arc::clone(&wakers), 2);
        let handle = desk.spawn(future);
        assert!(!desk.run());
        wakers.lock().unwrap()[0].wake_by_ref(); // As above.
        let mut waking = Vec::new();
        for waker in wakers.lock().unwrap().drain(..) {
            let count = Arc::clone(&count);
            waking.push(loom::thread::spawn(move || {
                count.fetch_add(1, Ordering::Relaxed);
                waker.wake();
            }));
        }
        drop(handle);
        desk.run_to_end();
        waking.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// What one run leaves in the future, the next run sees, on whatever thread the wake came.
#[test]
fn loom_run_to_run() {
    model(|| {
        let (desk, count, wakers) = (Desk::new(), Arc::default(), Arc::default());
        let runs = loom::cell::UnsafeCell::new(0);
        let mut reaches = Box::pin(reaches(Arc::clone(&count), 2, Arc::clone(&wakers), 2));
        let handle = desk.spawn(poll_fn(move |cx| {
            // SAFETY: polls come one after the other; that is what is tested.
            runs.with_mut(|runs| unsafe { *runs += 1 });
            reaches.as_mut().poll(cx)
        }));
        assert!(!desk.run());
        let threads = [true, false].map(|is_by_value| {
            let (desk, count) = (desk.clone(), Arc::clone(&count));
            let waker = wakers.lock().unwrap().pop().unwrap();
            loom::thread::spawn(move || {
                count.fetch_add(1, Ordering::Relaxed);
                if is_by_value {
                    waker.wake();
                } else {
                    waker.wake_by_ref();
                }
                // Both run what there is; in a runtime of several threads they would.
                desk.run();
            })
        });
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        while desk.run() {}
        assert!(handle.is_finished());
    });
}

fn take<T>(handle: &mut JoinHandle<T>) -> T {
    match poll(handle, Waker::noop()) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the task is complete"),
    }
}

fn poll<T>(handle: &mut JoinHandle<T>, waker: &Waker) -> Poll<T> {
    let polled = Pin::new(handle).poll(&mut Context::from_waker(waker));
    polled.map(|output| output.unwrap())
}

/// A value whose moves and drop loom watches. (loom reports an `Arc` that is left over.)
type Watched = Arc<loom::cell::UnsafeCell<usize>>;

fn watched() -> Watched {
    Arc::new(loom::cell::UnsafeCell::new(7))
}

fn look(value: &Watched) -> usize {
    // SAFETY: the value was handed over; that is what is tested.
    value.with(|value| unsafe { *value })
}

fn write(value: &Watched) {
    // SAFETY: as above.
    value.with_mut(|value| unsafe { *value = 8 });
}

/// Completion races with a joiner who waits: it is woken, and finds the output.
#[test]
fn loom_complete_vs_join() {
    model(|| {
        let desk = Desk::new();
        let output = watched();
        let mut handle = desk.spawn(async move {
            write(&output);
            output
        });
        let joiner = loom::thread::spawn(move || {
            let bell = Bell::new();
            let output = loop {
                match poll(&mut handle, &bell.waker()) {
                    Poll::Ready(output) => break output,
                    Poll::Pending => bell.wait(),
                }
            };
            assert_eq!(look(&output), 8);
        });
        assert!(desk.run());
        joiner.join().unwrap();
    });
}

/// The same for a joiner who changes its waker meanwhile: the last one is woken.
#[test]
fn loom_complete_vs_change_of_waker() {
    model(|| {
        let desk = Desk::new();
        let output = watched();
        let mut handle = desk.spawn(async move { output });
        let joiner = loom::thread::spawn(move || {
            let (first, second) = (Bell::new(), Bell::new());
            if let Poll::Ready(output) = poll(&mut handle, &first.waker()) {
                return output;
            }
            loop {
                match poll(&mut handle, &second.waker()) {
                    Poll::Ready(output) => break output,
                    Poll::Pending => second.wait(),
                }
            }
        });
        assert!(desk.run());
        assert_eq!(look(&joiner.join().unwrap()), 7);
    });
}

/// Completion races with a joiner who looks once and goes: the output is dropped once, on either
/// thread.
#[test]
fn loom_complete_vs_drop_of_handle() {
    model(|| {
        let desk = Desk::new();
        let output = watched();
        let mut handle = desk.spawn(async move { output });
        let joiner = loom::thread::spawn(move || {
            let bell = Bell::new();
            let output = poll(&mut handle, &bell.waker());
            drop(handle);
            if let Poll::Ready(output) = output {
                assert_eq!(look(&output), 7);
            }
        });
        assert!(desk.run());
        joiner.join().unwrap();
    });
}

/// Completion, the drop of the handle and the drop of the last waker race: the memory is freed once.
#[test]
fn loom_complete_vs_drop_of_handle_and_waker() {
    model(|| {
        let (desk, count, wakers) = (Desk::new(), Arc::new(AtomicUsize::new(1)), Arc::default());
        let handle = desk.spawn(reaches(count, 1, Arc::clone(&wakers), 1));
        let dropping = loom::thread::spawn(move || drop(handle));
        assert!(desk.run());
        let waker = wakers.lock().unwrap().pop().unwrap();
        let waking = loom::thread::spawn(move || waker.wake());
        dropping.join().unwrap();
        waking.join().unwrap();
        assert_eq!(desk.len(), 0);
    });
}

/// An abort races with the run that completes: the joiner learns one or the other, and the future
/// and its output are dropped once.
#[test]
fn loom_abort_vs_complete() {
    model(|| {
        let desk = Desk::new();
        let output = watched();
        let mut handle = desk.spawn(async move { output });
        let aborting = loom::thread::spawn(move || {
            handle.abort();
            let bell = Bell::new();
            loop {
                let polled = Pin::new(&mut handle).poll(&mut Context::from_waker(&bell.waker()));
                match polled {
                    Poll::Ready(Ok(output)) => break assert_eq!(look(&output), 7),
                    Poll::Ready(Err(error)) => break assert!(error.is_cancelled()),
                    Poll::Pending => bell.wait(),
                }
            }
        });
        desk.run_to_end();
        aborting.join().unwrap();
    });
}

/// An abort and a wake race with the end of a poll: the future is dropped, on the desk's thread.
#[test]
fn loom_abort_vs_wake_vs_idle() {
    model(|| {
        let (desk, wakers) = (Desk::new(), Arc::default());
        let handle = desk.spawn(reaches(Arc::default(), 1, Arc::clone(&wakers), 1));
        assert!(!desk.run());
        let waker = wakers.lock().unwrap().pop().unwrap();
        let waking = loom::thread::spawn(move || waker.wake());
        let aborting = loom::thread::spawn(move || {
            handle.abort();
            handle
        });
        desk.run_to_end();
        waking.join().unwrap();
        assert!(aborting.join().unwrap().is_finished());
    });
}

/// Two tasks of a set complete on two threads, and the joiner waits between them: it is woken, and gets
/// both.
#[test]
fn loom_join_set() {
    model(|| {
        let mut set = JoinSet::new();
        let threads = [3, 4].map(|number| {
            let desk = Desk::new();
            let output = watched();
            set.insert(desk.spawn(async move {
                write(&output);
                (number, output)
            }));
            loom::thread::spawn(move || assert!(desk.run()))
        });
        let bell = Bell::new();
        let waker = bell.waker();
        let mut cx = Context::from_waker(&waker);
        let mut sum = 0;
        loop {
            match set.poll_join_next(&mut cx) {
                Poll::Ready(Some(joined)) => {
                    let (number, output) = joined.unwrap();
                    assert_eq!(look(&output), 8);
                    sum += number;
                }
                Poll::Ready(None) => break,
                Poll::Pending => bell.wait(),
            }
        }
        assert_eq!(sum, 7);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

/// Completion races with the drop of a set, or with `detach_all`; the place's next task is not taken
/// for complete.
#[test]
fn loom_join_set_gives_up() {
    model(|| {
        let (desk, other) = (Desk::new(), Desk::new());
        let mut set = JoinSet::new();
        set.insert(desk.spawn(async { watched() }));
        let completing = loom::thread::spawn(move || assert!(desk.run()));
        set.detach_all();
        set.insert(other.spawn(async { watched() }));
        assert!(set.try_join_next().is_none());
        completing.join().unwrap();
        assert!(set.try_join_next().is_none());
        let aborting = loom::thread::spawn(move || drop(set));
        assert!(other.run());
        aborting.join().unwrap();
    });
}

/// Completion, an abort by an `AbortHandle` and the drop of the `JoinHandle` race: the memory is freed
/// once, by whoever is last.
#[test]
fn loom_abort_handle_is_last() {
    model(|| {
        let desk = Desk::new();
        let output = watched();
        let handle = desk.spawn(async move { output });
        let abort = handle.abort_handle();
        let aborting = loom::thread::spawn(move || {
            let copy = abort.clone();
            drop(abort);
            copy.abort();
        });
        let dropping = loom::thread::spawn(move || drop(handle));
        assert!(desk.run());
        aborting.join().unwrap();
        dropping.join().unwrap();
    });
}
