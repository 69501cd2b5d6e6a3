//! Models for loom: one who waits, on the real slot and reactor, against events, another waiter, the
//! end of the reactor's service and the end of the slot.
//!
//! `RUSTFLAGS="--cfg ekio_loom" cargo test --lib --release loom`
//!
//! A lost wake is a deadlock, which loom reports.

use std::task::{Wake, Waker};

use loom::sync::Condvar;
use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::*;
use crate::poller::script::{Act, Call, Script};

/// How often a thread is interrupted where it would not have to wait; see the models of `task`.
const PREEMPTIONS_MAX: usize = 3;

/// The same for three threads.
const FEW_PREEMPTIONS_MAX: usize = 2;

/// The timers of a reactor do not fit into what loom's threads have by themselves.
const STACK_LEN: usize = 1 << 15;

fn model(preemptions_max: usize, threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions_max);
    let threads = std::sync::Arc::new(threads);
    builder.check(move || {
        let threads = std::sync::Arc::clone(&threads);
        spawn(move || threads()).join().unwrap();
    });
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let thread = thread::Builder::new().stack_size(STACK_LEN);
    thread.spawn(work).unwrap()
}

/// No poller of these models looks at its source.
const SOURCE: Source<'_> = Source::Signal(1);

type Stage<const NEEDS_REARM: bool> = Arc<Reactor<Script<NEEDS_REARM>>>;

fn stage<const NEEDS_REARM: bool>() -> Stage<NEEDS_REARM> {
    let reactor = Reactor::with_poller(Script::new().unwrap());
    reactor.take_charge();
    reactor
}

/// What has ended a wait, for a thread to sleep until it comes.
#[derive(Default)]
struct Bell {
    is_rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    fn new() -> (std::sync::Arc<Bell>, Waker) {
        let bell = std::sync::Arc::new(Bell::default());
        (std::sync::Arc::clone(&bell), bell.into())
    }

    fn wait(&self) {
        let mut is_rung = lock(&self.is_rung);
        while !*is_rung {
            is_rung = self.changed.wait(is_rung).unwrap();
        }
        *is_rung = false;
    }

    fn is_rung(&self) -> bool {
        *lock(&self.is_rung)
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Bell>) {
        *lock(&self.is_rung) = true;
        self.changed.notify_one();
    }
}

/// A source whose would-blocks the model plays: it is empty until it is filled.
struct Scene<const NEEDS_REARM: bool> {
    reactor: Stage<NEEDS_REARM>,
    slot: Arc<Slot<Script<NEEDS_REARM>>>,
    is_full: Mutex<bool>,
    /// Written before the source is filled.
    written: AtomicUsize,
}

impl<const NEEDS_REARM: bool> Scene<NEEDS_REARM> {
    /// The slot is linked to the reactor already.
    fn new() -> Arc<Scene<NEEDS_REARM>> {
        let scene = Arc::new(Scene {
            reactor: stage(),
            slot: Slot::new(Interest::BOTH, Readiness::NONE),
            is_full: Mutex::new(false),
            written: AtomicUsize::new(0),
        });
        let polled = scene.poll(&mut Who::newcomer(), Waker::noop());
        assert!(polled.is_pending());
        scene
    }

    fn poll(&self, who: &mut Who, waker: &Waker) -> Poll<Ready> {
        let mut cx = Context::from_waker(waker);
        let context = || Ok(Arc::clone(&self.reactor));
        Slot::poll_ready(&self.slot, &mut cx, who, Direction::Read, SOURCE, context)
            .map(|ready| ready.unwrap())
    }

    /// An event comes, and who turns the reactor delivers it.
    fn fire(&self) {
        let readable = Act::Ready(vec![(0, Readiness::READABLE)]);
        self.reactor.poller().then(readable);
        self.reactor.turn(Some(std::time::Duration::ZERO)).unwrap();
    }

    fn fill(&self) {
        *lock(&self.is_full) = true;
        self.fire();
    }

    /// Waits until there is something to read, as a leaf future does.
    fn read(&self, mut who: Who) {
        let (bell, waker) = Bell::new();
        loop {
            match self.poll(&mut who, &waker) {
                Poll::Pending => bell.wait(),
                Poll::Ready(ready) => {
                    if *lock(&self.is_full) {
                        return;
                    }
                    self.slot.clear_ready(ready);
                }
            }
        }
    }

    fn leave(&self) {
        self.slot.deregister(SOURCE, Fate::StaysOpen).unwrap();
    }
}

/// One waits while an event comes. What was written before is seen after the wait.
#[test]
fn loom_slot_wait_vs_fire() {
    model(PREEMPTIONS_MAX, || {
        let scene = Scene::<false>::new();
        let copy = Arc::clone(&scene);
        let waiting = spawn(move || {
            let (bell, waker) = Bell::new();
            while copy.poll(&mut Who::latest(), &waker).is_pending() {
                bell.wait();
            }
            // Relaxed: the slot has to make it visible.
            assert_eq!(copy.written.load(Ordering::Relaxed), 1);
        });
        scene.written.store(1, Ordering::Relaxed);
        scene.fire();
        waiting.join().unwrap();
        scene.leave();
    });
}

/// What the firer's thread wrote is seen by who finds the bits without the lock.
#[test]
fn loom_slot_look_vs_fire() {
    model(PREEMPTIONS_MAX, || {
        let scene = Scene::<false>::new();
        let copy = Arc::clone(&scene);
        let looking = spawn(move || {
            if copy.slot.is_ready(Direction::Read).is_some() {
                assert_eq!(copy.written.load(Ordering::Relaxed), 1);
            }
        });
        scene.written.store(1, Ordering::Relaxed);
        scene.slot.fire(Readiness::READABLE, &mut WakerBatch::new());
        looking.join().unwrap();
        scene.leave();
    });
}

/// One meets would-block, after an event that promised too much, while the next event comes.
fn clear_vs_fire<const NEEDS_REARM: bool>() {
    model(PREEMPTIONS_MAX, || {
        let scene = Scene::<NEEDS_REARM>::new();
        scene.fire();
        let copy = Arc::clone(&scene);
        let reading = spawn(move || copy.read(Who::latest()));
        scene.fill();
        reading.join().unwrap();
        scene.leave();
    });
}

#[test]
fn loom_slot_clear_vs_fire() {
    clear_vs_fire::<false>();
}

#[test]
fn loom_slot_clear_vs_fire_with_rearm() {
    clear_vs_fire::<true>();
}

/// Where events have to be asked for: who waits has asked, even if the last event was being delivered
/// meanwhile; or he is woken, and will ask.
#[test]
fn loom_slot_arm_vs_fire() {
    model(PREEMPTIONS_MAX, || {
        let scene = Scene::<true>::new();
        let copy = Arc::clone(&scene);
        let waiting = spawn(move || {
            let (bell, waker) = Bell::new();
            if let Poll::Ready(ready) = copy.poll(&mut Who::latest(), &waker) {
                copy.slot.clear_ready(ready);
                if copy.poll(&mut Who::latest(), &waker).is_ready() {
                    return None;
                }
            }
            Some(bell)
        });
        scene.fire();
        if let Some(bell) = waiting.join().unwrap() {
            let calls = scene.reactor.poller().take_calls();
            assert!(bell.is_rung() || calls.contains(&Call::Rearm(0, Interest::READABLE)));
        }
        scene.leave();
    });
}

/// The latest waker and one of the crowd wait for the same event, and both read.
#[test]
fn loom_slot_two_wait_vs_fire() {
    model(FEW_PREEMPTIONS_MAX, || {
        let scene = Scene::<false>::new();
        let reading = [Who::latest(), Who::newcomer()].map(|who| {
            let copy = Arc::clone(&scene);
            spawn(move || copy.read(who))
        });
        scene.fill();
        reading
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        scene.leave();
    });
}

/// The last drivers of two reactors leave, one after the other, while one begins to wait: he is woken,
/// or waits with the third.
fn wait_vs_release(is_linked: bool, leave: fn(&Reactor<Script>)) {
    model(PREEMPTIONS_MAX, move || {
        let reactors = [(); 3].map(|()| stage::<false>());
        let slot = Slot::new(Interest::BOTH, Readiness::NONE);
        let poll = {
            let (slot, reactors) = (slot.clone(), reactors.clone());
            move |who: &mut Who, waker: &Waker| {
                let mut cx = Context::from_waker(waker);
                let context = || {
                    let driven = reactors.iter().find(|reactor| reactor.is_driven());
                    Ok(Arc::clone(driven.unwrap()))
                };
                Slot::poll_ready(&slot, &mut cx, who, Direction::Read, SOURCE, context)
            }
        };
        if is_linked {
            assert!(poll(&mut Who::newcomer(), Waker::noop()).is_pending());
        }
        let waiting = spawn(move || {
            let (bell, waker) = Bell::new();
            assert!(poll(&mut Who::latest(), &waker).is_pending());
            bell
        });
        leave(&reactors[0]);
        leave(&reactors[1]);
        let bell = waiting.join().unwrap();
        assert!(bell.is_rung() || lock(&slot.waiting).is_linked_to_driven());
        slot.deregister(SOURCE, Fate::StaysOpen).unwrap();
        assert!(bell.is_rung());
    });
}

#[test]
fn loom_slot_link_vs_release() {
    wait_vs_release(false, Reactor::release);
}

#[test]
fn loom_slot_wait_vs_release() {
    wait_vs_release(true, Reactor::release);
}

/// The same, where they do not leave, and nobody counts on them any more.
#[test]
fn loom_slot_wait_vs_disown() {
    wait_vs_release(true, Reactor::disown);
}

/// A slot moves to another reactor while the former one has an event for it. (Who fires has the table's
/// lock, and comes for the slot's.)
#[test]
fn loom_slot_move_vs_fire() {
    model(PREEMPTIONS_MAX, || {
        let scene = Scene::<false>::new();
        scene.reactor.release();
        let new = stage::<false>();
        let copy = Arc::clone(&scene);
        let moving = spawn(move || {
            let (bell, waker) = Bell::new();
            let mut cx = Context::from_waker(&waker);
            let context = || Ok(Arc::clone(&new));
            let mut who = Who::latest();
            let direction = Direction::Read;
            let waits = Slot::poll_ready(&copy.slot, &mut cx, &mut who, direction, SOURCE, context)
                .is_pending();
            waits.then_some(bell)
        });
        scene.fire();
        if let Some(bell) = moving.join().unwrap() {
            assert!(lock(&scene.slot.waiting).is_linked_to_driven());
            let is_ready = scene.slot.is_ready(Direction::Read).is_some();
            assert_eq!(bell.is_rung(), is_ready);
        }
        scene.leave();
    });
}

/// A slot leaves while an event for it comes, and one of the crowd forgets it.
#[test]
fn loom_slot_deregister_vs_fire_vs_forget() {
    model(FEW_PREEMPTIONS_MAX, || {
        let scene = Scene::<false>::new();
        let (bell, waker) = Bell::new();
        let mut who = Who::newcomer();
        assert!(scene.poll(&mut who, &waker).is_pending());
        assert!(scene.poll(&mut Who::latest(), &waker).is_pending());
        drop(waker);
        let forgetting = {
            let scene = Arc::clone(&scene);
            spawn(move || scene.slot.forget(who))
        };
        let firing = {
            let scene = Arc::clone(&scene);
            spawn(move || scene.fire())
        };
        scene.leave();
        forgetting.join().unwrap();
        firing.join().unwrap();
        assert!(bell.is_rung());
        assert_eq!(std::sync::Arc::strong_count(&bell), 1);
    });
}
