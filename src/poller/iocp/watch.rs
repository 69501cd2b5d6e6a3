//! What we know of one socket: a small machine that says when AFD is to be asked, and for what.
//!
//! It makes no system call and names no type of the system, so that it runs, and is tested, on
//! every host. [`Socket`](super::socket) keeps it under a lock and does what it says before the
//! lock is released.
//!
//! # The phases
//!
//! ```text
//!                       (1) submit
//!            +------+ ---------------> +---------+
//!   new ---> | Idle |                  | Pending |
//!            +------+ <--------------- +---------+
//!                ^      (2) complete        |
//!                |                          | (3) cancel
//!                |      (4) complete        v
//!                |                     +-----------+
//!                +-------------------- | Cancelled |
//!                                      +-----------+
//! ```
//!
//! In `Idle` the kernel has nothing of ours. In the two others it owns the request, until the packet
//! has come out of the port. So there is never more than one poll for a socket.
//!
//! 1. `set`, `rearm`, `resume` and `complete`, if some direction is armed.
//! 2. `complete`: the packet has come. What it says is reported, unless nobody wants it any more.
//! 3. `set` and `rearm`, if the poll under way does not ask for all that is armed; and `retire`.
//! 4. `complete`: the poll is submitted anew, for what is armed by then. It may have ended by itself
//!    before the cancellation reached it. What it found then is not told: it was found for those
//!    who asked before, and whatever still holds ends the new poll at once.
//!
//! # What is armed
//!
//! The directions that are to be reported when they become ready. `set` arms all that its interest
//! names. A report disarms: with [`Trigger::Edge`] the directions it told of, with
//! [`Trigger::OneShot`] all, with [`Trigger::Level`] none, but the next poll waits for the next
//! [`wait`](crate::poller::Poller::wait), lest it see the very data that the owner is about to take.

use crate::poller::event::{Event, Interest, Key, Readiness, Trigger};
use crate::poller::flags::afd;

/// The readiness that ends a direction for good.
const CLOSED: Readiness = Readiness::READ_CLOSED.union(Readiness::WRITE_CLOSED);

/// Where the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// A poll for this mask is under way, or its packet is.
    Pending(u32),
    Cancelled,
}

/// What the caller must do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the machine counts on it being done"]
pub(super) enum Step {
    Rest,
    /// Start a poll for this mask; if that fails, call [`Watch::refused`].
    Submit(u32),
    /// Cancel the poll under way. If it has ended already, its packet is on its way.
    Cancel,
    /// Call [`Watch::resume`] when the next `wait` begins.
    ResumeAtWait,
    /// Take the socket out of the table: it has been closed.
    Forget,
}

#[derive(Debug)]
pub(super) struct Watch {
    key: Key,
    interest: Interest,
    trigger: Trigger,
    phase: Phase,
    armed: Interest,
    /// Which of [`CLOSED`] were reported since the last `set`; for [`Trigger::Edge`] alone.
    told: Readiness,
    /// Set for ever by `retire`, and when the socket has been closed.
    is_gone: bool,
}

impl Watch {
    pub(super) fn new() -> Watch {
        Watch {
            key: Key::RESERVED,
            interest: Interest::NONE,
            trigger: Trigger::Level,
            phase: Phase::Idle,
            armed: Interest::NONE,
            told: Readiness::NONE,
            is_gone: false,
        }
    }

    /// True once the socket is out of the table.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// What `add` and `modify` do: all that holds is to be reported, again.
    pub(super) fn set(&mut self, key: Key, interest: Interest, trigger: Trigger) -> Step {
        self.key = key;
        self.interest = interest;
        self.trigger = trigger;
        self.armed = interest;
        self.told = Readiness::NONE;
        self.advance()
    }

    /// The owner met would-block in these directions.
    pub(super) fn rearm(&mut self, directions: Interest) -> Step {
        if self.trigger != Trigger::Edge {
            return Step::Rest;
        }
        let open = directions.difference(closed_directions(self.told));
        self.armed |= open.intersection(self.interest);
        self.advance()
    }

    /// A `wait` begins, and the last one has reported this socket.
    pub(super) fn resume(&mut self) -> Step {
        self.advance()
    }

    /// The packet of the poll has come. Gives what is to be handed out. `look` finds out which of
    /// the bits of a mask hold at this moment.
    pub(super) fn complete(
        &mut self,
        mask: u32,
        status: i32,
        look: impl FnOnce(u32) -> u32,
    ) -> (Option<Event>, Step) {
        debug_assert_ne!(self.phase, Phase::Idle, "a packet without a poll");
        let was_cancelled = self.phase == Phase::Cancelled;
        self.phase = Phase::Idle;
        if was_cancelled && !self.is_gone && !afd::is_closed(mask, status) {
            return (None, self.advance());
        }
        self.settle(mask, status, look)
    }

    /// The poll that [`Step::Submit`] asked for could not be started, and no packet will come. For
    /// callers who hand the error on, and may try again.
    pub(super) fn refused(&mut self) {
        debug_assert!(matches!(self.phase, Phase::Pending(_)));
        self.phase = Phase::Idle;
    }

    /// As [`refused`](Watch::refused), for `wait`, where nobody is there to be given the error: the
    /// owner is told to look for itself.
    pub(super) fn refused_in_wait(&mut self, status: i32) -> (Option<Event>, Step) {
        self.refused();
        // What was never under way was not cancelled, and is not to be tried again at once.
        let status = match status {
            afd::STATUS_CANCELLED => afd::STATUS_UNSUCCESSFUL,
            other => other,
        };
        self.settle(0, status, |_| 0)
    }

    /// The socket leaves the table: nothing will be reported any more.
    pub(super) fn retire(&mut self) -> Step {
        self.is_gone = true;
        self.advance()
    }

    /// What follows from the end of a poll.
    fn settle(
        &mut self,
        mask: u32,
        status: i32,
        look: impl FnOnce(u32) -> u32,
    ) -> (Option<Event>, Step) {
        if self.is_gone {
            return (None, Step::Rest);
        }
        if afd::is_closed(mask, status) {
            self.is_gone = true;
            return (None, Step::Forget);
        }
        let mut news = self.news(afd::decode(mask, status));
        if news.is_empty() {
            return (None, self.advance());
        }
        if let Some(rest) = self.rest(news) {
            news |= self.news(afd::decode(look(rest), 0));
        }
        (Some(Event::new(self.key, news)), self.reported(news))
    }

    /// Brings the poll under way in line with what is armed.
    fn advance(&mut self) -> Step {
        let wanted = if self.is_gone {
            None
        } else {
            afd::encode(self.armed)
        };
        match (self.phase, wanted) {
            (Phase::Idle, Some(mask)) => {
                self.phase = Phase::Pending(mask);
                Step::Submit(mask)
            }
            // A poll for more than is armed may go on: what nobody wants is dropped at its end.
            (Phase::Pending(polled), Some(mask)) if polled & mask == mask => Step::Rest,
            (Phase::Pending(_), None) if !self.is_gone => Step::Rest,
            (Phase::Pending(_), _) => {
                self.phase = Phase::Cancelled;
                Step::Cancel
            }
            (Phase::Idle, None) | (Phase::Cancelled, _) => Step::Rest,
        }
    }

    /// What of it the owner wants to hear.
    fn news(&self, found: Readiness) -> Readiness {
        if self.interest.is_empty() {
            return Readiness::NONE;
        }
        let terminal = found.intersection(Readiness::TERMINAL);
        let wanted = Readiness::from_bits(self.armed.bits());
        found
            .intersection(wanted)
            .union(terminal.difference(self.told))
            .complete()
    }

    /// A poll ends at the first thing that happens, which may be long ago when its packet is taken
    /// out. Level and one-shot promise to tell all that holds now, so they look for the others.
    fn rest(&self, news: Readiness) -> Option<u32> {
        if self.trigger == Trigger::Edge {
            return None;
        }
        afd::encode(self.armed.difference(Interest::from_bits(news.bits())))
    }

    /// Notes what is being told.
    fn reported(&mut self, news: Readiness) -> Step {
        match self.trigger {
            Trigger::Level => Step::ResumeAtWait,
            Trigger::OneShot => {
                self.armed = Interest::NONE;
                Step::Rest
            }
            // After an error the owner has to look in every direction. (Were one left armed, a
            // poll that always fails would be repeated for ever.)
            Trigger::Edge if news.contains(Readiness::ERROR) => {
                self.told |= news.intersection(CLOSED);
                self.armed = Interest::NONE;
                Step::Rest
            }
            Trigger::Edge => {
                self.told |= news.intersection(CLOSED);
                self.armed = self
                    .armed
                    .difference(Interest::from_bits(news.bits()))
                    .difference(closed_directions(self.told));
                self.advance()
            }
        }
    }
}

/// The directions in which nothing can be news after these terminal bits.
const fn closed_directions(told: Readiness) -> Interest {
    let mut closed = Interest::NONE;
    if told.contains(Readiness::READ_CLOSED) {
        closed = closed.union(Interest::READABLE);
    }
    if told.contains(Readiness::WRITE_CLOSED) {
        closed = closed.union(Interest::WRITABLE);
    }
    closed
}

// Interest and Readiness name the three directions by the same bits.
const _: () = {
    assert!(Interest::READABLE.bits() == Readiness::READABLE.bits());
    assert!(Interest::WRITABLE.bits() == Readiness::WRITABLE.bits());
    assert!(Interest::PRIORITY.bits() == Readiness::PRIORITY.bits());
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const SUCCESS: i32 = 0;

    /// AFD and the port, as far as one socket sees them.
    #[derive(Default)]
    struct Kernel {
        /// What holds of the socket.
        conditions: u32,
        poll: Option<u32>,
        packets: VecDeque<(u32, i32)>,
    }

    impl Kernel {
        fn submit(&mut self, mask: u32) {
            assert!(self.is_idle(), "a second request while one is under way");
            self.poll = Some(mask);
            self.check();
        }

        fn is_idle(&self) -> bool {
            self.poll.is_none() && self.packets.is_empty()
        }

        fn cancel(&mut self) {
            // Else the poll has ended already, and the cancellation comes too late.
            if let Some(mask) = self.poll.take() {
                self.packets.push_back((mask, afd::STATUS_CANCELLED));
            }
        }

        /// Nothing happens after the end, or is received after the end of receiving.
        fn happen(&mut self, conditions: u32) {
            if self.conditions & afd::ABORT != 0 {
                return;
            }
            self.conditions |= match self.conditions & afd::DISCONNECT {
                0 => conditions,
                _ => conditions & !(afd::RECEIVE | afd::RECEIVE_EXPEDITED),
            };
            self.check();
        }

        fn check(&mut self) {
            if let Some(mask) = self.poll.filter(|mask| mask & self.conditions != 0) {
                self.poll = None;
                self.packets.push_back((mask & self.conditions, SUCCESS));
            }
        }
    }

    /// A watch, its kernel, and what the contract says it owes its owner.
    struct World {
        watch: Watch,
        kernel: Kernel,
        interest: Interest,
        trigger: Trigger,
        owed: Interest,
        to_resume: bool,
    }

    impl World {
        fn new() -> World {
            World {
                watch: Watch::new(),
                kernel: Kernel::default(),
                interest: Interest::NONE,
                trigger: Trigger::Level,
                owed: Interest::NONE,
                to_resume: false,
            }
        }

        fn obey(&mut self, step: Step) {
            match step {
                Step::Rest | Step::Forget => {}
                Step::Submit(mask) => self.kernel.submit(mask),
                Step::Cancel => self.kernel.cancel(),
                Step::ResumeAtWait => self.to_resume = true,
            }
        }

        fn set(&mut self, interest: Interest, trigger: Trigger) {
            (self.interest, self.trigger, self.owed) = (interest, trigger, interest);
            let step = self.watch.set(Key(1), interest, trigger);
            self.obey(step);
        }

        /// The owner looks first, as the contract asks: only what would block is re-armed.
        fn rearm(&mut self, directions: Interest) {
            let ready = afd::decode(self.kernel.conditions, SUCCESS);
            let blocked = directions.difference(Interest::from_bits(ready.bits()));
            if self.trigger == Trigger::Edge {
                self.owed |= blocked.intersection(self.interest);
            }
            let step = self.watch.rearm(blocked);
            self.obey(step);
        }

        /// One `wait`, and all that it has to report.
        fn wait(&mut self) -> Readiness {
            let mut told = Readiness::NONE;
            if std::mem::take(&mut self.to_resume) {
                let step = self.watch.resume();
                self.obey(step);
            }
            while let Some((mask, status)) = self.kernel.packets.pop_front() {
                let conditions = self.kernel.conditions;
                let look = |mask| mask & conditions;
                let (event, step) = self.watch.complete(mask, status, look);
                if let Some(event) = event {
                    told |= event.readiness;
                }
                self.obey(step);
            }
            told
        }

        fn wait_and_check(&mut self) {
            let holds = afd::decode(self.kernel.conditions, SUCCESS);
            let told = self.wait();
            let told_directions = Interest::from_bits(told.bits());
            let owed = Interest::from_bits(holds.bits()).intersection(self.owed);
            match self.trigger {
                Trigger::OneShot if owed.is_empty() => {}
                // One event is all there is; it may have been complete before the rest happened.
                Trigger::OneShot => {
                    assert!(!told.is_empty(), "owed {owed:?}");
                    self.owed = Interest::NONE;
                }
                _ => assert!(
                    told_directions.contains(owed),
                    "owed {owed:?}, told {told:?}"
                ),
            }
            if self.trigger == Trigger::Edge {
                self.owed = self.owed.difference(told_directions);
            }
            if self.interest.is_empty() {
                assert_eq!(told, Readiness::NONE, "silence");
            }
            if !told.is_empty() && self.trigger == Trigger::OneShot {
                self.owed = Interest::NONE;
                assert_eq!(self.wait(), Readiness::NONE, "one-shot");
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Act {
        Set(Interest, Trigger),
        Rearm(Interest),
        Happen(u32),
        Consume(u32),
        Wait,
        /// The kernel gives up the poll of its own accord.
        Disturb,
    }

    fn act() -> impl Strategy<Value = Act> {
        let interest = || (0_u8..8).prop_map(Interest::from_bits);
        let trigger = prop_oneof![
            Just(Trigger::Level),
            Just(Trigger::Edge),
            Just(Trigger::OneShot)
        ];
        let passing = prop_oneof![
            Just(afd::RECEIVE),
            Just(afd::SEND),
            Just(afd::RECEIVE_EXPEDITED)
        ];
        let lasting = prop_oneof![Just(afd::DISCONNECT), Just(afd::ABORT)];
        prop_oneof![
            2 => (interest(), trigger).prop_map(|(interest, trigger)| Act::Set(interest, trigger)),
            4 => interest().prop_map(Act::Rearm),
            4 => passing.clone().prop_map(Act::Happen),
            1 => lasting.prop_map(Act::Happen),
            3 => passing.prop_map(Act::Consume),
            6 => Just(Act::Wait),
            1 => Just(Act::Disturb),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            cases: if cfg!(miri) { 2 } else { 2_000 },
            ..Default::default()
        })]

        #[test]
        fn the_contract_holds_whatever_happens(acts in prop::collection::vec(act(), 0..if cfg!(miri) { 20 } else { 60 })) {
            let mut world = World::new();
            for act in acts {
                match act {
                    Act::Set(interest, trigger) => world.set(interest, trigger),
                    Act::Rearm(directions) => world.rearm(directions),
                    Act::Happen(condition) => world.kernel.happen(condition),
                    Act::Consume(condition) => world.kernel.conditions &= !condition,
                    Act::Wait => world.wait_and_check(),
                    Act::Disturb => world.kernel.cancel(),
                }
            }
            let step = world.watch.retire();
            world.obey(step);
            prop_assert!(world.kernel.poll.is_none(), "nothing is left in the kernel");
            prop_assert_eq!(world.wait(), Readiness::NONE, "nothing comes after the end");
            prop_assert!(world.kernel.is_idle());
        }
    }

    #[test]
    fn edge_asks_only_for_what_has_not_been_told() {
        let mut watch = Watch::new();
        let both = afd::encode(Interest::BOTH).unwrap();
        let reading = afd::encode(Interest::READABLE).unwrap();
        let writing = afd::encode(Interest::WRITABLE).unwrap();
        let step = watch.set(Key(1), Interest::BOTH, Trigger::Edge);
        assert_eq!(step, Step::Submit(both));
        let (event, step) = watch.complete(afd::SEND, SUCCESS, |_| 0);
        assert_eq!(event.unwrap().readiness, Readiness::WRITABLE);
        assert_eq!(step, Step::Submit(reading));
        // The end of reading is told once, and is not asked for again.
        let (event, step) = watch.complete(afd::DISCONNECT, SUCCESS, |_| 0);
        assert!(event.unwrap().readiness.contains(Readiness::READ_CLOSED));
        assert_eq!(step, Step::Rest);
        assert_eq!(watch.rearm(Interest::READABLE), Step::Rest);
        assert_eq!(watch.rearm(Interest::BOTH), Step::Submit(writing));
        let (event, step) = watch.complete(afd::ABORT, SUCCESS, |_| 0);
        assert!(event.unwrap().readiness.contains(Readiness::WRITE_CLOSED));
        assert_eq!(step, Step::Rest);
        assert_eq!(watch.rearm(Interest::BOTH), Step::Rest);
    }

    #[test]
    fn a_poll_that_asks_for_enough_is_left_alone() {
        let mut watch = Watch::new();
        let reading = afd::encode(Interest::READABLE).unwrap();
        let _ = watch.set(Key(1), Interest::BOTH, Trigger::Level);
        let step = watch.set(Key(2), Interest::READABLE, Trigger::Level);
        assert_eq!(step, Step::Rest);
        let (event, step) = watch.complete(afd::SEND, SUCCESS, |_| 0);
        assert_eq!((event, step), (None, Step::Submit(reading)));
        let (event, step) = watch.complete(afd::RECEIVE, SUCCESS, |_| 0);
        assert_eq!(event, Some(Event::new(Key(2), Readiness::READABLE)));
        assert_eq!(step, Step::ResumeAtWait);
    }

    #[test]
    fn a_cancelled_poll_that_had_ended_is_asked_anew() {
        let mut watch = Watch::new();
        let both = afd::encode(Interest::BOTH).unwrap();
        let _ = watch.set(Key(1), Interest::READABLE, Trigger::Edge);
        let step = watch.set(Key(1), Interest::BOTH, Trigger::Edge);
        assert_eq!(step, Step::Cancel);
        assert_eq!(watch.rearm(Interest::BOTH), Step::Rest, "once is enough");
        let answer = watch.complete(afd::RECEIVE, SUCCESS, |_| 0);
        assert_eq!(answer, (None, Step::Submit(both)));
        // But the end of the socket counts.
        let mut watch = Watch::new();
        let _ = watch.set(Key(1), Interest::READABLE, Trigger::Edge);
        let _ = watch.set(Key(1), Interest::BOTH, Trigger::Edge);
        let answer = watch.complete(afd::LOCAL_CLOSE, SUCCESS, |_| 0);
        assert_eq!(answer, (None, Step::Forget));
    }

    #[test]
    fn level_and_one_shot_tell_all_that_holds() {
        for trigger in [Trigger::Level, Trigger::OneShot] {
            let mut watch = Watch::new();
            let _ = watch.set(Key(1), Interest::BOTH, trigger);
            // The socket was writable at first, and is readable by now.
            let (event, _) = watch.complete(afd::SEND, SUCCESS, |mask| {
                assert_eq!(Some(mask), afd::encode(Interest::READABLE));
                afd::RECEIVE
            });
            let both = Readiness::READABLE | Readiness::WRITABLE;
            assert_eq!(event.unwrap().readiness, both);
        }
    }

    #[test]
    fn closing_ends_it() {
        let mut watch = Watch::new();
        let _ = watch.set(Key(1), Interest::BOTH, Trigger::Level);
        let (event, step) = watch.complete(afd::LOCAL_CLOSE | afd::ABORT, SUCCESS, |_| 0);
        assert_eq!((event, step), (None, Step::Forget));
        assert!(watch.is_gone());
        assert_eq!(watch.retire(), Step::Rest);
    }

    #[test]
    fn a_refused_poll_is_told_and_not_repeated_by_itself() {
        const STATUS_INSUFFICIENT_RESOURCES: i32 = 0xc000_009a_u32 as i32;
        let mut watch = Watch::new();
        let _ = watch.set(Key(1), Interest::PRIORITY, Trigger::Edge);
        let (event, step) = watch.refused_in_wait(STATUS_INSUFFICIENT_RESOURCES);
        assert!(event.unwrap().readiness.contains(Readiness::ERROR));
        assert_eq!(step, Step::Rest);
        assert!(matches!(watch.rearm(Interest::PRIORITY), Step::Submit(_)));
        let (event, step) = watch.refused_in_wait(afd::STATUS_INVALID_HANDLE);
        assert_eq!((event, step), (None, Step::Forget));
        // No packet comes of it, so it is no cancelled poll.
        let mut watch = Watch::new();
        let _ = watch.set(Key(1), Interest::READABLE, Trigger::Level);
        let (event, step) = watch.refused_in_wait(afd::STATUS_CANCELLED);
        assert!(event.unwrap().readiness.contains(Readiness::ERROR));
        assert_eq!(step, Step::ResumeAtWait);
    }
}
