//! What the multi-thread runtime promises: every task is run, by whoever has time, and accounted for at
//! the end, whatever blocks, panics, aborts or goes away.

#[path = "support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::future::{Future, pending, poll_fn};
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use ekio::net::{TcpListener, TcpStream};
use ekio::runtime::Handle;
use ekio::task::{JoinHandle, yield_now};
use ekio::time::sleep;
use ekio::{Runtime, spawn};
use support::futures::poll_once;
use support::net::tcp_pair;
use support::repeat;
use support::watchdog::Watchdog;

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().unwrap()
}

/// For each number of workers that makes a difference.
fn with_workers(test: impl Fn(&Runtime)) {
    for workers in [1, 2, 4] {
        test(&runtime(workers));
    }
}

async fn all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.unwrap());
    }
    outputs
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
fn every_task_runs_and_is_joined() {
    let _watchdog = Watchdog::start();
    with_workers(|runtime| {
        let sum: usize = runtime.block_on(async {
            // More than a ring holds, from outside and from inside.
            let outside: Vec<_> = (0..1_000).map(|n| spawn(async move { n })).collect();
            let inside = spawn(async {
                let tasks = (0..1_000).map(|n| spawn(async move { n }));
                all(tasks.collect()).await.into_iter().sum::<usize>()
            });
            all(outside).await.into_iter().sum::<usize>() + inside.await.unwrap()
        });
        assert_eq!(sum, 2 * (0..1_000).sum::<usize>());
    });
}

#[test]
fn workers_share_the_work() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(3);
    // Each of the tasks needs a thread of its own at the same time.
    let barrier = Arc::new(Barrier::new(3));
    let names = runtime.block_on(async {
        let tasks = (0..3).map(|_| {
            let barrier = Arc::clone(&barrier);
            spawn(async move {
                barrier.wait();
                thread::current().name().unwrap().to_owned()
            })
        });
        all(tasks.collect()).await
    });
    let names: HashSet<_> = names.into_iter().collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("ekio-worker-")));
}

/// The same, if one task starts the others: it fills its own ring, from which others steal.
#[test]
fn workers_steal() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(3);
    let barrier = Arc::new(Barrier::new(3));
    let spawned = runtime.spawn(async move {
        let tasks = (0..3).map(|_| {
            let barrier = Arc::clone(&barrier);
            spawn(async move { barrier.wait().is_leader() })
        });
        all(tasks.collect()).await.len()
    });
    assert_eq!(runtime.block_on(spawned).unwrap(), 3);
}

#[test]
fn a_socket_works_on_any_worker() {
    let _watchdog = Watchdog::start();
    with_workers(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = spawn(async move {
                for _ in 0..16 {
                    let (stream, _) = listener.accept().await.unwrap();
                    spawn(async move {
                        let mut buffer = [0; 64];
                        loop {
                            let count = stream.read(&mut buffer).await?;
                            if count == 0 {
                                return io::Result::Ok(());
                            }
                            stream.write_all(&buffer[..count]).await?;
                        }
                    });
                }
            });
            let clients = (0..16).map(|number: u8| {
                spawn(async move {
                    let stream = TcpStream::connect(address).await.unwrap();
                    for round in 0..20 {
                        let sent = [number.wrapping_mul(20).wrapping_add(round); 64];
                        stream.write_all(&sent).await.unwrap();
                        let mut answer = [0; 64];
                        stream.read_exact(&mut answer).await.unwrap();
                        assert_eq!(sent, answer);
                        if round % 5 == 0 {
                            yield_now().await;
                        }
                    }
                })
            });
            all(clients.collect()).await;
            server.await.unwrap();
        });
    });
}

#[test]
fn a_panic_concerns_its_own_task_alone() {
    let _watchdog = Watchdog::start();
    with_workers(|runtime| {
        runtime.block_on(async {
            for round in 0..20 {
                let bad = spawn(async move {
                    if round % 2 == 0 {
                        yield_now().await;
                    }
                    resume_unwind(Box::new("on purpose"))
                });
                let good = spawn(async { 7 });
                let error: ekio::task::JoinError =
                    JoinHandle::<()>::into_future(bad).await.unwrap_err();
                assert!(error.is_panic());
                assert_eq!(good.await.unwrap(), 7);
            }
        });
    });
}

/// Row a17, for a worker: a task that is always ready keeps nobody else waiting, not even where there
/// is one thread.
#[test]
fn a17_busy_task_timer_accept() {
    let _watchdog = Watchdog::start();
    with_workers(|runtime| {
        let stop = Arc::new(AtomicBool::new(false));
        let busy: Vec<_> = (0..4)
            .map(|_| {
                let stop = Arc::clone(&stop);
                runtime.spawn(async move {
                    while !stop.load(Ordering::Relaxed) {
                        yield_now().await;
                    }
                })
            })
            .collect();
        let rest = runtime.spawn(async {
            sleep(Duration::from_millis(10)).await;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = spawn(TcpStream::connect(address));
            listener.accept().await.unwrap();
            client.await.unwrap().unwrap();
        });
        runtime.block_on(rest).unwrap();
        stop.store(true, Ordering::Relaxed);
        runtime.block_on(all(busy));
    });
}

/// Two tasks that wake each other are always in `next`. Others run all the same.
#[test]
fn a17_ping_pong_starves_nobody() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(1);
    let stop = Arc::new(AtomicBool::new(false));
    let wakers: Arc<[Mutex<Option<Waker>>; 2]> = Arc::default();
    let players: Vec<_> = [0, 1]
        .map(|me| {
            let (stop, wakers) = (Arc::clone(&stop), Arc::clone(&wakers));
            runtime.spawn(poll_fn(move |cx| {
                *wakers[me].lock().unwrap() = Some(cx.waker().clone());
                let other = wakers[1 - me].lock().unwrap().clone();
                other.into_iter().for_each(Waker::wake);
                if stop.load(Ordering::Relaxed) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }))
        })
        .into();
    // From outside, and from inside: by a timer, and into the ring.
    let rest = runtime.spawn(async {
        sleep(Duration::from_millis(1)).await;
        spawn(async {}).await.unwrap();
    });
    runtime.block_on(rest).unwrap();
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(all(players));
}

/// A task that blocks its thread: the sources and timers of its reactor, and the tasks in its queue,
/// are served by another worker.
#[test]
fn a_blocked_worker_is_stood_in_for() {
    let _watchdog = Watchdog::start();
    for is_other_busy in [false, true] {
        let runtime = runtime(2);
        // Keeps the other worker awake, if that is wanted.
        let stop = Arc::new(AtomicBool::new(!is_other_busy));
        let busy = runtime.spawn({
            let stop = Arc::clone(&stop);
            async move {
                while !stop.load(Ordering::Relaxed) {
                    yield_now().await;
                }
            }
        });
        for _ in 0..3 {
            let (done, is_done) = mpsc::channel();
            let blocked = runtime.spawn(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                let address = listener.local_addr().unwrap();
                let mut helpers = Vec::new();
                // In whatever reactor they registered: that of this thread too, since each is polled
                // here at first if nobody steals it.
                for _ in 0..4 {
                    let done = done.clone();
                    helpers.push(spawn(async move {
                        sleep(Duration::from_millis(30)).await;
                        done.send(()).unwrap();
                    }));
                }
                let accepted = done.clone();
                helpers.push(spawn(async move {
                    listener.accept().await.unwrap();
                    accepted.send(()).unwrap();
                }));
                for _ in 0..5 {
                    yield_now().await;
                }
                // One more, which is in `next` when the thread blocks.
                helpers.push(spawn(async move { done.send(()).unwrap() }));
                let _client = std::net::TcpStream::connect(address).unwrap();
                for _ in 0..6 {
                    is_done.recv().unwrap();
                }
                helpers
            });
            let helpers = runtime.block_on(blocked).unwrap();
            runtime.block_on(all(helpers));
        }
        stop.store(true, Ordering::Relaxed);
        runtime.block_on(busy).unwrap();
    }
}

/// The same after a time in which all have slept for so long that nobody watches any more.
#[test]
fn a_blocked_worker_is_stood_in_for_after_a_quiet_time() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(2);
    runtime.block_on(sleep(Duration::from_millis(1_500)));
    let (done, is_done) = mpsc::channel();
    let blocked = runtime.spawn(async move {
        let timer = spawn({
            let done = done.clone();
            async move {
                sleep(Duration::from_millis(5)).await;
                done.send(()).unwrap();
            }
        });
        yield_now().await;
        let next = spawn(async move { done.send(()).unwrap() });
        is_done.recv().unwrap();
        is_done.recv().unwrap();
        (timer, next)
    });
    let (timer, next) = runtime.block_on(blocked).unwrap();
    runtime.block_on(timer).unwrap();
    runtime.block_on(next).unwrap();
}

#[test]
fn b_drop_runtime() {
    let _watchdog = Watchdog::start();
    for workers in [1, 2, 4] {
        let census = Census::default();
        let runtime = runtime(workers);
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let (started, is_started) = mpsc::channel();
        let mut tasks = Vec::new();
        let citizen = (census.citizen(), started.clone());
        tasks.push(runtime.spawn(async move {
            let _citizen = census_then_signal(citizen);
            drop(listener.accept().await);
        }));
        for kind in 0..40 {
            let citizen = (census.citizen(), started.clone());
            tasks.push(runtime.spawn(async move {
                let citizen = census_then_signal(citizen);
                match kind % 4 {
                    0 => sleep(Duration::MAX).await,
                    1 => loop {
                        yield_now().await;
                    },
                    2 => drop(ekio::spawn_blocking(|| 7).await),
                    _ => pending().await,
                }
                drop(citizen);
            }));
        }
        for _ in 0..41 {
            is_started.recv().unwrap();
        }
        drop(runtime);
        assert_eq!(census.count(), 0, "{workers} workers");
        for task in tasks {
            let joined = ekio::block_on(task);
            assert!(joined.is_ok() || joined.unwrap_err().is_cancelled());
        }
    }
}

fn census_then_signal((citizen, started): (Citizen, mpsc::Sender<()>)) -> Citizen {
    started.send(()).unwrap();
    citizen
}

/// Destructors that run at the end may spawn, wake and join; that is refused, and nothing hangs.
#[test]
fn destructors_at_the_end_may_do_anything() {
    struct Busybody(Census);

    impl Drop for Busybody {
        fn drop(&mut self) {
            let citizen = self.0.citizen();
            let mut late = Box::pin(spawn(async move {
                let _citizen = citizen;
                pending::<()>().await;
            }));
            late.abort();
            let mut cx = std::task::Context::from_waker(Waker::noop());
            // Refused at once, or cancelled a moment later.
            if let Poll::Ready(joined) = late.as_mut().poll(&mut cx) {
                assert!(joined.unwrap_err().is_cancelled());
            }
            ekio::spawn_blocking(|| ());
        }
    }

    let _watchdog = Watchdog::start();
    for workers in [1, 2, 4] {
        let census = Census::default();
        let runtime = runtime(workers);
        for _ in 0..100 {
            let busybody = Busybody(census.clone());
            runtime.spawn(async move {
                let _busybody = busybody;
                yield_now().await;
                pending::<()>().await;
            });
        }
        drop(runtime);
        assert_eq!(census.count(), 0);
    }
}

#[test]
fn a_destructor_that_panics_at_the_end_stops_nobody() {
    struct Bad;

    impl Drop for Bad {
        fn drop(&mut self) {
            resume_unwind(Box::new("on purpose"));
        }
    }

    let _watchdog = Watchdog::start();
    let census = Census::default();
    let runtime = runtime(2);
    let mut bad = Vec::new();
    for _ in 0..50 {
        let citizen = census.citizen();
        bad.push(runtime.spawn(async move {
            let (_bad, _citizen) = (Bad, citizen);
            pending::<()>().await;
        }));
    }
    drop(runtime);
    assert_eq!(census.count(), 0);
    for task in bad {
        ekio::block_on(task).unwrap_err();
    }
}

#[test]
fn a_runtime_may_be_dropped_by_its_own_worker() {
    let _watchdog = Watchdog::start();
    for workers in [1, 2] {
        let census = Census::default();
        let runtime = runtime(workers);
        let handle = *runtime.handle();
        let citizen = census.citizen();
        let sleeper = runtime.spawn(async move {
            let _citizen = citizen;
            pending::<()>().await;
        });
        let dropper = handle.spawn(async move {
            drop(runtime);
            // Goes on to its next `.await`.
            7
        });
        assert_eq!(ekio::block_on(dropper).unwrap(), 7);
        assert!(ekio::block_on(sleeper).unwrap_err().is_cancelled());
        assert!(
            ekio::block_on(handle.spawn(async {}))
                .unwrap_err()
                .is_cancelled()
        );
        while census.count() > 0 {
            thread::yield_now();
        }
    }
}

/// A worker is inside a task that waits, by blocking, for the end of another one, which only this
/// worker has. The others see to that before they leave.
#[test]
fn the_end_comes_for_a_task_that_waits_for_another() {
    let _watchdog = Watchdog::start();
    for workers in [2, 4] {
        for others in [0, 5] {
            let runtime = runtime(workers);
            let (started, is_started) = mpsc::channel();
            let blocked = runtime.spawn(async move {
                let (alive, are_alive) = mpsc::channel::<()>();
                // The last of them is in `next`.
                for _ in 0..=others {
                    let alive = alive.clone();
                    spawn(async move {
                        pending::<()>().await;
                        drop(alive);
                    });
                }
                drop(alive);
                started.send(()).unwrap();
                are_alive.recv().unwrap_err();
            });
            is_started.recv().unwrap();
            drop(runtime);
            let joined = ekio::block_on(blocked);
            assert!(joined.is_ok() || joined.unwrap_err().is_cancelled());
        }
    }
}

#[test]
fn shutdown_timeout_counts_who_is_stuck() {
    let _watchdog = Watchdog::start();
    for limit in (5..).map(|exponent| Duration::from_millis(2_u64.pow(exponent))) {
        let census = Census::default();
        let runtime = runtime(3);
        let (stuck, is_stuck) = mpsc::channel();
        let (unblock, is_unblocked) = mpsc::channel::<()>();
        let citizen = census.citizen();
        let task = runtime.spawn(async move {
            let _citizen = citizen;
            stuck.send(()).unwrap();
            is_unblocked.recv().unwrap_err();
            pending::<()>().await;
        });
        let other = census.citizen();
        runtime.spawn(async move {
            let _citizen = other;
            pending::<()>().await;
        });
        is_stuck.recv().unwrap();
        let count = runtime.shutdown_timeout(limit);
        if count > 1 {
            continue; // This machine is so slow that workers without work take as long.
        }
        assert_eq!(count, 1);
        assert_eq!(census.count(), 1, "the other task has been dropped");
        drop(unblock);
        assert!(ekio::block_on(task).unwrap_err().is_cancelled());
        assert_eq!(census.count(), 0);
        return;
    }
}

/// A stream and a timer leave the runtime in which they have waited. Its only worker, or the last one, is
/// stuck in a task then, and nobody else turns its reactor, whether somebody waits for the end or not.
#[test]
fn what_has_left_a_runtime_does_not_wait_for_a_worker_that_is_stuck() {
    type End = fn(Runtime, mpsc::Sender<Runtime>);
    let in_vain: End = |runtime, _| {
        // On a slow machine the others may not have left yet.
        assert!(runtime.shutdown_timeout(Duration::from_millis(20)) >= 1);
    };
    let in_the_end: End = |runtime, hand| {
        drop(hand);
        drop(runtime);
    };
    let by_itself: End = |runtime, hand| hand.send(runtime).unwrap();
    let _watchdog = Watchdog::start();
    let ends = [in_vain, in_the_end, by_itself];
    for (workers, end) in ends.iter().flat_map(|end| [(1, end), (2, end)]) {
        let runtime = runtime(workers);
        let (near, mut far) = tcp_pair();
        let near = TcpStream::from_std(near).unwrap();
        let (sender, receiver) = mpsc::channel();
        let (hand, from_hand) = mpsc::channel();
        runtime.spawn(async move {
            let mut nap = Box::pin(sleep(Duration::from_millis(50)));
            assert!(poll_once(pin!(near.read(&mut [0]))).await.is_pending());
            let _ = poll_once(nap.as_mut()).await;
            sender.send((near, nap)).unwrap();
            from_hand.into_iter().for_each(drop);
        });
        let (near, nap) = receiver.recv().unwrap();
        let reading = thread::spawn(move || ekio::block_on(first_byte(near)));
        let hold = hand.clone();
        let end = *end;
        let ending = thread::spawn(move || end(runtime, hand));
        ekio::block_on(nap);
        far.write_all(&[7]).unwrap();
        assert_eq!(reading.join().unwrap(), 7);
        drop(hold);
        ending.join().unwrap();
    }
}

async fn first_byte(stream: TcpStream) -> u8 {
    let mut buffer = [0];
    stream.read_exact(&mut buffer).await.unwrap();
    buffer[0]
}

#[test]
fn shutdown_timeout_without_a_need() {
    let _watchdog = Watchdog::start();
    assert_eq!(runtime(2).shutdown_timeout(Duration::MAX), 0);
    let runtime = runtime(2);
    runtime.block_on(async { spawn(async {}).await.unwrap() });
    assert_eq!(runtime.shutdown_timeout(Duration::from_secs(20)), 0);
}

#[test]
fn wakers_may_be_used_after_the_end() {
    let _watchdog = Watchdog::start();
    for _ in 0..repeat(10_000) {
        let runtime = runtime(2);
        let waker = Arc::new(Mutex::new(None));
        let copy = Arc::clone(&waker);
        let task = runtime.spawn(poll_fn(move |cx| {
            *copy.lock().unwrap() = Some(cx.waker().clone());
            Poll::<()>::Pending
        }));
        let waker = loop {
            if let Some(waker) = waker.lock().unwrap().take() {
                break waker;
            }
            thread::yield_now();
        };
        let foreign = thread::spawn(move || {
            for _ in 0..10 {
                waker.wake_by_ref();
            }
            let copy = waker.clone();
            waker.wake();
            copy
        });
        drop(runtime);
        let waker = foreign.join().unwrap();
        waker.wake_by_ref();
        // The crew has a new tenant, perhaps.
        let next = self::runtime(2);
        waker.wake();
        assert_eq!(
            next.block_on(async { spawn(async { 7 }).await.unwrap() }),
            7
        );
        assert!(ekio::block_on(task).unwrap_err().is_cancelled());
    }
}

/// Ten thousand aborts that race with completion.
#[test]
fn aborts_race_with_completion() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(4);
    let census = Census::default();
    let (mut done, mut cancelled) = (0, 0);
    for round in 0..repeat(10_000).max(1_000) {
        let citizen = census.citizen();
        let task = runtime.spawn(async move {
            let _citizen = citizen;
            for _ in 0..round % 5 {
                yield_now().await;
            }
            round
        });
        for _ in 0..round % 97 {
            std::hint::spin_loop();
        }
        task.abort();
        match ekio::block_on(task) {
            Ok(output) => {
                assert_eq!(output, round);
                done += 1;
            }
            Err(error) => {
                assert!(error.is_cancelled());
                cancelled += 1;
            }
        }
    }
    drop(runtime);
    assert_eq!(census.count(), 0);
    println!("{done} done, {cancelled} cancelled");
}

#[test]
fn runtimes_do_not_meet() {
    let _watchdog = Watchdog::start();
    let (first, second) = (runtime(2), runtime(2));
    let name = |handle: &Handle| {
        let handle = *handle;
        async move {
            let task = handle.spawn(async { thread::current().id() });
            task.await.unwrap()
        }
    };
    let ids = |runtime: &Runtime| {
        let ids: HashSet<_> = (0..50)
            .map(|_| ekio::block_on(name(runtime.handle())))
            .collect();
        ids
    };
    assert!(ids(&first).is_disjoint(&ids(&second)));
    // A task of one waits for one of the other.
    let handle = *second.handle();
    let across = first.spawn(async move {
        let inside = Handle::current();
        let far = handle.spawn(async { 7 }).await.unwrap();
        far + inside.spawn(async { 1 }).await.unwrap()
    });
    assert_eq!(ekio::block_on(across).unwrap(), 8);
    drop(first);
    assert_eq!(
        second.block_on(async { spawn(async { 1 }).await.unwrap() }),
        1
    );
}

fn text_of_panic(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

#[test]
fn misuse_panics_with_advice() {
    let _watchdog = Watchdog::start();
    let text = text_of_panic(|| drop(spawn(async {})));
    assert!(text.starts_with("spawn outside of a runtime"), "{text}");
    let text = text_of_panic(|| ekio::block_on(async { drop(spawn(async {})) }));
    assert!(text.starts_with("spawn outside of a runtime"), "{text}");
    let runtime = runtime(1);
    let nested = runtime.spawn(async { ekio::block_on(async {}) });
    let error = ekio::block_on(nested).unwrap_err();
    assert!(error.to_string().contains("block_on inside"), "{error}");
    let local = runtime.spawn(async { drop(ekio::spawn_local(async {})) });
    let error = ekio::block_on(local).unwrap_err();
    assert!(error.to_string().contains("spawn_local outside"), "{error}");
    let text = text_of_panic(|| runtime.block_on(async { runtime.block_on(async {}) }));
    assert!(text.starts_with("block_on inside"), "{text}");
    // Nothing is broken by it.
    assert_eq!(
        runtime.block_on(async { spawn(async { 7 }).await.unwrap() }),
        7
    );
}

#[test]
fn bad_input_is_refused() {
    for workers in [0, 1_025, usize::MAX] {
        let error = Runtime::builder().workers(workers).build().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("workers"), "{error}");
    }
    let named = Runtime::builder().workers(1).thread_name("a\0b");
    assert_eq!(
        named.build().unwrap_err().kind(),
        io::ErrorKind::InvalidInput
    );
}

#[test]
fn handles_enter_and_leave() {
    let (first, second) = (runtime(1), runtime(1));
    assert!(Handle::try_current().is_none());
    let outer = first.handle().enter();
    {
        let _inner = second.handle().enter();
        ekio::block_on(async { spawn(async {}).await.unwrap() });
    }
    ekio::block_on(async { spawn(async {}).await.unwrap() });
    drop(outer);
    assert!(Handle::try_current().is_none());
}

/// An idle runtime burns no time: its workers are in blocking waits.
#[test]
fn timers_on_workers_are_in_time() {
    let _watchdog = Watchdog::start();
    with_workers(|runtime| {
        let tasks = (0..50).map(|number| {
            runtime.spawn(async move {
                let start = Instant::now();
                let nap = Duration::from_micros(200 * number);
                sleep(nap).await;
                assert!(start.elapsed() >= nap);
            })
        });
        runtime.block_on(all(tasks.collect()));
    });
}
