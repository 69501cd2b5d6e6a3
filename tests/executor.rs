//! What the executor promises: order, isolation, where things are dropped, and that nothing is
//! lost or run twice, whoever wakes, aborts and panics when.

#[path = "support/mod.rs"]
mod support;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use ekio::net::{TcpListener, TcpStream};
use ekio::task::{JoinHandle, yield_now};
use ekio::{block_on, spawn_blocking, spawn_local};
use support::futures::{Counter, poll_with};
use support::repeat;
use support::watchdog::Watchdog;

/// Counts its drops, and on which thread they were.
#[derive(Clone, Default)]
struct Drops(Arc<Mutex<Vec<ThreadId>>>);

struct Dropped(Drops);

impl Drops {
    fn guard(&self) -> Dropped {
        Dropped(self.clone())
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn all_here(&self) -> bool {
        self.0
            .lock()
            .unwrap()
            .iter()
            .all(|id| *id == thread::current().id())
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().push(thread::current().id());
    }
}

/// Without the panic hook, which would print.
fn panic_silently() -> ! {
    resume_unwind(Box::new("on purpose"))
}

/// Parks its waker where the test finds it, and waits until it has been told to end.
fn parked(slot: Arc<Mutex<Vec<Waker>>>, done: Arc<AtomicUsize>) -> impl Future<Output = ()> {
    poll_fn(move |cx| {
        if done.load(Ordering::SeqCst) != 0 {
            return Poll::Ready(());
        }
        slot.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    })
}

#[test]
fn tasks_run_in_the_order_in_which_they_came() {
    let _watchdog = Watchdog::start();
    let log = Rc::new(RefCell::new(Vec::new()));
    block_on(async {
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let log = Rc::clone(&log);
                spawn_local(async move {
                    for round in 0..3 {
                        log.borrow_mut().push((round, number));
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let expected: Vec<_> = (0..3)
        .flat_map(|round| (0..5).map(move |n| (round, n)))
        .collect();
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_panic_is_the_output_of_its_task_alone() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let sibling = spawn_local(async {
            yield_now().await;
            7
        });
        let error = spawn_local(async { panic_silently() }).await.unwrap_err();
        assert!(error.is_panic() && !error.is_cancelled());
        assert_eq!(error.into_panic().downcast_ref(), Some(&"on purpose"));
        assert_eq!(sibling.await.unwrap(), 7);
    });
}

#[test]
fn a_panic_of_the_root_leaves_the_thread_usable_and_nothing_behind() {
    let _watchdog = Watchdog::start();
    let drops = Drops::default();
    for round in 1..=3 {
        let guard = drops.guard();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            block_on(async {
                spawn_local(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
                yield_now().await;
                panic_silently()
            })
        }));
        assert!(unwound.is_err());
        assert_eq!(drops.count(), round);
        assert_eq!(
            block_on(async { spawn_local(async { 5 }).await.unwrap() }),
            5
        );
    }
}

/// Panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic_silently();
    }
}

#[test]
fn a_destructor_that_panics_takes_nobody_down() {
    let _watchdog = Watchdog::start();
    let drops = Drops::default();
    let guards = [drops.guard(), drops.guard()];
    block_on(async {
        // The future's, on completion, on abort, and when the runtime ends.
        let done = spawn_local(async {
            let _grenade = Grenade;
            poll_fn(|_| Poll::Ready(())).await;
        });
        assert!(
            done.await.unwrap_err().is_panic(),
            "it unwinds out of the poll"
        );
        let aborted = spawn_local(async {
            let _grenade = Grenade;
            pending::<()>().await;
        });
        yield_now().await;
        aborted.abort();
        assert!(aborted.await.is_err());
        // The output's, when nobody wants it.
        drop(spawn_local(async { Grenade }));
        yield_now().await;
        for guard in guards {
            spawn_local(async move {
                let (_guard, _grenade) = (guard, Grenade);
                pending::<()>().await;
            });
        }
        yield_now().await;
    });
    assert_eq!(drops.count(), 2);
}

#[test]
fn unfinished_tasks_are_dropped_at_home_and_may_spawn_to_the_last() {
    struct SpawnsInDrop(Drops, usize);
    impl Drop for SpawnsInDrop {
        fn drop(&mut self) {
            drop(self.0.guard());
            if self.1 > 0 {
                let next = SpawnsInDrop(self.0.clone(), self.1 - 1);
                spawn_local(async move {
                    let _next = next;
                    pending::<()>().await;
                });
            }
        }
    }
    let _watchdog = Watchdog::start();
    let drops = Drops::default();
    block_on(async {
        let first = SpawnsInDrop(drops.clone(), 4);
        spawn_local(async move {
            let _first = first;
            pending::<()>().await;
        });
        yield_now().await;
    });
    assert_eq!(drops.count(), 5);
    assert!(drops.all_here());
}

#[test]
fn a_future_that_is_not_send_dies_at_home_whoever_wakes_last() {
    let _watchdog = Watchdog::start();
    let drops = Drops::default();
    let wakers = Arc::new(Mutex::new(Vec::new()));
    let guard = drops.guard();
    block_on(async {
        let wait = parked(Arc::clone(&wakers), Arc::default());
        spawn_local(async move {
            let _local = Rc::new(guard);
            wait.await;
        });
        yield_now().await;
    });
    assert_eq!(drops.count(), 1);
    assert!(drops.all_here());
    // The task has ended, and so has its block_on. What is left is memory, and good for any use.
    let wakers = std::mem::take(&mut *wakers.lock().unwrap());
    thread::spawn(move || {
        for waker in wakers {
            let other = waker.clone();
            other.wake_by_ref();
            waker.wake();
            drop(other);
        }
    })
    .join()
    .unwrap();
    block_on(yield_now());
}

#[test]
fn an_output_that_nobody_takes_is_dropped() {
    let _watchdog = Watchdog::start();
    let drops = Drops::default();
    let (early, late, kept) = (drops.guard(), drops.guard(), drops.guard());
    block_on(async {
        drop(spawn_local(async move { early })); // Dropped before it completes.
        let handle = spawn_local(async move { late });
        yield_now().await;
        yield_now().await;
        assert_eq!(drops.count(), 1);
        assert!(handle.is_finished());
        drop(handle);
        assert_eq!(drops.count(), 2);
        let handle = spawn_local(async move { kept });
        let output = handle.await.unwrap();
        assert_eq!(drops.count(), 2);
        drop(output);
        assert_eq!(drops.count(), 3);
    });
}

#[test]
fn spawn_local_outside_says_what_to_do() {
    let panic = catch_unwind(|| drop(spawn_local(async {}))).unwrap_err();
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let text = text.expect("the panic has a text");
    assert!(text.contains("block_on"), "{text}");
}

#[test]
fn block_on_inside_block_on_says_what_to_do() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let panic = catch_unwind(|| block_on(async {})).unwrap_err();
        let text = panic.downcast_ref::<&str>().expect("the panic has a text");
        assert!(text.contains(".await"), "{text}");
        spawn_local(async {}).await.unwrap();
    });
}

#[test]
fn abort_from_another_thread() {
    let _watchdog = Watchdog::start();
    let drops = Drops::default();
    let guard = drops.guard();
    block_on(async {
        let task = Arc::new(Mutex::new(Some(spawn_local(async move {
            let _guard = guard;
            pending::<()>().await;
        }))));
        let other = Arc::clone(&task);
        let aborting = thread::spawn(move || other.lock().unwrap().as_ref().unwrap().abort());
        aborting.join().unwrap();
        let task = task.lock().unwrap().take().unwrap();
        let error = task.await.unwrap_err();
        assert!(error.is_cancelled(), "{error}");
    });
    assert!(drops.count() == 1 && drops.all_here());
}

/// Ten thousand aborts race with completion: each task ends exactly once, one way or the other.
#[test]
fn aborts_race_with_completion() {
    let _watchdog = Watchdog::start();
    let rounds = repeat(10_000);
    let drops = Drops::default();
    let (sender, receiver) = mpsc::channel::<(Waker, Arc<AtomicUsize>)>();
    let completing = thread::spawn(move || {
        for (waker, done) in receiver {
            done.store(1, Ordering::SeqCst);
            waker.wake();
        }
    });
    let (mut completed, mut cancelled) = (0, 0);
    block_on(async {
        for round in 0..rounds {
            let (sender, done, guard) =
                (sender.clone(), Arc::new(AtomicUsize::new(0)), drops.guard());
            let mut is_sent = false;
            let task = spawn_local(poll_fn(move |cx| {
                let _ = &guard;
                if done.load(Ordering::SeqCst) == 1 {
                    return Poll::Ready(());
                }
                if !is_sent {
                    is_sent = true;
                    sender
                        .send((cx.waker().clone(), Arc::clone(&done)))
                        .unwrap();
                }
                Poll::Pending
            }));
            for _ in 0..round % 7 {
                yield_now().await;
            }
            task.abort();
            match task.await {
                Ok(()) => completed += 1,
                Err(error) if error.is_cancelled() => cancelled += 1,
                Err(error) => panic!("{error}"),
            }
        }
    });
    drop(sender);
    completing.join().unwrap();
    println!("{completed} completed, {cancelled} were cancelled");
    assert_eq!(completed + cancelled, rounds);
    assert_eq!(drops.count(), rounds);
}

/// The promise of `a16_loom_wake_unschedule` on a real machine: after the last wake comes a poll.
#[test]
fn a16_no_wake_is_lost_between_threads() {
    let _watchdog = Watchdog::start();
    let rounds = if cfg!(miri) { 50 } else { repeat(100_000) };
    let (sender, receiver) = mpsc::channel::<Waker>();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let waking = thread::spawn(move || {
        for waker in receiver {
            // Relaxed: the wake has to make it visible.
            counting.fetch_add(1, Ordering::Relaxed);
            waker.wake_by_ref();
        }
    });
    block_on(async {
        let ping = async move |sender: &mpsc::Sender<Waker>, target: usize| {
            let mut is_sent = false;
            poll_fn(|cx| {
                if count.load(Ordering::Relaxed) >= target {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut is_sent, true) {
                    sender.send(cx.waker().clone()).unwrap();
                }
                Poll::Pending
            })
            .await;
        };
        spawn_local(async move {
            for round in 1..=rounds {
                ping(&sender, round).await;
            }
        })
        .await
        .unwrap();
    });
    waking.join().unwrap();
}

/// A task that is always ready keeps neither timers nor sockets waiting for ever.
#[test]
fn a17_busy_task_timer_accept() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let is_over = Rc::new(Cell::new(false));
        let busy_over = Rc::clone(&is_over);
        let busy = spawn_local(async move {
            let mut runs = 0_u64;
            while !busy_over.get() {
                runs += 1;
                yield_now().await;
            }
            runs
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let start = Instant::now();
        ekio::time::sleep(Duration::from_millis(10)).await;
        let timer = start.elapsed();
        let client = thread::spawn(move || std::net::TcpStream::connect(address).unwrap());
        listener.accept().await.unwrap();
        println!("timer after {timer:?}, accept after {:?}", start.elapsed());
        drop(client.join().unwrap());
        is_over.set(true);
        assert!(busy.await.unwrap() > 0);
    });
}

/// Two tasks that keep each other's sockets ready go on, and so does a third: the budget sends each
/// to the back of the queue.
#[test]
fn a17_ready_sockets_share_the_thread() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        let greedy = spawn_local(async move {
            // The socket is ready at each of these reads: without a budget they were one run.
            peer.write_all(&[1; 4096]).await.unwrap();
            let mut received = 0;
            while received < 4096 {
                received += stream.read(&mut [0; 1]).await.unwrap();
            }
        });
        let runs = Rc::new(Cell::new(0));
        let counter = Rc::clone(&runs);
        spawn_local(async move {
            loop {
                counter.set(counter.get() + 1);
                yield_now().await;
            }
        });
        greedy.await.unwrap();
        assert!(runs.get() >= 16, "the other task had {} runs", runs.get());
    });
}

/// A waker whose functions call back into the executor.
mod hostile {
    use super::*;

    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static VTABLE: RawWakerVTable =
        RawWakerVTable::new(|_| clone(), |_| wake(), |_| wake(), |_| intrude());

    pub fn calls() -> usize {
        CALLS.load(Ordering::SeqCst)
    }

    fn intrude() {
        CALLS.fetch_add(1, Ordering::SeqCst);
        drop(catch_unwind(|| spawn_local(yield_now())));
        drop(spawn_blocking(|| {}));
        let mut sleep = Box::pin(ekio::time::sleep(Duration::from_secs(60)));
        assert!(poll_with(sleep.as_mut(), Waker::noop()).is_pending());
    }

    fn clone() -> RawWaker {
        intrude();
        RawWaker::new(std::ptr::null(), &VTABLE)
    }

    fn wake() {
        intrude();
        panic_silently();
    }

    pub fn waker() -> Waker {
        // SAFETY: the functions of the table look at no data, and may be called anywhere.
        unsafe { Waker::from_raw(clone()) }
    }
}

/// The hostile waker waits for a task, in the joiner's slot, and for a timer.
#[test]
fn a15_hostile_waker() {
    let _watchdog = Watchdog::start();
    let (counter, counting) = Counter::new();
    block_on(async {
        let waker = hostile::waker();
        let mut task = Box::pin(spawn_local(async {
            yield_now().await;
            3
        }));
        for waker in [&waker, &counting, &waker, &waker] {
            assert!(poll_with(task.as_mut(), waker).is_pending());
        }
        // Long enough to be polled before it is over, by Miri too.
        let nap = Duration::from_millis(if cfg!(miri) { 2_000 } else { 50 });
        let mut timer = Box::pin(ekio::time::sleep(nap));
        let mut neighbour = Box::pin(ekio::time::sleep(nap));
        assert!(poll_with(timer.as_mut(), &waker).is_pending());
        assert!(poll_with(neighbour.as_mut(), &counting).is_pending());
        ekio::time::sleep(2 * nap).await;
        assert_eq!(task.await.unwrap(), 3);
    });
    assert!(
        counter.count() >= 1,
        "the neighbour of a waker that panics is woken"
    );
    assert!(hostile::calls() >= 5);
}

/// A foreign executor of the smallest kind: its waker polls on the spot.
struct Inline {
    future: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    is_woken: AtomicBool,
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        // If it is being polled, the loop below is under way, and sees the flag.
        let Ok(mut future) = self.future.try_lock() else {
            return;
        };
        let waker = Waker::from(Arc::clone(&self));
        let mut polls = 0;
        while self.is_woken.swap(false, Ordering::SeqCst) {
            polls += 1;
            assert!(polls < 1_000, "it is woken without end");
            if poll_with(Pin::new(&mut *future), &waker).is_ready() {
                return;
            }
        }
    }
}

/// What a turn polls on the spot is limited by nobody's budget, or it could not go on.
#[test]
#[cfg_attr(miri, ignore = "too slow: there are many runs between two turns")]
fn a_turn_is_not_limited_by_the_run_before_it() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        let serving = async move {
            peer.read(&mut [0]).await.unwrap();
            peer.write_all(&[2]).await.unwrap(); // It asks for budget first.
            done.store(true, Ordering::SeqCst);
        };
        let inline = Arc::new(Inline {
            future: Mutex::new(Box::pin(serving)),
            is_woken: AtomicBool::new(false),
        });
        inline.wake();
        stream.write_all(&[1]).await.unwrap();
        while !is_done.load(Ordering::SeqCst) {
            use_up_the_budget();
            yield_now().await;
        }
    });
}

fn use_up_the_budget() {
    let mut greedy = Box::pin(async {
        loop {
            ekio::time::sleep(Duration::ZERO).await;
        }
    });
    let polled: Poll<()> = poll_with(greedy.as_mut(), Waker::noop());
    assert!(polled.is_pending());
}

/// A `block_on` of another crate inside a task (in a destructor, say) polls until its future is ready,
/// and nobody refills the budget meanwhile.
#[test]
#[cfg_attr(miri, ignore = "too slow: it is refused some thousand times")]
fn a_foreign_block_on_inside_a_run_comes_to_its_end() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        for _ in 0..2 {
            use_up_the_budget();
            futures_lite::future::block_on(stream.write_all(b"bye")).unwrap();
        }
    });
}

#[test]
fn spawn_blocking_works_on_any_executor_and_outside_of_all() {
    let _watchdog = Watchdog::start();
    let name = || thread::current().name().unwrap_or_default().to_owned();
    for name in [
        block_on(async { spawn_blocking(name).await.unwrap() }),
        futures_lite::future::block_on(spawn_blocking(name)).unwrap(),
    ] {
        assert!(name.starts_with("ekio-blocking-"), "{name}");
    }
    let error = futures_lite::future::block_on(spawn_blocking(|| panic_silently()));
    assert!(error.unwrap_err().is_panic());
}

#[test]
fn blocking_calls_run_beside_each_other() {
    let _watchdog = Watchdog::start();
    const CALLS: usize = 20;
    let barrier = Arc::new(std::sync::Barrier::new(CALLS));
    block_on(async {
        let calls: Vec<_> = (0..CALLS)
            .map(|number| {
                let barrier = Arc::clone(&barrier);
                spawn_blocking(move || {
                    barrier.wait(); // Passed only if all are running.
                    number
                })
            })
            .collect();
        for (number, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.unwrap(), number);
        }
    });
}

/// `block_on` returns although there is work outstanding of every kind, and drops each once.
#[test]
fn b_drop_runtime() {
    let _watchdog = Watchdog::start();
    let drops = Drops::default();
    let (release, blocked) = mpsc::channel::<()>();
    block_on(async {
        let (a, b, c, d) = (drops.guard(), drops.guard(), drops.guard(), drops.guard());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        spawn_local(async move {
            let _a = a;
            loop {
                let (peer, _) = listener.accept().await.unwrap();
                spawn_local(async move {
                    peer.read(&mut [0]).await.unwrap();
                });
            }
        });
        spawn_local(async move {
            let _b = b;
            stream.read(&mut [0]).await.unwrap();
        });
        spawn_local(async move {
            let _c = c;
            ekio::time::sleep(Duration::MAX).await;
        });
        spawn_local(async move {
            let _d = d;
            let call = spawn_blocking(move || blocked.recv().is_err());
            call.await.unwrap();
        });
        ekio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(drops.count(), 0);
    });
    assert_eq!(drops.count(), 4);
    assert!(drops.all_here());
    drop(release);
}

/// Wakers of the root outlive its `block_on`, and are good for nothing and harmless then.
#[test]
fn a_waker_of_the_root_outlives_it() {
    let _watchdog = Watchdog::start();
    let kept = Arc::new(Mutex::new(None));
    let keeper = Arc::clone(&kept);
    block_on(poll_fn(move |cx| {
        *keeper.lock().unwrap() = Some(cx.waker().clone());
        Poll::Ready(())
    }));
    let waker: Waker = kept.lock().unwrap().take().unwrap();
    thread::spawn({
        let waker = waker.clone();
        move || waker.wake()
    })
    .join()
    .unwrap();
    block_on(yield_now());
    waker.wake();
    block_on(yield_now());
}

/// A thread that ends runs the destructors of its thread-locals, in an order of their own. One of them
/// may have something to wait for.
#[test]
fn block_on_works_while_its_thread_ends() {
    struct Flush(mpsc::Sender<i32>);

    impl Drop for Flush {
        fn drop(&mut self) {
            let answer = block_on(async {
                ekio::time::sleep(Duration::from_millis(1)).await;
                spawn_local(async { 7 }).await.unwrap()
            });
            self.0.send(answer).unwrap();
        }
    }

    thread_local! {
        static FLUSH: RefCell<Option<Flush>> = const { RefCell::new(None) };
    }

    let _watchdog = Watchdog::start();
    for is_flush_first in [true, false] {
        let (sender, receiver) = mpsc::channel();
        let ending = thread::spawn(move || {
            if !is_flush_first {
                block_on(async {});
            }
            FLUSH.set(Some(Flush(sender)));
            block_on(async {});
        });
        ending.join().unwrap();
        assert_eq!(receiver.recv(), Ok(7));
    }
}

#[test]
fn a_task_may_hold_its_own_handle() {
    async fn take(handle: &RefCell<Option<JoinHandle<()>>>) -> JoinHandle<()> {
        handle
            .borrow_mut()
            .take()
            .expect("the root has put it there")
    }

    /// Spawns a task that is given its own handle, and lets it run for a while.
    async fn spawn<F: Future<Output = ()>>(
        story: impl FnOnce(Rc<RefCell<Option<JoinHandle<()>>>>) -> F + 'static,
    ) {
        let handle = Rc::new(RefCell::new(None));
        let for_task = Rc::clone(&handle);
        *handle.borrow_mut() = Some(spawn_local(async move { story(for_task).await }));
        for _ in 0..4 {
            yield_now().await;
        }
    }

    let _watchdog = Watchdog::start();
    let drops = Drops::default();
    let (aborted, waiting, ended) = (drops.guard(), drops.guard(), drops.guard());
    block_on(async {
        spawn(async move |handle| {
            let _guard = aborted;
            take(&handle).await.abort();
            yield_now().await;
            unreachable!("it was aborted");
        })
        .await;
        assert_eq!(drops.count(), 1);
        // It joins itself, and ends all the same.
        spawn(async move |handle| {
            let _guard = waiting;
            let mut handle = take(&handle).await;
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut handle).poll(cx))).await;
            assert!(polled.is_pending());
        })
        .await;
        assert_eq!(drops.count(), 2);
        // The end of block_on finds it waiting for itself.
        spawn(async move |handle| {
            let _guard = ended;
            let _ = take(&handle).await.await;
        })
        .await;
        // And these wait for each other.
        let first = spawn_local(pending::<()>());
        let second = spawn_local(async move { first.await.unwrap_err() });
        drop(spawn_local(async move { drop(second.await) }));
        yield_now().await;
    });
    assert_eq!(drops.count(), 3);
}

/// A wake by the future itself while it runs is one more run, and not a lost one.
#[test]
fn a_task_may_wake_itself() {
    struct SelfWaking(usize);
    impl Future for SelfWaking {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if self.0 == 0 {
                return Poll::Ready(());
            }
            self.0 -= 1;
            cx.waker().wake_by_ref();
            let other = cx.waker().clone();
            cx.waker().wake_by_ref();
            other.wake();
            Poll::Pending
        }
    }
    let _watchdog = Watchdog::start();
    let times = if cfg!(miri) { 200 } else { 1_000 };
    block_on(async {
        spawn_local(SelfWaking(times)).await.unwrap();
        SelfWaking(times).await;
    });
}
