//! A pure model of what a poller owes and what it may say, under the contract of `ekio::poller`.
//!
//! The model knows connections, not kernels: whoever drives a real poller tells it what was done to
//! each end, and asks it two questions. *May this event be?* ([`Oracle::judge`]), and *what must
//! still come?* ([`Oracle::owed`]).
//!
//! It is generous where the contract is. What counts is what an owner who drains to would-block
//! learns: with an edge trigger it may be told more often than that, and a report may be stale by
//! the time it is read. But it may not be told for ever, nor by a false name, nor of an end that is
//! not there, and silence that was asked for is kept.
//!
//! # One end, one watch
//!
//! ```text
//!   owner  --- add, modify ---------------------> owed: every direction of the interest
//!          --- met would-block, rearm (edge) ---> owed: that direction
//!          <-- event ---------------------------- no longer owed: what it says (one-shot: all)
//! ```
//!
//! A direction that is owed must be reported once it is certainly ready. Networks are slow and
//! buffers have sizes that nobody tells, so readiness has three values ([`Truth`]): what *may* be
//! ready is neither demanded nor condemned.

use std::fmt::{self, Display};

use ekio::poller::{Event, Interest, Key, Readiness, Trigger};

/// How often a direction may be reported without anything having happened to the connection, where
/// the contract allows more reports than one.
const REPEATS_MAX: u32 = 8;

/// How often in a row a level-triggered report may be stale.
const STALE_MAX: u32 = 3;

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    No,
    Maybe,
    Yes,
}

/// A breach of the contract, in words.
#[derive(Debug)]
pub struct Breach(String);

impl Breach {
    pub fn new(text: String) -> Breach {
        Breach(text)
    }
}

impl Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One end of a connection. The other is its number with the lowest bit flipped.
#[derive(Debug, Default)]
struct End {
    watch: Option<Watch>,
    /// What the peer has sent and this end has not read.
    unread: usize,
    /// The peer says no more.
    is_peer_done: bool,
    /// The peer is closed, so that what is sent to it may be answered by a reset.
    is_peer_gone: bool,
    /// The peer has sent a reset.
    is_reset: bool,
    /// This end says no more.
    is_done: bool,
    /// This end met would-block when it wrote, and its peer has not read everything since.
    is_full: bool,
}

#[derive(Debug)]
struct Watch {
    key: Key,
    interest: Interest,
    trigger: Trigger,
    owed: Interest,
    /// A one-shot watch that has fired.
    is_spent: bool,
    /// Reports since something happened to the connection.
    repeats: u32,
    /// Those among them, in a row, that were not true.
    stale: u32,
}

impl End {
    fn is_readable(&self) -> Truth {
        if self.unread > 0 || self.is_peer_done || self.is_peer_gone || self.is_reset {
            Truth::Yes
        } else {
            Truth::No
        }
    }

    fn is_writable(&self) -> Truth {
        if self.is_done || (self.is_full && !self.is_reset) {
            Truth::Maybe
        } else {
            Truth::Yes
        }
    }

    /// The directions of which `is` is the truth.
    fn directions(&self, is: Truth) -> Interest {
        let mut directions = Interest::NONE;
        if self.is_readable() == is {
            directions |= Interest::READABLE;
        }
        if self.is_writable() == is {
            directions |= Interest::WRITABLE;
        }
        directions
    }

    /// The terminal bits that may be true.
    fn possible_terminals(&self) -> Readiness {
        let mut bits = Readiness::NONE;
        if self.is_peer_done || self.is_peer_gone || self.is_reset {
            bits |= Readiness::READ_CLOSED;
        }
        if self.is_done || self.is_peer_gone || self.is_reset {
            bits |= Readiness::WRITE_CLOSED;
        }
        if self.is_peer_gone || self.is_reset {
            bits |= Readiness::ERROR;
        }
        bits
    }
}

/// The model of one poller and the connections that it watches.
#[derive(Debug, Default)]
pub struct Oracle {
    ends: Vec<End>,
    posts: Vec<Event>,
}

impl Oracle {
    pub fn with_pairs(count: usize) -> Oracle {
        let ends = (0..2 * count).map(|_| End::default()).collect();
        Oracle {
            ends,
            posts: Vec::new(),
        }
    }

    /// A new connection in the place of one that is closed at both ends.
    pub fn reopened(&mut self, pair: usize) {
        self.ends[2 * pair] = End::default();
        self.ends[2 * pair + 1] = End::default();
    }

    /// The watch was added or modified: the owner knows nothing yet.
    pub fn watched(&mut self, end: usize, key: Key, interest: Interest, trigger: Trigger) {
        self.ends[end].watch = Some(Watch {
            key,
            interest,
            trigger,
            owed: interest,
            is_spent: false,
            repeats: 0,
            stale: 0,
        });
    }

    pub fn deleted(&mut self, end: usize) {
        self.ends[end].watch = None;
    }

    pub fn wrote(&mut self, end: usize, count: usize) {
        let peer = &mut self.ends[end ^ 1];
        peer.unread += count;
        self.touch(end);
    }

    pub fn read(&mut self, end: usize, count: usize) -> Result<(), Breach> {
        let this = &mut self.ends[end];
        let Some(left) = this.unread.checked_sub(count) else {
            return breach(format!("end {end} read more than was written"));
        };
        this.unread = left;
        if left == 0 {
            self.ends[end ^ 1].is_full = false;
        }
        self.touch(end);
        Ok(())
    }

    /// A read or write of the owner met would-block, and it has called `rearm` for that direction.
    pub fn met_would_block(&mut self, end: usize, direction: Interest) {
        if direction == Interest::WRITABLE {
            self.ends[end].is_full = self.ends[end ^ 1].unread > 0;
        }
        let this = &mut self.ends[end];
        if let Some(watch) = this.watch.as_mut().filter(|it| it.trigger == Trigger::Edge) {
            watch.owed |= direction.intersection(watch.interest);
        }
        self.touch(end);
    }

    /// `rearm` was called without would-block: nothing more is owed, and more may come.
    pub fn rearmed(&mut self, end: usize) {
        self.touch(end);
    }

    pub fn half_closed(&mut self, end: usize) {
        self.ends[end].is_done = true;
        self.ends[end ^ 1].is_peer_done = true;
        self.touch(end);
    }

    /// The end was closed, having been deleted before.
    pub fn closed(&mut self, end: usize, by_reset: bool) {
        let has_unread = self.ends[end].unread > 0;
        let peer = &mut self.ends[end ^ 1];
        peer.is_peer_gone = true;
        peer.is_reset |= by_reset || has_unread;
        self.touch(end);
    }

    pub fn posted(&mut self, event: Event) {
        self.posts.push(event);
    }

    /// From now on the level-triggered watches owe a report of what is so.
    pub fn demand_levels(&mut self) {
        for end in &mut self.ends {
            if let Some(watch) = end.watch.as_mut().filter(|it| it.trigger == Trigger::Level) {
                watch.owed = watch.interest;
            }
        }
    }

    /// What must still come, if anything must.
    pub fn owed(&self) -> Option<String> {
        if let Some(post) = self.posts.first() {
            return Some(format!("the post {post:?}"));
        }
        self.ends.iter().enumerate().find_map(|(number, end)| {
            let watch = end.watch.as_ref().filter(|watch| !watch.is_spent)?;
            let owed = end.directions(Truth::Yes).intersection(watch.owed);
            (!owed.is_empty()).then(|| format!("{owed:?} of end {number}: {end:?}"))
        })
    }

    /// Takes an event in, or says why it may not be.
    pub fn judge(&mut self, event: &Event) -> Result<(), Breach> {
        if let Some(at) = self.posts.iter().position(|post| post == event) {
            self.posts.remove(at);
            return Ok(());
        }
        let named = |end: &&mut End| end.watch.as_ref().is_some_and(|it| it.key == event.key);
        let Some(end) = self.ends.iter_mut().find(named) else {
            return breach(format!("{event:?}: nobody has this key (any more)"));
        };
        let (readable, possible) = (end.is_readable(), end.possible_terminals());
        let Some(watch) = &mut end.watch else {
            unreachable!("it was found by its watch")
        };
        let said = event.readiness;
        let terminal = said.intersection(Readiness::TERMINAL);
        let directions = directions(said);
        watch.repeats += 1;
        let is_stale = said == Readiness::READABLE && readable == Truth::No;
        watch.stale = if is_stale { watch.stale + 1 } else { 0 };

        let why = if event.payload != 0 {
            "a payload that nobody sent"
        } else if watch.interest.is_empty() {
            "silence was asked for"
        } else if watch.is_spent {
            "a second event of a one-shot watch"
        } else if said.is_empty() || said != said.complete() {
            "a terminal bit without its direction, or nothing at all"
        } else if !possible.contains(terminal) {
            "a terminal bit that is not true"
        } else if terminal.is_empty() && !watch.interest.contains(directions) {
            "a direction that nobody asked for"
        } else if watch.trigger == Trigger::Edge && watch.repeats > REPEATS_MAX {
            "an edge that is reported over and over"
        } else if watch.stale > STALE_MAX {
            "nothing is there to be read, again and again"
        } else {
            watch.owed = watch.owed.difference(directions);
            watch.is_spent = watch.trigger == Trigger::OneShot;
            return Ok(());
        };
        breach(format!("{event:?}: {why}: {end:?}"))
    }

    /// Something happened to the connection: more may be reported of it.
    fn touch(&mut self, end: usize) {
        for end in [end, end ^ 1] {
            if let Some(watch) = &mut self.ends[end].watch {
                (watch.repeats, watch.stale) = (0, 0);
            }
        }
    }
}

fn breach(text: String) -> Result<(), Breach> {
    Err(Breach(text))
}

/// The directions of a report.
fn directions(said: Readiness) -> Interest {
    let mut directions = Interest::NONE;
    for (bit, direction) in [
        (Readiness::READABLE, Interest::READABLE),
        (Readiness::WRITABLE, Interest::WRITABLE),
        (Readiness::PRIORITY, Interest::PRIORITY),
    ] {
        if said.contains(bit) {
            directions |= direction;
        }
    }
    directions
}
