//! Does to a real poller and to the oracle the same, and compares.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use ekio::poller::{Event, Events, Interest, Key, Poller, Readiness, Source, Trigger};
use proptest::prelude::*;

use crate::support::net::{self, tcp_pair};
use crate::support::oracle::{Breach, Oracle};
use crate::support::watchdog::Watchdog;

/// How many connections there are.
pub const PAIRS: usize = 3;

/// One thing to do. What makes no sense at its moment (a read from a closed end) is passed over.
#[derive(Clone, Debug)]
pub enum Step {
    Add(usize, Interest, Trigger),
    Modify(usize, Interest, Trigger),
    Rearm(usize, Interest),
    Delete(usize),
    Write(usize, usize),
    Read(usize, usize),
    /// Reads until would-block, and re-arms.
    Drain(usize),
    /// Writes until would-block, and re-arms.
    Fill(usize),
    HalfClose(usize),
    Close(usize),
    Reset(usize),
    /// A new connection where both ends are closed.
    Reopen(usize),
    Notify,
    Post(u64),
    /// One wait that does not sleep.
    Wait,
    /// Waits until everything that is owed has come.
    Settle,
}

/// A sequence of steps, and how many events the list holds.
#[derive(Clone, Debug)]
pub struct Script {
    pub room: usize,
    pub steps: Vec<Step>,
}

/// Scripts that use the given triggers.
pub fn scripts(triggers: &'static [Trigger]) -> impl Strategy<Value = Script> {
    let steps = prop::collection::vec(step(triggers), 1..60);
    let room = prop::sample::select(&[1, 2, 16][..]);
    (room, steps).prop_map(|(room, steps)| Script { room, steps })
}

fn step(triggers: &'static [Trigger]) -> impl Strategy<Value = Step> {
    let end = || 0..2 * PAIRS;
    let interests = [
        Interest::NONE,
        Interest::READABLE,
        Interest::WRITABLE,
        Interest::BOTH,
    ];
    let interest = move || prop::sample::select(interests.to_vec());
    let trigger = move || prop::sample::select(triggers);
    prop_oneof![
        8 => (end(), interest(), trigger()).prop_map(|(end, i, t)| Step::Add(end, i, t)),
        6 => (end(), interest(), trigger()).prop_map(|(end, i, t)| Step::Modify(end, i, t)),
        2 => (end(), interest()).prop_map(|(end, i)| Step::Rearm(end, i)),
        2 => end().prop_map(Step::Delete),
        10 => (end(), 1..3_000_usize).prop_map(|(end, count)| Step::Write(end, count)),
        6 => (end(), 1..3_000_usize).prop_map(|(end, count)| Step::Read(end, count)),
        10 => end().prop_map(Step::Drain),
        2 => end().prop_map(Step::Fill),
        2 => end().prop_map(Step::HalfClose),
        1 => end().prop_map(Step::Close),
        1 => end().prop_map(Step::Reset),
        1 => (0..PAIRS).prop_map(Step::Reopen),
        2 => Just(Step::Notify),
        2 => any::<u64>().prop_map(Step::Post),
        8 => Just(Step::Wait),
        8 => Just(Step::Settle),
    ]
}

/// One end of a connection: nothing once it is closed.
struct End<T> {
    stream: Option<TcpStream>,
    ticket: Option<T>,
}

pub struct Driver<P: Poller> {
    poller: P,
    events: Events,
    ends: Vec<End<P::Ticket>>,
    oracle: Oracle,
    /// No key is used twice, so that a late event cannot pass for a new one.
    next_key: u64,
    /// How long to wait for what is owed.
    patience: Duration,
}

/// Plays a script, and says what was broken.
pub fn play<P: Poller>(script: &Script, patience: Duration) -> Result<(), Breach> {
    let mut driver = Driver::<P>::new(script.room, patience);
    for step in &script.steps {
        driver.perform(step)?;
    }
    driver.settle()
}

impl<P: Poller> Driver<P> {
    fn new(room: usize, patience: Duration) -> Driver<P> {
        let mut driver = Driver {
            poller: P::new().unwrap(),
            events: Events::with_capacity(room),
            ends: Vec::new(),
            oracle: Oracle::with_pairs(PAIRS),
            next_key: 0,
            patience,
        };
        for _ in 0..PAIRS {
            let (near, far) = tcp_pair();
            for stream in [near, far] {
                driver.ends.push(End {
                    stream: Some(stream),
                    ticket: None,
                });
            }
        }
        driver
    }

    fn perform(&mut self, step: &Step) -> Result<(), Breach> {
        match *step {
            Step::Add(end, interest, trigger) => self.add(end, interest, trigger),
            Step::Modify(end, interest, trigger) => self.modify(end, interest, trigger),
            Step::Rearm(end, directions) => {
                if let Some(ticket) = &self.ends[end].ticket {
                    self.poller.rearm(ticket, directions).unwrap();
                    self.oracle.rearmed(end);
                }
            }
            Step::Delete(end) => self.delete(end),
            Step::Write(end, count) => {
                self.write(end, count);
            }
            Step::Read(end, count) => return self.read(end, count, false),
            Step::Drain(end) => return self.read(end, 64 * 1024, true),
            Step::Fill(end) => while self.write(end, 64 * 1024) {},
            Step::HalfClose(end) => {
                if let Some(stream) = &self.ends[end].stream {
                    // Refused if the connection is gone.
                    if stream.shutdown(Shutdown::Write).is_ok() {
                        self.oracle.half_closed(end);
                    }
                }
            }
            Step::Close(end) => self.close(end, false),
            Step::Reset(end) => self.close(end, true),
            Step::Reopen(pair) => self.reopen(pair),
            Step::Notify => self.poller.notify().unwrap(),
            Step::Post(payload) => {
                let event = Event {
                    key: self.new_key(),
                    readiness: Readiness::READABLE,
                    payload,
                };
                self.poller.post(event).unwrap();
                self.oracle.posted(event);
            }
            Step::Wait => return self.wait(Duration::ZERO),
            Step::Settle => return self.settle(),
        }
        Ok(())
    }

    fn new_key(&mut self) -> Key {
        self.next_key += 1;
        Key(self.next_key)
    }

    fn add(&mut self, end: usize, interest: Interest, trigger: Trigger) {
        let key = self.new_key();
        let End { stream, ticket } = &mut self.ends[end];
        let Some(stream) = stream else {
            return;
        };
        // SAFETY: `close` and `drop`, below, delete a source before they close it.
        let answer = unsafe {
            self.poller
                .add(Source::socket(stream), key, interest, trigger)
        };
        match answer {
            Ok(new) => {
                assert!(ticket.is_none(), "added twice");
                *ticket = Some(new);
                self.oracle.watched(end, key, interest, trigger);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::AlreadyExists);
                assert!(ticket.is_some(), "it was not added before");
            }
        }
    }

    fn modify(&mut self, end: usize, interest: Interest, trigger: Trigger) {
        let key = self.new_key();
        if let End {
            stream: Some(stream),
            ticket: Some(ticket),
        } = &self.ends[end]
        {
            let source = Source::socket(stream);
            self.poller
                .modify(ticket, source, key, interest, trigger)
                .unwrap();
            self.oracle.watched(end, key, interest, trigger);
        }
    }

    fn delete(&mut self, end: usize) {
        let End { stream, ticket } = &mut self.ends[end];
        if let (Some(stream), Some(ticket)) = (stream, ticket.take()) {
            self.poller.delete(ticket, Source::socket(stream)).unwrap();
            self.oracle.deleted(end);
        }
    }

    /// Says whether there is room for more.
    fn write(&mut self, end: usize, count: usize) -> bool {
        let Some(mut stream) = self.ends[end].stream.as_ref() else {
            return false;
        };
        match stream.write(&vec![b'x'; count]) {
            Ok(count) => {
                self.oracle.wrote(end, count);
                true
            }
            Err(error) => {
                if error.kind() == ErrorKind::WouldBlock {
                    self.met_would_block(end, Interest::WRITABLE);
                }
                false
            }
        }
    }

    fn read(&mut self, end: usize, count: usize, is_drain: bool) -> Result<(), Breach> {
        let Some(mut stream) = self.ends[end].stream.as_ref() else {
            return Ok(());
        };
        let mut buffer = vec![0; count];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.oracle.read(end, count)?,
                Err(error) => {
                    if error.kind() == ErrorKind::WouldBlock {
                        self.met_would_block(end, Interest::READABLE);
                    }
                    return Ok(());
                }
            }
            if !is_drain {
                return Ok(());
            }
        }
    }

    fn met_would_block(&mut self, end: usize, direction: Interest) {
        if let Some(ticket) = &self.ends[end].ticket {
            self.poller.rearm(ticket, direction).unwrap();
        }
        self.oracle.met_would_block(end, direction);
    }

    fn close(&mut self, end: usize, by_reset: bool) {
        self.delete(end);
        if let Some(stream) = self.ends[end].stream.take() {
            if by_reset {
                net::reset(stream);
            }
            self.oracle.closed(end, by_reset);
        }
    }

    fn reopen(&mut self, pair: usize) {
        let pair_ends = &mut self.ends[2 * pair..2 * pair + 2];
        if pair_ends.iter().all(|end| end.stream.is_none()) {
            let (near, far) = tcp_pair();
            pair_ends[0].stream = Some(near);
            pair_ends[1].stream = Some(far);
            self.oracle.reopened(pair);
        }
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), Breach> {
        let _watchdog = Watchdog::start();
        self.poller.wait(&mut self.events, Some(timeout)).unwrap();
        self.events
            .iter()
            .try_for_each(|event| self.oracle.judge(event))
    }

    fn settle(&mut self) -> Result<(), Breach> {
        self.oracle.demand_levels();
        let deadline = Instant::now() + self.patience;
        self.wait(Duration::ZERO)?;
        while let Some(owed) = self.oracle.owed() {
            if Instant::now() >= deadline {
                return Err(Breach::new(format!("never reported: {owed}")));
            }
            self.wait(Duration::from_millis(5))?;
        }
        // And what is owed to nobody does not come.
        (0..3).try_for_each(|_| self.wait(Duration::ZERO))
    }
}

impl<P: Poller> Drop for Driver<P> {
    /// By resets, so that no connection lingers in the system's tables.
    fn drop(&mut self) {
        for end in 0..self.ends.len() {
            self.close(end, true);
        }
    }
}
