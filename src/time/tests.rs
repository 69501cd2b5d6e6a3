//! Sleeps, intervals and time-outs under a virtual clock, so that what they do is told to the
//! nanosecond.

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::*;
use crate::reactor::virtual_time::{self, VirtualClock, hold};
use crate::{block_on, spawn_local};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Lives a story under a virtual clock, on a thread of its own, since a thread's reactor is made once.
fn virtually<T: Send + 'static, F: Future<Output = T>>(
    story: impl FnOnce() -> F + Send + 'static,
) -> T {
    let thread = thread::spawn(move || {
        let _in_force = VirtualClock::put_in_force(&VirtualClock::new());
        block_on(story())
    });
    thread.join().unwrap()
}

#[test]
fn a_year_is_over_at_once() {
    let real = Instant::now();
    virtually(|| async {
        let start = now();
        sleep(DAY * 365).await;
        assert_eq!(now() - start, DAY * 365);
        sleep(Duration::from_nanos(1)).await;
        assert_eq!(now() - start, DAY * 365 + Duration::from_nanos(1));
        sleep_until(start).await;
        let mut nap = pin!(sleep_until(start + DAY * 366));
        assert!(!nap.is_elapsed());
        nap.as_mut().await;
        assert!(nap.is_elapsed());
        assert_eq!(now() - start, DAY * 366);
    });
    assert!(real.elapsed() < DAY);
    assert!(now() - real < DAY, "here the clock is the real one");
}

#[test]
fn a_time_out_is_exact_and_what_comes_before_it_wins() {
    virtually(|| async {
        let start = now();
        assert!(timeout(HOUR, pending::<()>()).await.is_err());
        assert_eq!(now() - start, HOUR);
        assert!(
            timeout(HOUR, sleep(HOUR - Duration::from_nanos(1)))
                .await
                .is_ok()
        );
        assert!(timeout_at(start + HOUR * 3, sleep(HOUR * 2)).await.is_err());
        assert_eq!(now() - start, HOUR * 3);
    });
}

/// The picture in the documentation of `MissedTickBehavior`, lived.
#[test]
fn the_three_behaviors_of_an_interval() {
    fn ticks(behavior: MissedTickBehavior) -> Vec<(u128, u128)> {
        virtually(move || async move {
            let start = now();
            let mut clock = interval(HOUR);
            clock.set_missed_tick_behavior(behavior);
            let mut ticks = Vec::new();
            for number in 0..6 {
                let due = clock.tick().await;
                let minutes = |moment: Instant| (moment - start).as_secs() as u128 / 60;
                ticks.push((minutes(now()), minutes(due)));
                if number == 0 {
                    sleep(HOUR * 5 / 2).await;
                }
            }
            ticks
        })
    }
    assert_eq!(
        ticks(MissedTickBehavior::Burst),
        [
            (0, 0),
            (150, 60),
            (150, 120),
            (180, 180),
            (240, 240),
            (300, 300)
        ]
    );
    assert_eq!(
        ticks(MissedTickBehavior::Delay),
        [
            (0, 0),
            (150, 60),
            (210, 210),
            (270, 270),
            (330, 330),
            (390, 390)
        ]
    );
    assert_eq!(
        ticks(MissedTickBehavior::Skip),
        [
            (0, 0),
            (150, 60),
            (180, 180),
            (240, 240),
            (300, 300),
            (360, 360)
        ]
    );
}

#[test]
fn an_interval_begins_anew() {
    virtually(|| async {
        let start = now();
        let mut clock = interval_at(start + HOUR, HOUR);
        let at = |hours: f64| start + HOUR.mul_f64(hours);
        assert_eq!(clock.tick().await, at(1.0));
        sleep(HOUR / 2).await;
        clock.reset();
        assert_eq!(clock.tick().await, at(2.5));
        clock.reset_after(HOUR / 4);
        assert_eq!(clock.tick().await, at(2.75));
        clock.reset_immediately();
        assert_eq!(clock.tick().await, at(2.75));
        assert_eq!(clock.tick().await, at(3.75));
        clock.reset_at(at(10.0));
        assert_eq!(clock.tick().await, at(10.0));
        assert_eq!(now(), at(10.0));
    });
}

/// Tasks that sleep, and start each other: the same story, told twice.
#[test]
fn a_story_is_the_same_each_time() {
    const TASKS: u32 = if cfg!(miri) { 5 } else { 50 };
    const ROUNDS: u32 = if cfg!(miri) { 4 } else { 19 };
    fn story() -> Vec<(u32, Duration)> {
        virtually(|| async {
            let start = now();
            let log = Rc::new(RefCell::new(Vec::new()));
            let tasks: Vec<_> = (0..TASKS)
                .map(|number| {
                    let log = Rc::clone(&log);
                    spawn_local(async move {
                        for round in 1..=ROUNDS {
                            sleep(Duration::from_millis(u64::from(
                                number * 7919 % 101 * round,
                            )))
                            .await;
                            log.borrow_mut().push((number, now() - start));
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            log.take()
        })
    }
    let first = story();
    assert_eq!(first.len(), (TASKS * ROUNDS) as usize);
    assert!(first.is_sorted_by_key(|(_, time)| *time));
    assert_eq!(first, story());
}

/// What goes on elsewhere holds the clock, and a wake from there comes before the next deadline.
#[test]
fn a_hold_keeps_time_from_passing() {
    virtually(|| async {
        let start = now();
        let is_over = Arc::new(AtomicBool::new(false));
        let sleeper = spawn_local({
            let is_over = Arc::clone(&is_over);
            async move {
                sleep(HOUR).await;
                is_over.store(true, Ordering::SeqCst);
            }
        });
        let held = hold().unwrap().expect("a virtual clock is in force");
        let (answer, answers) = mpsc::channel();
        let mut work = Some((held, answer));
        let mut worker = None;
        let elsewhere = poll_fn(|cx| {
            if let Some((held, answer)) = work.take() {
                let (waker, is_over) = (cx.waker().clone(), Arc::clone(&is_over));
                worker = Some(thread::spawn(move || {
                    let _lent = virtual_time::lend_to_call(Some(held.clone()));
                    // A moment for the clock to jump in, were it not held.
                    thread::sleep(Duration::from_millis(20));
                    assert!(!is_over.load(Ordering::SeqCst));
                    answer.send(now()).unwrap();
                    waker.wake();
                    drop(held);
                }));
            }
            answers.try_recv().map_or(Poll::Pending, Poll::Ready)
        });
        assert_eq!(elsewhere.await, start);
        assert_eq!(now(), start);
        worker.unwrap().join().unwrap();
        sleeper.await.unwrap();
        assert_eq!(now() - start, HOUR);
    });
}

/// A socket that somebody waits for makes time real.
#[test]
fn a_socket_that_is_awaited_makes_time_real() {
    virtually(|| async {
        let start = now();
        let listener = crate::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let real = Instant::now();
        let limit = Duration::from_millis(5);
        assert!(timeout(limit, listener.accept()).await.is_err());
        assert!(real.elapsed() >= limit && now() - start >= limit);
        drop(listener);
        let before = now();
        sleep(DAY).await;
        // It ran until it was stopped by the next turn.
        assert!(now() - before >= DAY);
        assert!(real.elapsed() < DAY);
    });
}

/// A child's end is an event of the system's, whatever it is watched by.
#[cfg(all(feature = "process", not(miri)))]
#[test]
fn a_child_that_is_awaited_makes_time_real() {
    virtually(|| async {
        let (program, arguments) = if cfg!(windows) {
            ("cmd", ["/c", "exit 7"])
        } else {
            ("sh", ["-c", "sleep 0.02; exit 7"])
        };
        let mut child = crate::process::Command::new(program)
            .args(arguments)
            .spawn()
            .unwrap();
        let status = timeout(DAY, child.wait()).await;
        assert_eq!(status.unwrap().unwrap().code(), Some(7));
    });
}
