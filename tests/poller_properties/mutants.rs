//! Pollers that are broken on purpose.
//!
//! Each wraps a real one and adds one fault. The property test must catch each of them, and must
//! not catch the wrapper without a fault; else it proves nothing.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::time::Duration;

use ekio::poller::{Caps, Event, Events, Interest, Key, Poller, Readiness, Source, Trigger};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::ALL_TRIGGERS;
use crate::driver::{play, scripts};
use crate::support::HANG;

/// What a mutant does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// Every seventh event is lost.
    LosesEvents,
    /// Reports under the key of another source.
    MixesUpKeys,
    /// Goes on with the key that a source had before `modify`.
    KeepsOldKeys,
    /// Reports once more of a source that was deleted.
    ReportsTheDeleted,
    /// After an edge was reported, it takes `modify` to hear of the next.
    GoesDeaf,
    /// `modify` does not tell anew what holds.
    ForgetsWhatHolds,
    /// A one-shot event comes twice.
    RepeatsOneShots,
    /// An edge is told again at every wait.
    RepeatsEdges,
    /// What holds is told once only, where it is to be told at every wait.
    TellsLevelsOnce,
    /// Says of every stream that it has ended.
    CriesWolf,
    /// Tells of directions that nobody asked for.
    TellsTooMuch,
    /// Tells of a terminal condition, but not in which direction to find out.
    HidesTheDirection,
    /// An interest of nothing is taken for an interest in everything.
    BreaksSilence,
    /// A post comes twice.
    DoublesPosts,
    /// A post loses what it carries.
    EmptiesPosts,
}

const FAULTS: [Fault; 15] = [
    Fault::LosesEvents,
    Fault::MixesUpKeys,
    Fault::KeepsOldKeys,
    Fault::ReportsTheDeleted,
    Fault::GoesDeaf,
    Fault::ForgetsWhatHolds,
    Fault::RepeatsOneShots,
    Fault::RepeatsEdges,
    Fault::TellsLevelsOnce,
    Fault::CriesWolf,
    Fault::TellsTooMuch,
    Fault::HidesTheDirection,
    Fault::BreaksSilence,
    Fault::DoublesPosts,
    Fault::EmptiesPosts,
];

thread_local! {
    /// The fault of the mutants that this thread makes: `Poller::new` takes no arguments.
    static FAULT: Cell<Fault> = const { Cell::new(Fault::None) };
}

/// A poller with a fault.
struct Mutant<P> {
    sound: P,
    fault: Fault,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// How many events there were.
    count: u64,
    /// The trigger under which each key is watched, and whether it was reported already.
    watched: BTreeMap<Key, (Trigger, bool)>,
    /// What is to be said in addition, at the next wait and, if so marked, at each later one.
    extra: Vec<(Event, bool)>,
}

struct Ticket<T> {
    sound: T,
    key: Mutex<Key>,
}

impl<P: Poller> Poller for Mutant<P> {
    const CAPS: Caps = P::CAPS;
    type Ticket = Ticket<P::Ticket>;

    fn new() -> io::Result<Self> {
        Ok(Mutant {
            sound: P::new()?,
            fault: FAULT.get(),
            notes: Mutex::default(),
        })
    }

    unsafe fn add(
        &self,
        source: Source<'_>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<Self::Ticket> {
        // SAFETY: the same is asked of our caller.
        let sound = unsafe { self.sound.add(source, key, self.twist(interest), trigger)? };
        self.notes
            .lock()
            .unwrap()
            .watched
            .insert(key, (trigger, false));
        Ok(Ticket {
            sound,
            key: Mutex::new(key),
        })
    }

    fn modify(
        &self,
        ticket: &Self::Ticket,
        source: Source<'_>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        let mut old_key = ticket.key.lock().unwrap();
        let kernel_key = if self.fault == Fault::KeepsOldKeys {
            *old_key
        } else {
            key
        };
        self.sound.modify(
            &ticket.sound,
            source,
            kernel_key,
            self.twist(interest),
            trigger,
        )?;
        let mut notes = self.notes.lock().unwrap();
        let was_reported = notes.watched.remove(&old_key).is_some_and(|(_, is)| is);
        let is_deaf = was_reported && self.fault == Fault::ForgetsWhatHolds;
        notes.watched.insert(key, (trigger, is_deaf));
        notes.extra.retain(|(event, _)| event.key != *old_key);
        *old_key = key;
        Ok(())
    }

    fn rearm(&self, ticket: &Self::Ticket, directions: Interest) -> io::Result<()> {
        self.sound.rearm(&ticket.sound, directions)
    }

    fn delete(&self, ticket: Self::Ticket, source: Source<'_>) -> io::Result<()> {
        self.sound.delete(ticket.sound, source)?;
        let key = ticket.key.into_inner().unwrap();
        let mut notes = self.notes.lock().unwrap();
        notes.watched.remove(&key);
        notes.extra.retain(|(event, _)| event.key != key);
        if self.fault == Fault::ReportsTheDeleted {
            notes
                .extra
                .push((Event::new(key, Readiness::READABLE), false));
        }
        Ok(())
    }

    fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.sound.wait(events, timeout)?;
        let mut notes = self.notes.lock().unwrap();
        let extra: Vec<Event> = notes.extra.iter().map(|(event, _)| *event).collect();
        notes.extra.retain(|(_, is_forever)| *is_forever);
        let told: Vec<Event> = events.iter().copied().collect();
        let told = told
            .into_iter()
            .filter_map(|event| notes.spoil(self.fault, event));
        let told: Vec<Event> = told.chain(extra).collect();
        events.clear();
        for event in told.into_iter().take(events.capacity()) {
            events.push(event);
        }
        Ok(())
    }

    fn notify(&self) -> io::Result<()> {
        self.sound.notify()
    }

    fn post(&self, event: Event) -> io::Result<()> {
        if self.fault == Fault::DoublesPosts {
            self.sound.post(event)?;
        }
        let payload = if self.fault == Fault::EmptiesPosts {
            0
        } else {
            event.payload
        };
        self.sound.post(Event { payload, ..event })
    }
}

impl<P> Mutant<P> {
    fn twist(&self, interest: Interest) -> Interest {
        if self.fault == Fault::BreaksSilence && interest.is_empty() {
            return Interest::BOTH;
        }
        interest
    }
}

impl Notes {
    /// What the mutant makes of an event.
    fn spoil(&mut self, fault: Fault, mut event: Event) -> Option<Event> {
        let Some((trigger, was_reported)) = self.watched.get_mut(&event.key) else {
            return Some(event);
        };
        self.count += 1;
        let (trigger, was_reported) = (*trigger, std::mem::replace(was_reported, true));
        match fault {
            Fault::LosesEvents if self.count % 7 == 0 => return None,
            Fault::GoesDeaf if trigger == Trigger::Edge && was_reported => return None,
            Fault::ForgetsWhatHolds if was_reported => return None,
            Fault::TellsLevelsOnce if trigger == Trigger::Level && was_reported => return None,
            Fault::MixesUpKeys => {
                let mut others = self.watched.keys().copied();
                event.key = others.next().unwrap_or(event.key);
            }
            Fault::RepeatsOneShots if trigger == Trigger::OneShot => {
                self.extra.push((event, false));
            }
            Fault::RepeatsEdges if trigger == Trigger::Edge && !was_reported => {
                self.extra.push((event, true));
            }
            Fault::CriesWolf => {
                event.readiness |= Readiness::READ_CLOSED | Readiness::READABLE;
            }
            Fault::TellsTooMuch => event.readiness |= Readiness::READABLE | Readiness::WRITABLE,
            Fault::HidesTheDirection if event.readiness.intersects(Readiness::TERMINAL) => {
                event.readiness = event.readiness.intersection(Readiness::TERMINAL);
            }
            _ => {}
        }
        Some(event)
    }
}

/// Every fault is found in a few hundred scripts, always the same ones.
pub fn are_caught<P: Poller>() {
    if let Some(reason) = catch::<P>(Fault::None, HANG) {
        panic!("caught without a fault: {reason}");
    }
    for fault in FAULTS {
        // What is lost will not come for being waited for.
        let reason = catch::<P>(fault, Duration::from_millis(100));
        let reason = reason.unwrap_or_else(|| panic!("{fault:?} was not caught"));
        println!("{fault:?}: {reason}");
    }
}

/// Plays scripts on mutants until one breaks the contract, and says how.
fn catch<P: Poller>(fault: Fault, patience: Duration) -> Option<String> {
    FAULT.set(fault);
    let config = Config {
        cases: 100,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let outcome = runner.run(&scripts(&ALL_TRIGGERS), |script| {
        play::<Mutant<P>>(&script, patience)
            .map_err(|breach| TestCaseError::fail(breach.to_string()))
    });
    match outcome {
        Ok(()) => None,
        Err(TestError::Fail(reason, _)) => Some(reason.message().to_owned()),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}
