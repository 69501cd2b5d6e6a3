//! A poller that replays a list of acts: the stage on which reactor and executor are tested.
//!
//! It keeps a table as the others do, and writes down every call, but its kernel is a list that the
//! test wrote: each `wait` plays the next [`Act`]. Sources are named by the order in which they were
//! added, for their keys are the reactor's secret. A `wait` without a time-out after the last act
//! could never end, so it panics: a deadlock is a failed test and not a hung one. There is no
//! thread, clock or system call in it, and it runs under Miri and loom.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use super::event::{Event, Events, Interest, Key, Readiness, Trigger};
use super::source::Source;
use super::wait::OneWaiter;
use super::{Caps, Poller, check_key};
use crate::sync::{Mutex, lock};

/// Something that a test does.
pub(crate) struct Deed(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deed")
    }
}

/// What happens in one `wait`.
#[derive(Debug)]
pub(crate) enum Act {
    /// These sources (by their order, from 0) become ready.
    Ready(Vec<(usize, Readiness)>),
    /// The kernel answers an error.
    Fail(io::ErrorKind),
    /// The test does something meanwhile, and the wait brings nothing.
    Meanwhile(Deed),
}

impl Act {
    pub(crate) fn meanwhile(deed: impl FnOnce() + Send + 'static) -> Act {
        Act::Meanwhile(Deed(Box::new(deed)))
    }
}

/// A call that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Add(usize, Interest),
    Modify(usize, Interest),
    Rearm(usize, Interest),
    Delete(usize),
    Wait(Option<Duration>),
    Notify,
}

/// The poller. `NEEDS_REARM` says which kind of backend it plays.
#[derive(Debug)]
pub(crate) struct Script<const NEEDS_REARM: bool = false> {
    stage: Mutex<Stage>,
    waiter: OneWaiter<()>,
}

#[derive(Debug, Default)]
struct Stage {
    acts: VecDeque<Act>,
    calls: Vec<Call>,
    /// The keys of all sources there ever were; those that were deleted keep theirs, so that an act
    /// can deliver an event that was on its way.
    keys: Vec<Key>,
    posts: VecDeque<Event>,
    is_notified: bool,
    add_error: Option<io::ErrorKind>,
    rearm_error: Option<io::ErrorKind>,
}

impl<const NEEDS_REARM: bool> Script<NEEDS_REARM> {
    /// Adds an act at the end.
    pub(crate) fn then(&self, act: Act) {
        lock(&self.stage).acts.push_back(act);
    }

    /// Makes the next `add` fail.
    pub(crate) fn fail_next_add(&self, kind: io::ErrorKind) {
        lock(&self.stage).add_error = Some(kind);
    }

    /// Makes the next `rearm` fail.
    pub(crate) fn fail_next_rearm(&self, kind: io::ErrorKind) {
        lock(&self.stage).rearm_error = Some(kind);
    }

    /// The calls since this was last asked.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.stage).calls)
    }
}

impl<const NEEDS_REARM: bool> Poller for Script<NEEDS_REARM> {
    const CAPS: Caps = Caps {
        needs_rearm: NEEDS_REARM,
        short_read_proves_empty: !NEEDS_REARM,
        timeout_resolution: Duration::from_nanos(1),
        processes: true,
        signals: true,
        priority: true,
    };

    type Ticket = usize;

    fn new() -> io::Result<Self> {
        Ok(Script {
            stage: Mutex::new(Stage::default()),
            waiter: OneWaiter::new(()),
        })
    }

    unsafe fn add(
        &self,
        _source: Source<'_>,
        key: Key,
        interest: Interest,
        _trigger: Trigger,
    ) -> io::Result<usize> {
        check_key(key)?;
        let mut stage = lock(&self.stage);
        if let Some(kind) = stage.add_error.take() {
            return Err(kind.into());
        }
        let order = stage.keys.len();
        stage.keys.push(key);
        stage.calls.push(Call::Add(order, interest));
        Ok(order)
    }

    fn modify(
        &self,
        ticket: &usize,
        _source: Source<'_>,
        key: Key,
        interest: Interest,
        _trigger: Trigger,
    ) -> io::Result<()> {
        check_key(key)?;
        let mut stage = lock(&self.stage);
        stage.keys[*ticket] = key;
        stage.calls.push(Call::Modify(*ticket, interest));
        Ok(())
    }

    fn rearm(&self, ticket: &usize, directions: Interest) -> io::Result<()> {
        let mut stage = lock(&self.stage);
        stage.calls.push(Call::Rearm(*ticket, directions));
        stage
            .rearm_error
            .take()
            .map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn delete(&self, ticket: usize, _source: Source<'_>) -> io::Result<()> {
        lock(&self.stage).calls.push(Call::Delete(ticket));
        Ok(())
    }

    fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let _waiter = self.waiter.enter()?;
        events.clear();
        let mut stage = lock(&self.stage);
        stage.calls.push(Call::Wait(timeout));
        while events.room() > 0 {
            let Some(event) = stage.posts.pop_front() else {
                break;
            };
            events.push(event);
        }
        let is_notified = std::mem::take(&mut stage.is_notified);
        match stage.acts.pop_front() {
            Some(Act::Ready(list)) => {
                for (order, readiness) in list {
                    events.push(Event::new(stage.keys[order], readiness.complete()));
                }
            }
            Some(Act::Fail(kind)) => return Err(kind.into()),
            Some(Act::Meanwhile(deed)) => {
                drop(stage);
                (deed.0)();
            }
            // The time-out passes, or the notification has ended the wait.
            None => assert!(
                is_notified || !events.is_empty() || timeout.is_some(),
                "the script is over, and this wait would never end"
            ),
        }
        Ok(())
    }

    fn notify(&self) -> io::Result<()> {
        let mut stage = lock(&self.stage);
        stage.is_notified = true;
        stage.calls.push(Call::Notify);
        Ok(())
    }

    fn post(&self, event: Event) -> io::Result<()> {
        check_key(event.key)?;
        lock(&self.stage).posts.push_back(event);
        self.notify()
    }
}
