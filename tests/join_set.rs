//! What `task::JoinSet` promises: every task that goes in comes out once, in the order in which they
//! end, or is aborted with the set.

#[path = "support/mod.rs"]
mod support;

use std::cell::Cell;
use std::collections::HashMap;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use ekio::task::{AbortHandle, Id, JoinError, JoinSet, unconstrained, yield_now};
use ekio::{Runtime, block_on, spawn_local};
use support::futures::{Counter, poll_once};
use support::repeat;
use support::watchdog::Watchdog;

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().unwrap()
}

/// Miri takes a hundred times as long, and sees as much in a few of them.
fn few_for_miri(count: usize) -> usize {
    if cfg!(miri) { count.min(2) } else { count }
}

async fn yield_times(times: usize) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// Counts what is alive.
#[derive(Clone, Default)]
struct Census(Arc<AtomicUsize>);

struct Citizen(Census);

impl Census {
    fn citizen(&self) -> Citizen {
        self.0.fetch_add(1, Ordering::SeqCst);
        Citizen(self.clone())
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Citizen {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn tasks_are_joined_in_the_order_in_which_they_end() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let mut set = JoinSet::default();
        assert!(set.is_empty() && set.join_next().await.is_none());
        assert!(set.try_join_next().is_none());
        for times in [3, 1, 2, 0] {
            // An output that is not Send.
            set.spawn_local(async move {
                yield_times(times).await;
                Rc::new(times)
            });
        }
        assert_eq!(format!("{set:?}"), "JoinSet { len: 4, .. }");
        let mut order = Vec::new();
        while let Some(joined) = set.join_next().await {
            order.push(*joined.unwrap());
            assert_eq!(set.len() + order.len(), 4);
        }
        assert_eq!(order, [0, 1, 2, 3]);
    });
}

#[test]
fn places_are_used_again() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let mut set = JoinSet::new();
        let mut expected = HashMap::<Id, usize>::new();
        let mut next = 0;
        let mut spawn = |set: &mut JoinSet<usize>, expected: &mut HashMap<_, _>| {
            let number = next;
            next += 1;
            let abort = set.spawn_local(async move {
                yield_times(number % 7).await;
                number
            });
            expected.insert(abort.id(), number);
        };
        (0..16).for_each(|_| spawn(&mut set, &mut expected));
        for _ in 0..few_for_miri(200) {
            let (id, number) = set.join_next_with_id().await.unwrap().unwrap();
            assert_eq!(expected.remove(&id), Some(number));
            spawn(&mut set, &mut expected);
        }
        while let Some(joined) = set.join_next_with_id().await {
            let (id, number) = joined.unwrap();
            assert_eq!(expected.remove(&id), Some(number));
        }
        assert!(expected.is_empty() && set.is_empty());
    });
}

#[test]
fn workers_and_the_pool_work_for_one_set() {
    let _watchdog = Watchdog::start();
    let half = few_for_miri(100);
    let whole = 2 * half;
    for workers in [1, 2, 4] {
        let runtime = runtime(workers);
        let other = self::runtime(1);
        let sum: usize = runtime.block_on(async {
            let mut set: JoinSet<usize> = (0..half).map(|n| async move { n }).collect();
            for n in half..whole {
                set.spawn(async move {
                    yield_times(n % 3).await;
                    n
                });
            }
            set.spawn_on(async move { whole }, other.handle());
            set.spawn_blocking(move || whole + 1);
            set.spawn_local(async move { whole + 2 });
            assert_eq!(set.len(), whole + 3);
            set.join_all().await.into_iter().sum()
        });
        assert_eq!(sum, (0..whole + 3).sum());
    }
}

#[test]
fn errors_come_out_too() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let mut set = JoinSet::new();
        let bad = set.spawn_local(async { resume_unwind(Box::new("on purpose")) });
        let error: JoinError = set.join_next().await.unwrap().unwrap_err();
        assert!(error.is_panic() && error.id() == bad.id());
        let stuck = set.spawn_local(pending::<()>());
        let waiting = set.spawn_local(pending());
        stuck.abort();
        let error = set.join_next_with_id().await.unwrap().unwrap_err();
        assert!(error.is_cancelled() && error.id() == stuck.id());
        assert!(!waiting.is_finished());
        set.shutdown().await;
        assert!(set.is_empty() && waiting.is_finished());
    });
}

/// In a runtime that has ended a task has ended before it is in the set.
#[test]
fn a_task_that_is_refused_is_joined_at_once() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(1);
    let handle = *runtime.handle();
    drop(runtime);
    let mut set = JoinSet::new();
    set.spawn_on(async {}, &handle);
    assert!(set.try_join_next().unwrap().unwrap_err().is_cancelled());
    assert!(set.try_join_next().is_none());
    // And whoever waits already learns of it.
    let mut set: JoinSet<()> = JoinSet::new();
    set.spawn_on(pending(), self::runtime(1).handle());
    while set.try_join_next().is_none() {
        thread::yield_now();
    }
    let alive = self::runtime(1);
    set.spawn_on(pending(), alive.handle());
    let (counter, waker) = Counter::new();
    let mut cx = Context::from_waker(&waker);
    assert!(set.poll_join_next(&mut cx).is_pending());
    set.spawn_on(async {}, &handle);
    assert_eq!(counter.count(), 1);
    assert!(set.poll_join_next(&mut cx).is_ready());
}

#[test]
fn join_all_hands_on_a_panic_and_aborts_the_rest() {
    let _watchdog = Watchdog::start();
    let census = Census::default();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        block_on(async {
            let mut set = JoinSet::new();
            for number in 0..5 {
                let citizen = census.citizen();
                set.spawn_local(async move {
                    let _citizen = citizen;
                    if number == 3 {
                        resume_unwind(Box::new("on purpose"));
                    }
                    pending::<()>().await;
                });
            }
            set.join_all().await
        })
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"on purpose"));
    assert_eq!(census.count(), 0);
    let aborted = catch_unwind(|| {
        block_on(async {
            let mut set = JoinSet::new();
            set.spawn_local(pending::<()>()).abort();
            set.join_all().await
        })
    });
    let text = aborted.unwrap_err();
    let text = text.downcast_ref::<String>().unwrap();
    assert!(text.contains("was cancelled"), "{text}");
}

#[test]
fn dropping_the_set_aborts_its_tasks() {
    let _watchdog = Watchdog::start();
    let census = Census::default();
    let runtime = runtime(2);
    let mut set = JoinSet::new();
    let mut aborts = Vec::new();
    for number in 0..few_for_miri(100) {
        let citizen = census.citizen();
        let task = async move {
            if number % 2 == 0 {
                pending::<()>().await;
            }
            citizen
        };
        aborts.push(set.spawn_on(task, runtime.handle()));
    }
    drop(set);
    while !aborts.iter().all(AbortHandle::is_finished) {
        thread::yield_now();
    }
    // (Who completes a task drops an output that nobody wants a moment later.)
    while census.count() > 0 {
        thread::yield_now();
    }
    // A set inside a task of the set: all goes, from the outside in.
    let citizen = census.citizen();
    let mut outer = JoinSet::new();
    let (sender, receiver) = mpsc::channel();
    let handle = *runtime.handle();
    outer.spawn_on(
        async move {
            let mut inner = JoinSet::new();
            inner.spawn_on(
                async move {
                    let _citizen = citizen;
                    pending::<()>().await;
                },
                &handle,
            );
            sender.send(()).unwrap();
            inner.join_next().await;
        },
        runtime.handle(),
    );
    receiver.recv().unwrap();
    drop(outer);
    while census.count() > 0 {
        thread::yield_now();
    }
}

#[test]
fn detached_tasks_go_on_and_their_ends_disturb_nobody() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let ended = Rc::new(Cell::new(0));
        let mut set = JoinSet::new();
        let spawn_counting = |set: &mut JoinSet<()>| {
            let ended = Rc::clone(&ended);
            set.spawn_local(async move {
                yield_now().await;
                ended.set(ended.get() + 1);
            });
        };
        (0..10).for_each(|_| spawn_counting(&mut set));
        let (counter, waker) = Counter::new();
        assert!(
            set.poll_join_next(&mut Context::from_waker(&waker))
                .is_pending()
        );
        set.detach_all();
        assert!(set.is_empty() && counter.count() == 1);
        // In their places.
        (0..5).for_each(|_| drop(set.spawn_local(pending())));
        yield_times(3).await;
        assert_eq!(ended.get(), 10);
        assert!(set.try_join_next().is_none());
        assert_eq!(set.len(), 5);
    });
}

#[test]
fn a_join_that_is_given_up_loses_nothing() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(2);
    runtime.block_on(async {
        for _ in 0..few_for_miri(repeat(2_000)) {
            let mut set = JoinSet::new();
            for n in 0..8_u32 {
                set.spawn(async move { n });
            }
            let mut sum = 0;
            while !set.is_empty() {
                if let Poll::Ready(Some(n)) = poll_once(pin!(set.join_next())).await {
                    sum += n.unwrap();
                }
                yield_now().await;
            }
            assert_eq!(sum, 28);
        }
    });
}

/// The ends of tasks, aborts by other threads, joins, and the end of the set and of the runtime, all at
/// once: everything is accounted for.
#[test]
fn ends_aborts_joins_and_drops_race() {
    let _watchdog = Watchdog::start();
    let (mut done, mut cancelled, mut panicked, mut left) = (0, 0, 0, 0);
    let rounds = few_for_miri(repeat(3_000));
    for round in 0..rounds {
        let census = Census::default();
        let runtime = runtime(2);
        let mut set = JoinSet::new();
        let mut aborts = Vec::new();
        for number in 0..16 {
            let citizen = census.citizen();
            let task = async move {
                yield_times(number % 5).await;
                match number % 4 {
                    3 => resume_unwind(Box::new("on purpose")),
                    2 if round % 2 == 0 => pending::<()>().await,
                    _ => {}
                }
                citizen
            };
            let abort = set.spawn_on(task, runtime.handle());
            if number % 4 == 2 || number % 3 == 1 {
                aborts.push(abort);
            }
        }
        let aborting = thread::spawn(move || aborts.iter().for_each(AbortHandle::abort));
        let joins = round % 17;
        block_on(async {
            for _ in 0..joins {
                match set.join_next().await {
                    Some(Ok(_)) => done += 1,
                    Some(Err(error)) if error.is_panic() => panicked += 1,
                    Some(Err(_)) => cancelled += 1,
                    None => unreachable!("there are 16"),
                }
            }
        });
        left += set.len();
        if round % 3 == 0 {
            drop(runtime);
            drop(set);
        } else {
            drop(set);
            drop(runtime);
        }
        aborting.join().unwrap();
        assert_eq!(census.count(), 0);
    }
    assert_eq!(done + cancelled + panicked + left, 16 * rounds);
    println!("{done} done, {cancelled} cancelled, {panicked} panicked, {left} left");
}

#[test]
fn a_closure_that_has_begun_is_waited_for_by_shutdown() {
    let _watchdog = Watchdog::start();
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let ended = Arc::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    let copy = Arc::clone(&ended);
    set.spawn_blocking(move || {
        begun.send(()).unwrap();
        may_go_on.recv().unwrap();
        copy.fetch_add(1, Ordering::SeqCst);
    });
    has_begun.recv().unwrap();
    block_on(async {
        let mut shutdown = pin!(set.shutdown());
        assert!(poll_once(shutdown.as_mut()).await.is_pending());
        go_on.send(()).unwrap();
        shutdown.await;
    });
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

/// Who joins what is ready already gives way now and then, unless it is unconstrained.
#[test]
fn joins_take_part_in_the_budget() {
    let _watchdog = Watchdog::start();
    for is_constrained in [true, false] {
        block_on(async {
            let mut set = JoinSet::new();
            for _ in 0..if cfg!(miri) { 150 } else { 1_000 } {
                set.spawn_local(async {});
            }
            yield_now().await;
            let has_run = Rc::new(Cell::new(false));
            let flag = Rc::clone(&has_run);
            spawn_local(async move { flag.set(true) });
            let join = async { while set.join_next().await.is_some() {} };
            if is_constrained {
                join.await;
            } else {
                unconstrained(join).await;
            }
            assert_eq!(has_run.get(), is_constrained);
        });
    }
}

/// A waker that comes back to the set from its own `wake`, and then panics.
struct Hostile(Mutex<Option<Arc<Mutex<JoinSet<u32>>>>>);

impl Wake for Hostile {
    fn wake(self: Arc<Self>) {
        let set = self.0.lock().unwrap().take().unwrap();
        // The set's own lock is free: nobody wakes under it.
        assert_eq!(set.lock().unwrap().try_join_next().unwrap().unwrap(), 1);
        resume_unwind(Box::new("on purpose"));
    }
}

#[test]
fn a15_hostile_joiner() {
    let _watchdog = Watchdog::start();
    let set = Arc::new(Mutex::new(JoinSet::new()));
    block_on(async {
        set.lock().unwrap().spawn_local(async { 1 });
        set.lock().unwrap().spawn_local(async { 2 });
        let waker = Waker::from(Arc::new(Hostile(Mutex::new(Some(Arc::clone(&set))))));
        let mut cx = Context::from_waker(&waker);
        assert!(set.lock().unwrap().poll_join_next(&mut cx).is_pending());
        yield_now().await;
        assert_eq!(set.lock().unwrap().len(), 1);
        assert_eq!(set.lock().unwrap().try_join_next().unwrap().unwrap(), 2);
    });
}

/// The latest joiner is woken, once for each time that it waits.
#[test]
fn the_latest_joiner_is_woken() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let mut set = JoinSet::new();
        set.spawn_local(async {});
        set.spawn_local(async {});
        let ((old, old_waker), (new, new_waker)) = (Counter::new(), Counter::new());
        for waker in [&old_waker, &new_waker, &new_waker] {
            let mut cx = Context::from_waker(waker);
            assert!(set.poll_join_next(&mut cx).is_pending());
        }
        yield_now().await;
        assert_eq!((old.count(), new.count()), (0, 1));
        let mut cx = Context::from_waker(&new_waker);
        for _ in 0..2 {
            assert!(matches!(
                set.poll_join_next(&mut cx),
                Poll::Ready(Some(Ok(())))
            ));
        }
        assert!(matches!(set.poll_join_next(&mut cx), Poll::Ready(None)));
    });
}

#[test]
fn spawns_outside_say_what_to_do() {
    let text_of = |spawn: fn(&mut JoinSet<()>)| {
        let mut set = JoinSet::new();
        let payload = catch_unwind(AssertUnwindSafe(|| spawn(&mut set))).unwrap_err();
        assert!(set.is_empty());
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
        text.unwrap().to_owned()
    };
    let text = text_of(|set| drop(set.spawn(async {})));
    assert!(text.starts_with("spawn outside of a runtime"), "{text}");
    let text = text_of(|set| drop(set.spawn_local(async {})));
    assert!(
        text.starts_with("spawn_local outside of block_on"),
        "{text}"
    );
}
