//! Crews on couches: what a tenancy leaves behind, however it ends.

use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::executor::testing::Couch;
use crate::task::yield_now;

const ROUNDS: usize = if cfg!(miri) { 2 } else { 20 };

/// A few of many tasks.
const TASKS: usize = if cfg!(miri) { 10 } else { 100 };

/// A couch that breaks down when it is told to.
#[derive(Clone, Default)]
struct Bed {
    couch: Couch,
    is_broken: Arc<AtomicBool>,
}

impl Turn for Bed {
    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        // (A couch takes every limit for none at all.)
        thread::sleep(limit.unwrap_or_default());
        self.couch.turn(limit)?;
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(())
    }

    fn notify(&self) {
        self.couch.notify();
    }

    fn is_notified(&self) -> bool {
        self.couch.is_notified()
    }

    fn take_notification(&self) -> bool {
        self.couch.take_notification()
    }

    fn disown(&self) {
        self.couch.disown();
    }
}

impl Bed {
    fn break_down(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
        self.notify();
    }
}

/// A runtime without a reactor. Each test has a number of workers of its own, or another one could be
/// given its crew.
struct Stage {
    crew: &'static Crew,
    tenancy: u64,
    beds: Vec<Bed>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Stage {
    fn start(workers: usize) -> Stage {
        let beds: Vec<_> = (0..workers).map(|_| Bed::default()).collect();
        let to_turn = |bed: &Bed| -> Reactor { Arc::new(bed.clone()) };
        let (crew, tenancy) = Crew::claim(beds.iter().map(to_turn).collect());
        let threads = beds.iter().enumerate().map(|(index, bed)| {
            let turn = to_turn(bed);
            thread::spawn(move || {
                let worker = Worker::new(crew, index, turn);
                let worked = catch_unwind(AssertUnwindSafe(|| worker.work()));
                if worked.is_err() {
                    crew.stop_working();
                }
                crew.leave(index);
            })
        });
        Stage {
            crew,
            tenancy,
            threads: threads.collect(),
            beds,
        }
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.crew.spawn(self.tenancy, future, Location::caller())
    }

    /// Waits for the workers, and looks at what the next tenant would find.
    fn join(self) {
        assert_eq!(self.crew.wait_for_end(self.tenancy, None), 0);
        for thread in self.threads {
            thread.join().unwrap();
        }
        self.crew.assert_is_clean();
    }
}

impl Crew {
    fn assert_is_clean(&self) {
        assert!(self.idle.is_clean());
        assert!(self.duty.is_nobodys());
        assert!(!self.has_tasks());
        assert!(self.rosters.is_empty());
        assert!(!self.is_ending());
        assert!(self.berths.iter().all(|berth| !berth.0.has_next()));
    }
}

#[test]
fn a_crew_is_clean_when_it_is_given_back() {
    for round in 0..ROUNDS {
        let stage = Stage::start(3);
        let tasks = (0..round).map(|number| {
            stage.spawn(async move {
                for _ in 0..number {
                    yield_now().await;
                }
                if number % 2 == 0 {
                    pending::<()>().await;
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        if round % 3 == 0 {
            // For the watch to be set up.
            thread::sleep(Duration::from_millis(2));
        }
        stage.crew.end(stage.tenancy, true);
        stage.join();
        assert!(tasks.iter().all(JoinHandle::is_finished));
    }
}

#[test]
fn a_queue_that_fails_takes_its_worker_alone() {
    for round in 0..ROUNDS {
        let stage = Stage::start(4);
        let tasks: Vec<_> = (0..TASKS).map(|_| stage.spawn(yield_now())).collect();
        if round % 2 == 0 {
            // For all to sleep.
            while stage.crew.idle.asleep() < 4 {
                thread::yield_now();
            }
        }
        stage.beds[round % 4].break_down();
        stage.beds[(round + 1) % 4].break_down();
        let more: Vec<_> = (0..TASKS).map(|_| stage.spawn(yield_now())).collect();
        for task in tasks.iter().chain(&more) {
            while !task.is_finished() {
                thread::yield_now();
            }
        }
        assert!(!stage.beds.iter().any(|bed| bed.couch.is_disowned()));
        stage.crew.end(stage.tenancy, true);
        stage.join();
        for task in tasks.into_iter().chain(more) {
            crate::block_on(task).unwrap();
        }
    }
}

#[test]
fn if_all_queues_fail_all_tasks_are_cancelled() {
    for round in 0..ROUNDS {
        let stage = Stage::start(2);
        let waiting: Vec<_> = (0..10).map(|_| stage.spawn(pending::<()>())).collect();
        let (crew, tenancy, beds) = (stage.crew, stage.tenancy, stage.beds.clone());
        let links = Links::default();
        let all = Arc::clone(&links);
        stage.spawn(async move {
            beds.iter().for_each(Bed::break_down);
            // They are in the ring, and the first link in `next`, when the queue fails.
            for _ in 0..TASKS * round {
                spawn_link(crew, tenancy, 0, &all);
            }
            spawn_link(crew, tenancy, 2 * TASKS, &all);
        });
        stage.join();
        let links = mem::take(&mut *lock(&links));
        let late = crew.spawn(tenancy, async {}, Location::caller());
        for task in waiting.into_iter().chain(links).chain([late]) {
            assert!(crate::block_on(task).unwrap_err().is_cancelled());
        }
    }
}

type Links = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// A task that spawns one like it, and that one more, and never ends.
fn spawn_link(crew: &'static Crew, tenancy: u64, more: usize, all: &Links) {
    let others = Arc::clone(all);
    let link = async move {
        if more > 0 {
            spawn_link(crew, tenancy, more - 1, &others);
        }
        pending::<()>().await;
    };
    let link = crew.spawn(tenancy, link, Location::caller());
    lock(all).push(link);
}
