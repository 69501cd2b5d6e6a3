//! The loop of `block_on` on a reactor whose poller plays a script: what it runs, in which order,
//! and when it asks the kernel.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::executor::spawn_local;
use crate::poller::script::{Act, Call, Script};
use crate::poller::{Interest, Poller, Readiness, Source};
use crate::reactor::{Direction, Reactor, TestFate as Fate, TestSlot as Slot, TestWho as Who};
use crate::sync::Arc;
use crate::task::yield_now;

type Stage = Arc<Reactor<Script>>;

const SOURCE: Source<'_> = Source::Signal(1);

impl Turn for Stage {
    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        Reactor::turn(self, limit)
    }

    fn notify(&self) {
        Reactor::notify(self).unwrap();
    }

    fn is_notified(&self) -> bool {
        Reactor::is_notified(self)
    }

    fn take_notification(&self) -> bool {
        Reactor::take_notification(self)
    }

    fn disown(&self) {
        Reactor::disown(self);
    }
}

fn stage() -> Stage {
    let reactor = Reactor::with_poller(Script::new().unwrap());
    reactor.take_charge();
    reactor
}

/// Waits until the next source of the script is ready, and takes it off the stage.
async fn readable(reactor: &Stage) {
    let slot = Slot::new(Interest::BOTH, Readiness::NONE);
    std::future::poll_fn(|cx| {
        let context = || Ok(Arc::clone(reactor));
        Slot::poll_ready(
            &slot,
            cx,
            &mut Who::latest(),
            Direction::Read,
            SOURCE,
            context,
        )
    })
    .await
    .unwrap();
    slot.deregister(SOURCE, Fate::StaysOpen).unwrap();
}

fn ready(order: usize) -> Act {
    Act::Ready(vec![(order, Readiness::READABLE)])
}

fn waits(reactor: &Stage) -> Vec<Option<Duration>> {
    let calls = reactor.poller().take_calls();
    let waits = calls.iter().filter_map(|call| match call {
        Call::Wait(limit) => Some(*limit),
        _ => None,
    });
    waits.collect()
}

#[test]
fn an_idle_loop_waits_once_for_each_event_and_has_no_limit() {
    let reactor = stage();
    reactor.poller().then(ready(0));
    reactor.poller().then(ready(1));
    block_on_with(Arc::clone(&reactor), async {
        readable(&reactor).await;
        readable(&reactor).await;
    });
    assert_eq!(waits(&reactor), [None, None]);
}

#[test]
fn a_loop_with_work_looks_at_the_kernel_every_so_many_runs() {
    let reactor = stage();
    let runs = 3 * RUNS_PER_TURN;
    block_on_with(Arc::clone(&reactor), async {
        for _ in 0..runs {
            yield_now().await;
        }
    });
    assert_eq!(waits(&reactor), [Some(Duration::ZERO); 3]);
}

#[test]
fn a17_an_event_is_served_while_a_task_is_always_ready() {
    let reactor = stage();
    reactor.poller().then(ready(0));
    block_on_with(Arc::clone(&reactor), async {
        spawn_local(async {
            loop {
                yield_now().await;
            }
        });
        readable(&reactor).await;
    });
    assert_eq!(waits(&reactor), [Some(Duration::ZERO)]);
}

#[test]
fn events_of_one_turn_wake_in_their_order() {
    let reactor = stage();
    let both = vec![(1, Readiness::READABLE), (0, Readiness::READABLE)];
    reactor.poller().then(Act::Ready(both));
    let log = Rc::new(RefCell::new(Vec::new()));
    block_on_with(Arc::clone(&reactor), async {
        let tasks = [0, 1].map(|number| {
            let (reactor, log) = (Arc::clone(&reactor), Rc::clone(&log));
            spawn_local(async move {
                readable(&reactor).await;
                log.borrow_mut().push(number);
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert_eq!(*log.borrow(), [1, 0]);
    assert_eq!(waits(&reactor), [None]);
}

/// A wake that nobody will ever send is a wait that never ends, which the script does not allow.
#[test]
fn a_deadlock_is_seen_and_a_failed_queue_is_told() {
    let reactor = stage();
    let forever = || block_on_with(Arc::clone(&reactor), std::future::pending::<()>());
    let deadlock = catch_unwind(AssertUnwindSafe(forever)).unwrap_err();
    let text = *deadlock.downcast_ref::<&str>().unwrap();
    assert!(text.contains("never end"), "{text}");

    reactor.poller().then(Act::Fail(io::ErrorKind::OutOfMemory));
    let failed = catch_unwind(AssertUnwindSafe(forever)).unwrap_err();
    let text = failed.downcast_ref::<String>().unwrap();
    assert!(text.contains("event queue failed"), "{text}");
}
