//! Pools of a few threads, and of none.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use futures_lite::future::block_on;

use super::*;

#[track_caller]
fn call<T: Send + 'static>(
    pool: &Arc<Pool>,
    f: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let call = Call {
        f: Some(f),
        hold: None,
    };
    let (task, handle) = raw::spawn(call, OnPool, Location::caller());
    Pool::push(pool, task);
    handle
}

fn start_one_thread(pool: Arc<Pool>, number: usize) -> io::Result<()> {
    match number {
        1 => start_thread(pool, number),
        _ => start_no_thread(pool, number),
    }
}

fn start_no_thread(_: Arc<Pool>, _: usize) -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// Waits until so many threads are left, none of them at work.
fn wait_for_idle(pool: &Pool, threads: usize) {
    loop {
        let desk = lock(&pool.desk);
        if desk.threads == threads && desk.idle == threads {
            assert_eq!(desk.claims, 0);
            return;
        }
        drop(desk);
        thread::yield_now();
    }
}

#[test]
fn without_a_thread_a_call_is_refused_and_its_closure_dropped() {
    let pool = Pool::new(8, IDLE_MAX, start_no_thread);
    let closure = Arc::new(());
    for round in 1..=3 {
        let held = Arc::clone(&closure);
        let error = block_on(call(&pool, move || drop(held))).unwrap_err();
        assert!(error.is_cancelled(), "round {round}");
        assert!(error.to_string().contains("no thread"), "{error}");
        assert_eq!(Arc::strong_count(&closure), 1);
        wait_for_idle(&pool, 0);
    }
}

#[test]
fn a_thread_that_cannot_be_started_leaves_its_call_to_the_others() {
    let pool = Pool::new(8, IDLE_MAX, start_one_thread);
    let (release, blocked) = mpsc::channel::<()>();
    let first = call(&pool, move || blocked.recv().is_err());
    let others: Vec<_> = (0..3).map(|number| call(&pool, move || number)).collect();
    assert!(others.iter().all(|other| !other.is_finished()));
    drop(release);
    assert!(block_on(first).unwrap());
    for (number, other) in others.into_iter().enumerate() {
        assert_eq!(block_on(other).unwrap(), number);
    }
    wait_for_idle(&pool, 1);
}

#[test]
fn there_are_no_more_threads_than_allowed_and_they_are_used_again() {
    static AT_WORK: AtomicUsize = AtomicUsize::new(0);
    const THREADS_MAX: usize = 2;
    let pool = Pool::new(THREADS_MAX, IDLE_MAX, start_thread);
    for _ in 0..3 {
        let calls: Vec<_> = (0..20)
            .map(|_| {
                call(&pool, || {
                    assert!(AT_WORK.fetch_add(1, Ordering::SeqCst) < THREADS_MAX);
                    thread::yield_now();
                    AT_WORK.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        calls.into_iter().for_each(|call| block_on(call).unwrap());
        wait_for_idle(&pool, THREADS_MAX);
    }
    assert_eq!(lock(&pool.desk).threads_ever, THREADS_MAX);
}

#[test]
fn a_call_that_is_aborted_in_the_queue_never_begins() {
    let pool = Pool::new(1, IDLE_MAX, start_thread);
    let (release, blocked) = mpsc::channel::<()>();
    let first = call(&pool, move || blocked.recv().is_err());
    let second = call(&pool, || unreachable!("it was aborted"));
    second.abort();
    drop(release);
    assert!(block_on(first).unwrap());
    let error: JoinError = block_on(second).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
}

/// Threads give up waiting while calls come: each call is done, and all the threads end.
#[test]
fn calls_race_with_threads_that_end() {
    let rounds = if cfg!(miri) { 8 } else { 2_000 };
    for idle_max in [Duration::ZERO, Duration::from_micros(30)] {
        let pool = Pool::new(2, idle_max, start_thread);
        for round in 0..rounds {
            let calls = [0, 1, 2].map(|number| call(&pool, move || round + number));
            for (number, call) in calls.into_iter().enumerate() {
                assert_eq!(block_on(call).unwrap(), round + number);
            }
        }
        wait_for_idle(&pool, 0);
    }
}
