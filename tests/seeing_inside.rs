//! What a runtime tells of itself: its numbers, and what each of its tasks waits for.

#[path = "support/mod.rs"]
mod support;

use std::future::pending;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ekio::net::{TcpListener, TcpStream};
use ekio::reactor::Direction;
use ekio::runtime::{Dump, Target, TaskDump, TaskState};
use ekio::task::{Id, yield_now};
use ekio::time::sleep;
use ekio::{Runtime, spawn};
use support::example;
use support::watchdog::Watchdog;

fn runtime(workers: usize) -> Runtime {
    Runtime::builder().workers(workers).build().unwrap()
}

fn find(dump: &Dump, id: Id) -> &TaskDump {
    dump.tasks.iter().find(|task| task.id == id).unwrap()
}

/// Dumps again and again until the tasks are where they are expected to come.
fn dump_when(runtime: &Runtime, is_expected: impl Fn(&Dump) -> bool) -> Dump {
    loop {
        let dump = runtime.dump();
        if is_expected(&dump) {
            return dump;
        }
        std::thread::yield_now();
    }
}

fn all_wait(dump: &Dump) -> bool {
    let is_waiting = |task: &TaskDump| task.state == TaskState::Waiting && !task.waits.is_empty();
    dump.tasks.iter().all(is_waiting)
}

#[test]
fn a_dump_names_sockets_and_timers() {
    let _watchdog = Watchdog::start();
    for workers in [1, 3] {
        let runtime = runtime(workers);
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let server = listener.local_addr().unwrap();
        let (sender, client) = mpsc::channel();
        let reader = runtime.spawn(async move {
            let stream = TcpStream::connect(server).await.unwrap();
            sender.send(stream.local_addr().unwrap()).unwrap();
            stream.read(&mut [0]).await
        });
        let client = client.recv().unwrap();
        let acceptor = runtime.spawn(async move {
            let (_stream, _) = listener.accept().await.unwrap();
            listener.accept().await.map(drop)
        });
        let start = Instant::now();
        let sleeper = runtime.spawn(sleep(Duration::from_secs(1_000)));
        let dump = dump_when(&runtime, |dump| dump.tasks.len() == 3 && all_wait(dump));

        let reads = find(&dump, reader.id());
        assert_eq!(reads.location.file(), file!());
        let Target::Source {
            kind: "socket",
            direction: Direction::Read,
            local: Some(local),
            peer: Some(peer),
            ..
        } = reads.waits[0].target
        else {
            panic!("{reads:?}");
        };
        assert_eq!((local, peer), (client, server));
        assert!(reads.waits[0].since.unwrap() < Duration::from_secs(60));

        let accepts = find(&dump, acceptor.id());
        let Target::Source {
            local: Some(local),
            peer: None,
            ..
        } = accepts.waits[0].target
        else {
            panic!("{accepts:?}");
        };
        assert_eq!(local, server);

        let sleeps = find(&dump, sleeper.id());
        let Target::Timer { deadline } = sleeps.waits[0].target else {
            panic!("{sleeps:?}");
        };
        assert!(deadline >= start + Duration::from_secs(1_000));

        let text = dump.to_string();
        let line = format!("{client}, peer {server}, for ");
        assert!(
            text.contains("to read: socket ") && text.contains(&line),
            "{text}"
        );
        assert!(text.contains("for a timer, due in "), "{text}");
        // The ids are in order, and so are the tasks.
        assert!(dump.tasks.is_sorted_by_key(|task| task.id));
    }
}

#[test]
fn a_dump_tells_running_from_queued_and_waiting() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(1);
    let (unblock, is_unblocked) = mpsc::channel::<()>();
    let waiting = runtime.spawn(pending::<()>());
    let running = runtime.spawn(async move {
        let _ = is_unblocked.recv();
    });
    let is_running = |dump: &Dump| {
        let state = find(dump, running.id()).state;
        state == TaskState::Running { worker: 0 }
    };
    dump_when(&runtime, is_running);
    let queued = runtime.spawn(async {});
    let cancelled = runtime.spawn(async {});
    cancelled.abort();
    let dump = runtime.dump();
    assert_eq!(find(&dump, waiting.id()).state, TaskState::Waiting);
    assert_eq!(find(&dump, queued.id()).state, TaskState::Queued);
    assert_eq!(find(&dump, cancelled.id()).state, TaskState::Cancelled);
    drop(unblock);
    runtime.block_on(queued).unwrap();
    assert!(runtime.block_on(cancelled).unwrap_err().is_cancelled());
}

/// What a future of `block_on` waits for is there too, and so is what waits in its reactor for a task
/// of the runtime.
#[test]
fn a_dump_reaches_all_reactors() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(1);
    let handle = *runtime.handle();
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let first = {
            let mut accept = std::pin::pin!(listener.accept());
            // Registers the listener with the reactor of this thread.
            std::future::poll_fn(|cx| {
                assert!(accept.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(handle.dump())
            })
            .await
        };
        let ours = |dump: &Dump| {
            dump.others.iter().any(|wait| {
                matches!(wait.target, Target::Source { local: Some(local), .. } if local == address)
            })
        };
        assert!(ours(&first), "{first}");
        let task = spawn(async move { listener.accept().await.map(drop) });
        while find(&handle.dump(), task.id()).waits.is_empty() {
            yield_now().await;
        }
        TcpStream::connect(address).await.unwrap();
        task.await.unwrap().unwrap();
    });
}

#[test]
fn metrics_count() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(2);
    let tasks: Vec<_> = (0..10).map(|_| runtime.spawn(yield_now())).collect();
    let sleeper = runtime.spawn(pending::<()>());
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    let metrics = loop {
        let metrics = runtime.metrics();
        // The runs of the last ones are over, and the sleeper's.
        if metrics.tasks == 1 && metrics.workers.iter().all(|worker| worker.is_asleep) {
            break metrics;
        }
        std::thread::yield_now();
    };
    assert_eq!(metrics.remote_wakes, 11);
    assert_eq!(metrics.injector_len, 0);
    let sum = |number: fn(&ekio::runtime::WorkerMetrics) -> u64| -> u64 {
        metrics.workers.iter().map(number).sum()
    };
    assert_eq!(sum(|worker| worker.runs), 21, "{metrics:?}");
    assert!(sum(|worker| worker.sleeps) <= sum(|worker| worker.turns));
    assert!(metrics.workers.iter().all(|worker| worker.queue_len == 0));
    drop(sleeper);
    let handle = *runtime.handle();
    drop(runtime);
    assert!(handle.metrics().workers.is_empty());
    assert!(handle.dump().tasks.is_empty());
    // The next tenant of the same crew begins at zero.
    let next = self::runtime(2);
    assert_eq!(next.metrics().remote_wakes, 0);
    assert!(handle.metrics().workers.is_empty());
}

#[test]
fn dumps_do_no_harm() {
    let _watchdog = Watchdog::start();
    let runtime = runtime(2);
    let busy: Vec<_> = (0..20u64)
        .map(|number| {
            runtime.spawn(async move {
                for _ in 0..20 {
                    sleep(Duration::from_micros(50 * (number % 5))).await;
                    spawn(yield_now()).await.unwrap();
                }
            })
        })
        .collect();
    while busy.iter().any(|task| !task.is_finished()) {
        let dump = runtime.dump();
        assert!(dump.tasks.len() <= 40);
        let _ = dump.to_string();
        let _ = runtime.metrics();
    }
}

#[test]
fn the_example_shows_who_waits_for_what() {
    let finished = example::run::<&str>("stuck", &[]);
    assert_eq!(
        (finished.code, finished.err.as_str()),
        (Some(0), ""),
        "{}",
        finished.out
    );
    let text = finished.out.replace('\\', "/");
    assert_eq!(text.matches("to read: socket").count(), 2, "{text}");
    assert_eq!(
        text.matches("spawned at examples/stuck.rs").count(),
        2,
        "{text}"
    );
}
