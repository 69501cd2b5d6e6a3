//! Models for loom: rings, the injector, the idle protocol and the end of a runtime, with the real
//! loops of the workers around pretended reactors.
//!
//! `RUSTFLAGS="--cfg ekio_loom" cargo test --lib --release loom`
//!
//! A lost task or a lost wake shows as a deadlock; a task that is run twice, as two threads at one
//! future; one that is leaked, as an `Arc` that is left over.

use std::future::{Future, pending, poll_fn};
use std::panic::Location;
use std::task::Poll;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::ring::Ring;
use super::*;
use crate::executor::block_on::block_on_with;
use crate::executor::testing::Couch;
use crate::task::raw::Ran;
use crate::task::yield_now;

/// How often a thread is interrupted where it would not have to wait; see the models of `task`.
const PREEMPTIONS_MAX: usize = 3;

/// The same where three threads take more than a minute.
const FEW_PREEMPTIONS_MAX: usize = 2;

/// The same for two workers and a thread outside.
const ONE_PREEMPTION: usize = 1;

fn model(preemptions_max: usize, threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions_max);
    builder.check(threads);
}

/// Tasks that nobody wakes.
#[derive(Clone)]
struct NoQueue;

impl Schedule for NoQueue {
    fn schedule(&self, _task: Runnable) {
        unreachable!("nobody has a waker of these tasks");
    }
}

/// A task that counts its run, by more than one step so that a second run at the same time shows.
fn counting(count: &Arc<AtomicUsize>) -> Runnable {
    let count = Arc::clone(count);
    let future = async move {
        // Relaxed: the queues have to order it.
        let before = count.load(Ordering::Relaxed);
        count.store(before + 1, Ordering::Relaxed);
    };
    let (task, handle) = raw::spawn(future, NoQueue, Location::caller());
    drop(handle);
    task
}

fn run(task: Runnable) {
    // SAFETY: the future is `Send`.
    assert!(matches!(unsafe { task.run() }, Ran::Done(_)));
}

/// Each task has a counter of its own, and the counters are looked at when all is over.
fn counters() -> Vec<Arc<AtomicUsize>> {
    (0..4).map(|_| Arc::default()).collect()
}

fn each_was_run_once(counts: &[Arc<AtomicUsize>]) {
    let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
    let counts: Vec<_> = counts.collect();
    assert_eq!(counts, [1; 4]);
}

/// The owner pushes and pops while a thief steals; the places are used more than once.
#[test]
fn loom_ring_push_pop_vs_steal() {
    model(PREEMPTIONS_MAX, || {
        let counts = counters();
        let ring = Arc::new(Ring::new());
        // SAFETY, here and below: this thread is the owner of `ring`.
        unsafe { ring.push(counting(&counts[0])) }.unwrap();
        unsafe { ring.push(counting(&counts[1])) }.unwrap();
        let victim = Arc::clone(&ring);
        let thief = thread::spawn(move || {
            let own = Ring::new();
            // SAFETY: this thread is the owner of `own`.
            let stolen = unsafe { victim.steal_into(&own) };
            stolen.into_iter().for_each(run);
            while let Some(task) = own.pop() {
                run(task);
            }
        });
        ring.pop().into_iter().for_each(run);
        unsafe { ring.push(counting(&counts[2])) }.unwrap();
        unsafe { ring.push(counting(&counts[3])) }.unwrap();
        while let Some(task) = ring.pop() {
            run(task);
        }
        thief.join().unwrap();
        each_was_run_once(&counts);
    });
}

/// A full ring is emptied by half while a thief is at it, and filled again.
#[test]
fn loom_ring_take_half_vs_steal() {
    model(PREEMPTIONS_MAX, || {
        let counts = counters();
        let ring = Arc::new(Ring::new());
        for count in &counts {
            // SAFETY: this thread is the owner of `ring`.
            unsafe { ring.push(counting(count)) }.unwrap();
        }
        let victim = Arc::clone(&ring);
        let thief = thread::spawn(move || {
            let own = Ring::new();
            // SAFETY: this thread is the owner of `own`.
            let stolen = unsafe { victim.steal_into(&own) };
            stolen.into_iter().for_each(run);
            while let Some(task) = own.pop() {
                run(task);
            }
        });
        let mut half = ring.take_half();
        while let Some(task) = half.pop() {
            // SAFETY: as above.
            if let Err(task) = unsafe { ring.push(task) } {
                run(task);
            }
        }
        while let Some(task) = ring.pop() {
            run(task);
        }
        thief.join().unwrap();
        each_was_run_once(&counts);
    });
}

/// Two thieves meet at one ring.
#[test]
fn loom_ring_two_thieves() {
    model(PREEMPTIONS_MAX, || {
        let counts = counters();
        let ring = Arc::new(Ring::new());
        for count in &counts {
            // SAFETY: this thread is the owner of `ring`.
            unsafe { ring.push(counting(count)) }.unwrap();
        }
        let thieves = [0, 1].map(|_| {
            let victim = Arc::clone(&ring);
            thread::spawn(move || {
                let own = Ring::new();
                // SAFETY: this thread is the owner of `own`.
                let stolen = unsafe { victim.steal_into(&own) };
                stolen.into_iter().for_each(run);
                while let Some(task) = own.pop() {
                    run(task);
                }
            })
        });
        for thief in thieves {
            thief.join().unwrap();
        }
        while let Some(task) = ring.pop() {
            run(task);
        }
        each_was_run_once(&counts);
    });
}

/// What was stolen is stolen again, from the thief.
#[test]
fn loom_ring_steal_from_thief() {
    model(PREEMPTIONS_MAX, || {
        let counts = counters();
        let (victim, middle) = (Ring::new(), Arc::new(Ring::new()));
        for count in &counts {
            // SAFETY: this thread is the owner of `victim`.
            unsafe { victim.push(counting(count)) }.unwrap();
        }
        let seen = Arc::clone(&middle);
        let second = thread::spawn(move || {
            let own = Ring::new();
            // SAFETY: this thread is the owner of `own`.
            let stolen = unsafe { seen.steal_into(&own) };
            stolen.into_iter().for_each(run);
        });
        // SAFETY: this thread is the owner of `middle`.
        let stolen = unsafe { victim.steal_into(&middle) };
        stolen.into_iter().for_each(run);
        second.join().unwrap();
        for ring in [&victim, &*middle] {
            while let Some(task) = ring.pop() {
                run(task);
            }
        }
        each_was_run_once(&counts);
    });
}

/// A crew of workers on couches.
struct Model {
    crew: &'static Crew,
    tenancy: u64,
    couches: Vec<Couch>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Model {
    fn start(workers: usize) -> Model {
        Model::start_each(workers, |worker| worker.work())
    }

    /// The same with something else in the place of the workers' loop.
    fn start_each(workers: usize, work: impl Fn(&Worker) + Copy + Send + 'static) -> Model {
        let couches: Vec<Couch> = (0..workers).map(|_| Couch::new()).collect();
        let to_turn = |couch: &Couch| -> Reactor { std::sync::Arc::new(couch.clone()) };
        let (crew, tenancy) = Crew::claim(couches.iter().map(to_turn).collect());
        let threads = couches.iter().enumerate().map(|(index, couch)| {
            let turn = std::sync::Arc::new(couch.clone());
            thread::spawn(move || {
                work(&Worker::new(crew, index, turn));
                crew.leave(index);
            })
        });
        Model {
            crew,
            tenancy,
            threads: threads.collect(),
            couches,
        }
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        self.crew.spawn(self.tenancy, future, Location::caller())
    }

    fn end(self) {
        self.crew.end(self.tenancy, true);
        self.join();
    }

    fn join(self) {
        assert_eq!(self.crew.wait_for_end(self.tenancy, None), 0);
        for thread in self.threads {
            thread.join().unwrap();
        }
        assert!(self.crew.rosters.is_empty());
        assert!(!self.crew.has_tasks());
    }
}

/// The worker falls asleep while a task is injected.
#[test]
fn loom_inject_vs_sleep() {
    model(PREEMPTIONS_MAX, || {
        let model = Model::start(1);
        let task = model.spawn(async { 7 });
        assert_eq!(block_on_with(Couch::new(), task).unwrap(), 7);
        assert!(model.couches[0].notifications() <= 1);
        model.end();
    });
}

/// A task is woken from outside while it goes idle, and its worker falls asleep.
#[test]
fn loom_foreign_wake_vs_sleep() {
    model(FEW_PREEMPTIONS_MAX, || {
        let model = Model::start(1);
        let is_written = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = std::sync::mpsc::channel();
        let task = model.spawn({
            let is_written = Arc::clone(&is_written);
            poll_fn(move |cx| {
                // Relaxed: the wake has to make it visible.
                if is_written.load(Ordering::Relaxed) == 1 {
                    return Poll::Ready(());
                }
                let _ = sender.send(cx.waker().clone());
                Poll::Pending
            })
        });
        let waking = loop {
            match receiver.try_recv() {
                Ok(waker) => break waker,
                Err(_) => thread::yield_now(),
            }
        };
        is_written.store(1, Ordering::Relaxed);
        waking.wake();
        block_on_with(Couch::new(), task).unwrap();
        drop(receiver);
        model.end();
    });
}

/// A worker spawns to itself and waits, while another one searches. (The task ends the runtime itself,
/// because one more loop, outside, would take too long.)
#[test]
fn loom_spawn_vs_steal() {
    model(ONE_PREEMPTION, || {
        let model = Model::start(2);
        let (crew, tenancy) = (model.crew, model.tenancy);
        let task = model.spawn(async move {
            let spawn = |n| crew.spawn(tenancy, async move { n }, Location::caller());
            let (one, two) = (spawn(1), spawn(2));
            let sum = one.await.unwrap() + two.await.unwrap();
            crew.end(tenancy, true);
            assert_eq!(sum, 3);
        });
        drop(task);
        model.join();
    });
}

/// The runtime ends while tasks are queued, running, idle, and being spawned and woken by another
/// thread. Whatever is there ends, and whoever joins is told.
#[test]
fn loom_end_vs_spawn() {
    model(FEW_PREEMPTIONS_MAX, || {
        let model = Model::start(1);
        let (crew, tenancy) = (model.crew, model.tenancy);
        let idle = model.spawn(pending::<()>());
        let spawner = thread::spawn(move || {
            let late = crew.spawn(tenancy, yield_now(), Location::caller());
            idle.abort();
            let joined = block_on_with(Couch::new(), late);
            assert!(joined.is_ok() || joined.unwrap_err().is_cancelled());
            idle
        });
        model.end();
        assert!(spawner.join().unwrap().is_finished());
    });
}

/// A worker is roused while another one turns its reactor in its stead, whom the notification is not
/// meant for.
#[test]
fn loom_rouse_vs_serve() {
    model(FEW_PREEMPTIONS_MAX, || {
        let model = Model::start_each(2, |worker| {
            if worker.index() == 0 {
                worker.work();
            } else {
                worker.serve(0);
                worker.crew().stop_working();
            }
        });
        let task = model.spawn(async { 7 });
        assert_eq!(block_on_with(Couch::new(), task).unwrap(), 7);
        model.end();
    });
}

/// The runtime ends while a thread outside holds a task that it is about to put into the injector. One
/// worker may leave, and one of them has to run it.
#[test]
fn loom_end_vs_inject() {
    model(ONE_PREEMPTION, || {
        let model = Model::start(2);
        let (task, handle) = raw::spawn(async {}, model.crew, Location::caller());
        assert!(model.crew.rosters.insert(&task, model.tenancy));
        model.crew.end(model.tenancy, true);
        model.crew.schedule(task);
        model.join();
        assert!(handle.is_finished());
    });
}

/// The only searcher finds something while more is injected, for which nobody is roused because of
/// him: one of the two rouses the sleeper.
#[test]
fn loom_inject_vs_end_of_search() {
    model(PREEMPTIONS_MAX, || {
        let shared = Arc::new((Idle::default(), AtomicUsize::new(0)));
        shared.0.lie_down(1, false);
        shared.0.begin_search();
        let copy = Arc::clone(&shared);
        let injecting = thread::spawn(move || {
            // Relaxed: the fences have to order it.
            copy.1.store(1, Ordering::Relaxed);
            copy.0.claim()
        });
        let (idle, injected) = &*shared;
        let is_seen = idle.end_search() && injected.load(Ordering::Relaxed) == 1;
        let claimed = if is_seen { idle.claim() } else { None };
        assert_eq!(injecting.join().unwrap().or(claimed), Some(1));
    });
}

/// Two workers get up with something to run, while a third one lies down: he is on duty in the end,
/// whomever they appointed.
#[test]
fn loom_duty_two_get_up_vs_lie_down() {
    model(PREEMPTIONS_MAX, || {
        let post = Arc::new((Idle::default(), Duty::default()));
        post.0.lie_down(0, false);
        post.0.lie_down(1, false);
        let threads = [0, 1].map(|worker| {
            let post = Arc::clone(&post);
            thread::spawn(move || {
                let (idle, duty) = &*post;
                idle.get_up(worker);
                let _ = duty.hand_over(idle, worker);
            })
        });
        let (idle, duty) = &*post;
        idle.lie_down(2, false);
        duty.take_if_needed(idle, 3, 2);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert!(duty.is(2));
    });
}

/// Who is on duty gets up with something to run, while another one lies down.
#[test]
fn loom_duty_get_up_vs_lie_down() {
    model(PREEMPTIONS_MAX, || {
        let post = Arc::new((Idle::default(), Duty::default()));
        post.0.lie_down(0, false);
        assert!(post.1.take_if_needed(&post.0, 2, 0));
        let other = Arc::clone(&post);
        let getting_up = thread::spawn(move || {
            let (idle, duty) = &*other;
            idle.get_up(0);
            let _ = duty.hand_over(idle, 0);
        });
        let (idle, duty) = &*post;
        idle.lie_down(1, false);
        duty.take_if_needed(idle, 2, 1);
        getting_up.join().unwrap();
        assert!(duty.is(1));
    });
}

/// Who is on duty goes off it, because all sleep, while one gets up with something to run.
#[test]
fn loom_duty_get_up_vs_go_off() {
    model(PREEMPTIONS_MAX, || {
        let post = Arc::new((Idle::default(), Duty::default()));
        post.0.lie_down(0, false);
        assert!(post.1.take_if_needed(&post.0, 2, 0));
        post.0.lie_down(1, false);
        let other = Arc::clone(&post);
        let getting_up = thread::spawn(move || {
            let (idle, duty) = &*other;
            idle.get_up(1);
            let _ = duty.hand_over(idle, 1);
        });
        let (idle, duty) = &*post;
        duty.give_back();
        duty.take_if_needed(idle, 2, 0);
        getting_up.join().unwrap();
        assert!(duty.is(0));
    });
}

/// Who looks at another's ring may see an old state of it, but none that never was.
#[test]
fn loom_ring_len() {
    model(PREEMPTIONS_MAX, || {
        let ring = Arc::new(Ring::new());
        let seen = Arc::clone(&ring);
        let looking = thread::spawn(move || assert!(seen.len() <= 1));
        let popping = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || ring.pop().into_iter().for_each(run))
        };
        // SAFETY: this thread is the owner of `ring`.
        unsafe { ring.push(counting(&Arc::default())) }.unwrap();
        looking.join().unwrap();
        popping.join().unwrap();
        ring.pop().into_iter().for_each(run);
    });
}
