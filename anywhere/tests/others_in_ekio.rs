//! What others offer that needs no runtime (channels, locks, `select`, `join`), on ekio's executor.

mod common;

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::watchdog::Watchdog;
use ekio::net::{TcpListener, TcpStream};
use ekio::task::yield_now;
use ekio::time::sleep;
use ekio::{block_on, spawn_blocking, spawn_local};
use futures::{FutureExt as _, StreamExt as _};

#[test]
fn channels_between_tasks() {
    let _watchdog = Watchdog::start();
    block_on(async {
        // Of one place, so that both sides wait.
        let (sender, receiver) = async_channel::bounded(1);
        for number in 0..4 {
            let sender = sender.clone();
            spawn_local(async move {
                for round in 0..100 {
                    sender.send(number * 100 + round).await.unwrap();
                }
            });
        }
        drop(sender);
        let consumers: Vec<_> = (0..3)
            .map(|_| spawn_local(receiver.clone().collect::<Vec<_>>()))
            .collect();
        let mut all = Vec::new();
        for consumer in consumers {
            all.extend(consumer.await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (0..400).collect::<Vec<_>>());
    });
}

#[test]
fn channels_between_threads() {
    let _watchdog = Watchdog::start();
    let (sender, receiver) = async_channel::bounded(2);
    let (answers, mut answered) = futures::channel::mpsc::unbounded();
    let other = thread::spawn(move || {
        block_on(async {
            while let Ok(number) = receiver.recv().await {
                answers.unbounded_send(number * 2).unwrap();
            }
        });
    });
    block_on(async {
        for number in 0..1_000 {
            sender.send(number).await.unwrap();
            assert_eq!(answered.next().await, Some(number * 2));
        }
        drop(sender);
        assert_eq!(answered.next().await, None);
    });
    other.join().unwrap();
}

#[test]
fn channels_and_locks_between_workers() {
    let _watchdog = Watchdog::start();
    let runtime = ekio::Runtime::builder().workers(4).build().unwrap();
    runtime.block_on(async {
        let (sender, receiver) = async_channel::bounded(3);
        let sum = Arc::new(async_lock::Mutex::new(0));
        let mut tasks = Vec::new();
        for number in 0..4 {
            let (sender, receiver, sum) = (sender.clone(), receiver.clone(), sum.clone());
            tasks.push(ekio::spawn(async move {
                for round in 0..500 {
                    sender.send(number * 500 + round).await.unwrap();
                }
            }));
            tasks.push(ekio::spawn(async move {
                while let Ok(number) = receiver.recv().await {
                    let mut sum = sum.lock().await;
                    yield_now().await;
                    *sum += number;
                }
            }));
        }
        drop((sender, receiver));
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*sum.lock().await, 1_999_000);
    });
}

#[test]
fn tokios_channels_and_locks() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let (done, is_done) = tokio::sync::oneshot::channel();
        let sum = Arc::new(tokio::sync::Mutex::new(0));
        let lock = sum.clone();
        spawn_local(async move {
            while let Some(number) = receiver.recv().await {
                *lock.lock().await += number;
            }
            done.send(()).unwrap();
        });
        for number in 1..=1_000 {
            sender.send(number).await.unwrap();
        }
        drop(sender);
        is_done.await.unwrap();
        assert_eq!(*sum.lock().await, 500_500);
        tokio::select! {
            () = sleep(Duration::from_millis(1)) => {}
            () = std::future::pending() => unreachable!(),
        }
    });
}

#[test]
fn locks_are_held_across_waits() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let is_inside = Rc::new(Cell::new(false));
        let lock = Rc::new(async_lock::Mutex::new(0));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let (lock, is_inside) = (lock.clone(), is_inside.clone());
                spawn_local(async move {
                    for _ in 0..10 {
                        let mut guard = lock.lock().await;
                        assert!(!is_inside.replace(true));
                        yield_now().await;
                        *guard += 1;
                        is_inside.set(false);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*lock.lock().await, 100);
    });
}

#[test]
fn semaphores_barriers_and_cells() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let seats = Arc::new(async_lock::Semaphore::new(2));
        let barrier = Arc::new(async_lock::Barrier::new(5));
        let cell = Arc::new(async_lock::OnceCell::new());
        let tasks: Vec<_> = (0..5)
            .map(|number| {
                let (seats, barrier, cell) = (seats.clone(), barrier.clone(), cell.clone());
                spawn_local(async move {
                    let seat = seats.acquire().await;
                    sleep(Duration::from_micros(100)).await;
                    drop(seat);
                    // By a thread of the pool, once.
                    let compute = || async { spawn_blocking(|| 42).await.unwrap() };
                    assert_eq!(*cell.get_or_init(compute).await, 42);
                    (number, barrier.wait().await.is_leader())
                })
            })
            .collect();
        let mut leaders = 0;
        for task in tasks {
            leaders += usize::from(task.await.unwrap().1);
        }
        assert_eq!(leaders, 1);
    });
}

#[test]
fn join_and_race() {
    let _watchdog = Watchdog::start();
    block_on(async {
        // The first can end only after the second has begun to wait.
        let (sender, receiver) = async_channel::bounded(1);
        let first = async {
            let number: u64 = receiver.recv().await.unwrap();
            sleep(Duration::from_millis(number)).await;
            number
        };
        let second = async {
            sender.send(3).await.unwrap();
            yield_now().await;
            "second"
        };
        let both = futures_lite::future::zip(first, second).await;
        assert_eq!(both, (3, "second"));
        let step = |number: u64| async move {
            sleep(Duration::from_millis(number)).await;
            number
        };
        assert_eq!(futures::join!(step(1), async { 7 }), (1, 7));
        let first = futures_lite::future::race(step(1), std::future::pending()).await;
        assert_eq!(first, 1);
        let or = futures_lite::future::or(std::future::pending(), step(0)).await;
        assert_eq!(or, 0);
    });
}

#[test]
fn select_between_a_socket_and_a_timer() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (mut ticks, mut byte) = (0, [0]);
        loop {
            let mut read = pin!(server.read(&mut byte).fuse());
            let mut tick = pin!(sleep(Duration::from_micros(200)).fuse());
            futures::select! {
                count = read => {
                    assert_eq!(count.unwrap(), 1);
                    break;
                }
                () = tick => {
                    ticks += 1;
                    if ticks == 3 {
                        client.write_all(&[9]).await.unwrap();
                    }
                }
            }
        }
        assert!(ticks >= 3);
        assert_eq!(byte, [9]);
    });
}

#[test]
fn streams_of_many_futures() {
    let _watchdog = Watchdog::start();
    block_on(async {
        let unordered: futures::stream::FuturesUnordered<_> = (0..100)
            .map(|number| async move {
                sleep(Duration::from_micros(number * 10)).await;
                number
            })
            .collect();
        assert_eq!(
            unordered
                .map(|number| number + 1)
                .fold(0, |a, b| async move { a + b })
                .await,
            5_050
        );
        let buffered: Vec<u64> = futures::stream::iter(0..20)
            .map(|number| async move { spawn_blocking(move || number * number).await.unwrap() })
            .buffered(4)
            .collect()
            .await;
        assert_eq!(
            buffered,
            (0..20).map(|number| number * number).collect::<Vec<_>>()
        );
    });
}
