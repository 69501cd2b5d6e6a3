//! A runtime under virtual time: what takes hours is tested in no time, and in the same order each time.

#[path = "support/mod.rs"]
mod support;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use ekio::net::{TcpListener, TcpStream};
use ekio::runtime::Time;
use ekio::task::{JoinHandle, yield_now};
use ekio::time::{interval, now, sleep, sleep_until, timeout};
use ekio::{Runtime, spawn, spawn_blocking, spawn_local};
use support::watchdog::Watchdog;

const HOUR: Duration = Duration::from_secs(3_600);

fn runtime(seed: u64) -> Runtime {
    Runtime::builder().virtual_time(seed).build().unwrap()
}

#[test]
fn hours_pass_at_once_and_exactly() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(1);
    runtime.block_on(async {
        let start = now();
        sleep(HOUR).await;
        assert_eq!(now() - start, HOUR);
        sleep_until(start + 3 * HOUR).await;
        assert_eq!(now() - start, 3 * HOUR);
        let mut clock = interval(HOUR);
        for tick in 0..5 {
            assert_eq!(clock.tick().await - start, (3 + tick) * HOUR);
        }
        let never = timeout(HOUR / 2, sleep(HOUR)).await;
        never.unwrap_err();
        timeout(2 * HOUR, sleep(HOUR)).await.unwrap();
        assert_eq!(now() - start, 8 * HOUR + HOUR / 2);
    });
    // It goes on where it was.
    let before = runtime.block_on(async { now() });
    let after = runtime.block_on(async {
        sleep(HOUR).await;
        now()
    });
    assert_eq!(after - before, HOUR);
}

#[test]
fn tasks_meet_at_their_times() {
    let _watchdog = Watchdog::start();
    for seed in 0..10 {
        let log = Arc::new(Mutex::new(Vec::new()));
        runtime(seed).block_on(async {
            let start = now();
            let mut tasks = Vec::new();
            for hours in [5, 1, 4, 2, 3] {
                let log = Arc::clone(&log);
                tasks.push(spawn(async move {
                    sleep(hours * HOUR).await;
                    log.lock().unwrap().push((hours, now() - start));
                }));
            }
            let local = spawn_local(sleep(6 * HOUR));
            local.await.unwrap();
            assert!(tasks.iter().all(|task| task.is_finished()));
        });
        let met: Vec<_> = (1..=5).map(|hours| (hours, hours * HOUR)).collect();
        assert_eq!(*log.lock().unwrap(), met);
    }
}

/// In which order twenty tasks run that all are ready.
fn order(seed: u64) -> Vec<usize> {
    let log = Arc::new(Mutex::new(Vec::new()));
    runtime(seed).block_on(async {
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let log = Arc::clone(&log);
                spawn(async move {
                    for _ in 0..3 {
                        log.lock().unwrap().push(number);
                        yield_now().await;
                        sleep(HOUR).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    Arc::try_unwrap(log).unwrap().into_inner().unwrap()
}

#[test]
fn a_seed_is_an_order() {
    let _watchdog = Watchdog::start();
    let orders: Vec<_> = (0..5).map(order).collect();
    for (seed, first) in orders.iter().enumerate() {
        assert_eq!(*first, order(seed as u64));
        assert!(orders[..seed].iter().all(|other| other != first));
        // Everybody had a turn before anybody had the second one, an hour later.
        for hour in first.chunks(20) {
            let mut hour = hour.to_vec();
            hour.sort_unstable();
            assert_eq!(hour, (0..20).collect::<Vec<_>>());
        }
    }
}

/// What a call on the pool does takes no virtual time, however long it really takes; so no time-out
/// comes before its end.
#[test]
fn a_call_on_the_pool_holds_the_clock() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(3);
    runtime.block_on(async {
        for _ in 0..5 {
            let start = now();
            let call = spawn_blocking(move || {
                let inside = now();
                thread::sleep(Duration::from_millis(20));
                assert_eq!(now(), inside);
                inside
            });
            let inside = timeout(Duration::from_nanos(1), call)
                .await
                .unwrap()
                .unwrap();
            assert_eq!((inside, now()), (start, start));
            // Aborted, or panicking, it holds no longer.
            let aborted = spawn_blocking(|| ());
            aborted.abort();
            let _ = aborted.await;
            let panicked = spawn_blocking(|| std::panic::resume_unwind(Box::new("on purpose")));
            let _: Result<(), _> = panicked.await;
            sleep(HOUR).await;
            assert_eq!(now() - start, HOUR);
        }
    });
}

/// A call may wait by itself, with a loop of its own, whose time is real. The clock stands meanwhile.
#[test]
fn a_call_may_block_on_something() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(3);
    runtime.block_on(async {
        let start = now();
        let call = spawn_blocking(|| {
            let outside = now();
            let inside = ekio::block_on(async {
                let begin = now();
                sleep(Duration::from_millis(2)).await;
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                let accept = timeout(Duration::from_millis(2), listener.accept());
                accept.await.unwrap_err();
                now() - begin
            });
            assert!(inside >= Duration::from_millis(4));
            assert_eq!(now(), outside);
        });
        call.await.unwrap();
        assert_eq!(now(), start);
    });
}

/// Nobody waits for the call that a call has made; when it ends the clock goes on.
#[test]
fn a_call_of_a_call_holds_the_clock() {
    let _watchdog = Watchdog::start();
    runtime(3).block_on(async {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let call = spawn_blocking(|| {
            let second = spawn_blocking(move || {
                thread::sleep(Duration::from_millis(30));
                flag.store(true, Ordering::SeqCst);
            });
            drop(second);
        });
        call.await.unwrap();
        sleep(HOUR).await;
        assert!(is_over.load(Ordering::SeqCst));
    });
}

/// What a destructor spawns at the end is refused, and not left to the runtime around.
#[test]
fn a_destructor_at_the_end_may_spawn() {
    struct Busybody(Arc<Mutex<Vec<JoinHandle<()>>>>);

    impl Drop for Busybody {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(spawn(pending()));
        }
    }

    let _watchdog = Watchdog::start();
    let around = runtime(8);
    let late = Arc::default();
    around.block_on(async {
        let busybody = Busybody(Arc::clone(&late));
        let inside = runtime(9);
        let busy = inside.spawn(async move {
            let _busybody = busybody;
            pending::<()>().await;
        });
        drop(inside);
        assert!(busy.await.unwrap_err().is_cancelled());
        let task = late.lock().unwrap().pop().unwrap();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// Nobody waits for a child that was dropped.
#[cfg(all(unix, feature = "process"))]
#[test]
fn an_orphan_does_not_make_time_real() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(4);
    runtime.block_on(async {
        let mut command = ekio::process::Command::new("cat");
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        drop(child);
        sleep(100 * HOUR).await;
        drop(stdin);
    });
}

/// As in a destructor of a thread-local variable, whichever was there first.
#[test]
fn a_runtime_may_end_with_its_thread() {
    struct Citizen(mpsc::Sender<()>);

    impl Drop for Citizen {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    thread_local! {
        static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }

    let _watchdog = Watchdog::start();
    for is_runtime_first in [true, false] {
        let (sender, receiver) = mpsc::channel();
        let ending = thread::spawn(move || {
            if is_runtime_first {
                RUNTIME.set(None);
            }
            let runtime = runtime(5);
            runtime.block_on(sleep(HOUR));
            let citizen = Citizen(sender);
            runtime.spawn(async move {
                let _citizen = citizen;
                pending::<()>().await;
            });
            RUNTIME.set(Some(runtime));
        });
        ending.join().unwrap();
        receiver.recv().unwrap();
    }
}

/// A worker of another runtime is at work here when it drops its own.
#[test]
fn a_task_of_it_may_drop_the_runtime_around_it() {
    let _watchdog = Watchdog::start();
    let around = Runtime::builder().workers(2).build().unwrap();
    let handle = *around.handle();
    let dropper = handle.spawn(async move {
        let inside = runtime(6);
        inside.spawn(async move {
            let _around = around;
            pending::<()>().await;
        });
        drop(inside);
        7
    });
    assert_eq!(ekio::block_on(dropper).unwrap(), 7);
}

/// A task that drops such a runtime has the budget that it had.
#[test]
fn dropping_it_leaves_the_budget_of_a_task() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let has_run = Rc::new(Cell::new(false));
        let flag = Rc::clone(&has_run);
        spawn_local(async move { flag.set(true) });
        drop(runtime(8));
        let mut ticks = interval(Duration::from_nanos(1));
        for _ in 0..1_000 {
            ticks.tick().await;
        }
        assert!(has_run.get());
    });
}

/// While somebody waits for a socket, time is real: an answer comes before a time-out that it is in
/// time for. When nobody does, it jumps again.
#[test]
fn sockets_make_time_real() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(4);
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut byte = [0];
            stream.read_exact(&mut byte).await?;
            stream.write_all(&byte).await
        });
        let client = async {
            let stream = TcpStream::connect(address).await?;
            stream.write_all(b"x").await?;
            let mut byte = [0];
            stream.read_exact(&mut byte).await?;
            io::Result::Ok(byte)
        };
        let answer = timeout(Duration::from_secs(20), client).await.unwrap();
        assert_eq!(answer.unwrap(), *b"x");
        server.await.unwrap().unwrap();
        let start = now();
        sleep(100 * HOUR).await;
        assert!(now() - start >= 100 * HOUR);
    });
}

/// So is it while somebody tries again and again, since the system does not tell when there is room.
#[cfg(unix)]
#[test]
fn who_waits_for_room_makes_time_real() {
    use ekio::net::unix::UnixDatagram;
    let _watchdog = Watchdog::start();
    let name = std::env::temp_dir().join(format!("ekio-virtual-{}", std::process::id()));
    let receiver = std::os::unix::net::UnixDatagram::bind(&name).unwrap();
    runtime(4).block_on(async {
        let sender = UnixDatagram::unbound().unwrap();
        let address = ekio::net::unix::SocketAddr::from_pathname(&name).unwrap();
        let mut count = 0;
        while sender.try_send_to_addr(b"x", &address).is_ok() {
            count += 1;
        }
        let draining = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            for _ in 0..=count {
                receiver.recv(&mut [0]).unwrap();
            }
        });
        let sent = timeout(Duration::from_secs(20), sender.send_to(b"x", &name)).await;
        assert_eq!(sent.unwrap().unwrap(), 1);
        draining.join().unwrap();
    });
    std::fs::remove_file(&name).unwrap();
}

#[test]
fn a_dump_says_how_time_passes() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(5);
    runtime.block_on(sleep(HOUR));
    let dump = runtime.dump();
    assert_eq!(dump.time, Time::Jumps);
    assert!(
        dump.to_string().starts_with("virtual time jumps\n"),
        "{dump}"
    );
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = thread::spawn({
            let address = listener.local_addr().unwrap();
            move || {
                thread::sleep(Duration::from_millis(5));
                std::net::TcpStream::connect(address).unwrap()
            }
        });
        listener.accept().await.unwrap();
        client.join().unwrap();
    });
    assert_eq!(runtime.dump().time, Time::Runs);
    assert_eq!(
        Runtime::builder().workers(1).build().unwrap().dump().time,
        Time::Real
    );
}

#[test]
fn tasks_stay_between_two_calls_and_end_with_the_runtime() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(6);
    let early = runtime.spawn(async { 7 });
    let counter = Arc::new(());
    let held = Arc::clone(&counter);
    let forever = runtime.spawn(async move {
        let _held = held;
        pending::<()>().await;
    });
    assert_eq!(runtime.block_on(early).unwrap(), 7);
    // From another thread, while this one sleeps.
    let handle = *runtime.handle();
    let (sender, receiver) = async_channel::bounded(1);
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(5));
        handle.spawn(async move { sender.send(8).await.unwrap() })
    });
    assert_eq!(runtime.block_on(receiver.recv()).unwrap(), 8);
    runtime.block_on(other.join().unwrap()).unwrap();
    assert_eq!(Arc::strong_count(&counter), 2);
    // Inside somebody else's loop, too.
    ekio::block_on(async {
        drop(runtime);
        sleep(Duration::from_millis(1)).await;
    });
    assert_eq!(Arc::strong_count(&counter), 1);
    assert!(ekio::block_on(forever).unwrap_err().is_cancelled());
    assert!(
        ekio::block_on(handle.spawn(async {}))
            .unwrap_err()
            .is_cancelled()
    );
}

/// A test that fails prints its seed. (This one starts its own program once more, to fail there.)
#[test]
fn a_failing_test_tells_its_seed() {
    const PART: &str = "EKIO_FAILS_WITH_SEED";
    if std::env::var_os(PART).is_some() {
        runtime(4_711).block_on(async { panic!("this panic is expected") });
    }
    let test = std::env::current_exe().unwrap();
    let failed = std::process::Command::new(test)
        .args(["--exact", "a_failing_test_tells_its_seed", "--nocapture"])
        .env(PART, "")
        .output()
        .unwrap();
    assert!(!failed.status.success());
    let text = String::from_utf8_lossy(&failed.stderr);
    assert!(
        text.contains("the seed of this virtual time is 4711"),
        "{text}"
    );
}

#[test]
fn real_time_is_real_beside_it() {
    let _watchdog = Watchdog::start();
    runtime(7).block_on(sleep(1_000 * HOUR));
    let start = Instant::now();
    ekio::block_on(async {
        let begin = now();
        sleep(Duration::from_millis(2)).await;
        assert!(now() - begin < HOUR);
    });
    assert!(start.elapsed() >= Duration::from_millis(2));
}

#[test]
fn more_than_one_worker_is_refused() {
    for workers in [0, 2] {
        let builder = Runtime::builder().workers(workers).virtual_time(1);
        assert_eq!(
            builder.build().unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
    drop(
        Runtime::builder()
            .workers(1)
            .virtual_time(1)
            .build()
            .unwrap(),
    );
}
