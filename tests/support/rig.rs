//! A poller on the test bench.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ekio::poller::{Event, Events, Interest, Key, Poller, Readiness, Source, Trigger};

use super::watchdog::{Watchdog, this_test};
use super::{HANG, QUIET};

/// A poller, its list of events, and a memory of what came under each key.
pub struct Rig<P: Poller> {
    pub poller: Arc<P>,
    events: Events,
    seen: BTreeMap<u64, Readiness>,
    test: String,
}

impl<P: Poller> Rig<P> {
    pub fn new() -> Rig<P> {
        Rig::with_room_for(64)
    }

    pub fn with_room_for(count: usize) -> Rig<P> {
        Rig {
            poller: Arc::new(P::new().unwrap()),
            events: Events::with_capacity(count),
            seen: BTreeMap::new(),
            test: this_test(),
        }
    }

    pub fn add(
        &self,
        source: Source<'_>,
        key: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> P::Ticket {
        self.try_add(source, key, interest, trigger).unwrap()
    }

    pub fn try_add(
        &self,
        source: Source<'_>,
        key: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<P::Ticket> {
        // SAFETY: a breach of "delete before close" mixes up events and nothing else; the tests
        // keep to it, or the breach is what they are about.
        unsafe { self.poller.add(source, Key(key), interest, trigger) }
    }

    pub fn modify(
        &self,
        ticket: &P::Ticket,
        source: Source<'_>,
        key: u64,
        interest: Interest,
        trigger: Trigger,
    ) {
        self.poller
            .modify(ticket, source, Key(key), interest, trigger)
            .unwrap();
    }

    pub fn rearm(&self, ticket: &P::Ticket, directions: Interest) {
        self.poller.rearm(ticket, directions).unwrap();
    }

    pub fn delete(&self, ticket: P::Ticket, source: Source<'_>) {
        self.poller.delete(ticket, source).unwrap();
    }

    pub fn abandon(&self, ticket: P::Ticket, source: Source<'_>) {
        self.poller.abandon(ticket, source).unwrap();
    }

    /// Asks for the next event, in the way of the trigger. The owner met would-block in
    /// `directions`.
    pub fn ask_again(
        &self,
        ticket: &P::Ticket,
        source: Source<'_>,
        (key, interest, trigger): (u64, Interest, Trigger),
        directions: Interest,
    ) {
        match trigger {
            Trigger::Level => {}
            Trigger::Edge => self.rearm(ticket, directions),
            Trigger::OneShot => self.modify(ticket, source, key, interest, trigger),
        }
    }

    /// One wait, and what it brought. It is patient with another thread that is in its way.
    pub fn wait(&mut self, timeout: impl Into<Option<Duration>>) -> Vec<Event> {
        let _watchdog = Watchdog::start_for(&self.test);
        let timeout = timeout.into();
        loop {
            match self.poller.wait(&mut self.events, timeout) {
                Ok(()) => return self.events.iter().copied().collect(),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::ResourceBusy),
            }
            std::thread::yield_now();
        }
    }

    fn wait_and_remember(&mut self, timeout: Duration) {
        for event in self.wait(timeout) {
            assert!(
                event.readiness == event.readiness.complete(),
                "a terminal bit without its direction: {event:?}"
            );
            *self.seen.entry(event.key.0).or_default() |= event.readiness;
        }
    }

    /// Waits until everything of `readiness` was reported under `key` (since the last time that
    /// this was asked), and says what was.
    pub fn expect(&mut self, key: u64, readiness: Readiness) -> Readiness {
        self.expect_until(key, readiness, HANG, || ())
    }

    /// The same, while `work` is done again and again.
    pub fn expect_while<T>(
        &mut self,
        key: u64,
        readiness: Readiness,
        work: impl FnMut() -> T,
    ) -> Readiness {
        self.expect_until(key, readiness, QUIET, work)
    }

    fn expect_until<T>(
        &mut self,
        key: u64,
        readiness: Readiness,
        patience: Duration,
        mut work: impl FnMut() -> T,
    ) -> Readiness {
        let deadline = Instant::now() + HANG;
        loop {
            work();
            let seen = self.seen.get(&key).copied().unwrap_or_default();
            if seen.contains(readiness) && !seen.is_empty() {
                self.seen.remove(&key);
                return seen;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{readiness:?} did not come for key {key}, but {:?}",
                self.seen
            );
            self.wait_and_remember(left.min(patience));
        }
    }

    /// Waits until everything of `readiness` was reported, where a one-shot source must be asked
    /// again after each event that said something else.
    pub fn expect_or_ask(
        &mut self,
        ticket: &P::Ticket,
        source: Source<'_>,
        (key, interest, trigger): (u64, Interest, Trigger),
        readiness: Readiness,
    ) -> Readiness {
        if trigger != Trigger::OneShot {
            return self.expect(key, readiness);
        }
        let mut seen = self.expect_any(key);
        while !seen.contains(readiness) {
            self.modify(ticket, source, key, interest, trigger);
            seen |= self.expect_any(key);
        }
        seen
    }

    /// Waits until anything was reported under `key`, and says what.
    pub fn expect_any(&mut self, key: u64) -> Readiness {
        self.expect(key, Readiness::NONE)
    }

    /// Makes sure that nothing comes for a while, whatever the key, that the wait is not cut short,
    /// and that the processor idles.
    pub fn expect_silence(&mut self) {
        assert!(self.seen.is_empty(), "came before: {:?}", self.seen);
        let (start, worked_before) = (Instant::now(), processor_time());
        let events = self.wait(QUIET);
        let (elapsed, worked) = (start.elapsed(), processor_time() - worked_before);
        assert_eq!(events, [], "silence was expected");
        assert!(elapsed >= QUIET, "the wait was cut short");
        assert!(worked < elapsed / 2, "{worked:?} of work in {elapsed:?}");
    }

    /// Makes sure that nothing comes under `key` for a while.
    pub fn expect_nothing_of(&mut self, key: u64) {
        let deadline = Instant::now() + QUIET;
        loop {
            let seen = self.seen.get(&key);
            assert_eq!(seen, None, "nothing was expected under key {key}");
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.wait_and_remember(left);
        }
    }

    /// Takes in what there is, without sleeping.
    pub fn settle(&mut self) {
        self.wait_and_remember(Duration::ZERO);
    }

    /// Forgets what came so far.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// What came under `key` since it was last asked for, without waiting.
    pub fn take_seen(&mut self, key: u64) -> Readiness {
        self.seen.remove(&key).unwrap_or_default()
    }
}

/// How long this thread has kept a processor busy.
#[cfg(all(unix, not(miri)))]
fn processor_time() -> Duration {
    super::unix::processor_time()
}

/// Not known here. (Miri has no clock of a thread.)
#[cfg(any(not(unix), miri))]
fn processor_time() -> Duration {
    Duration::ZERO
}
