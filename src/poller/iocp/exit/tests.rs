//! Every way to wait for a process, on a whole poller: the rows of the conformance suite that are about
//! exits, and what happens when the system refuses. The packets are the system's where there are such,
//! and our own everywhere.

use std::process::{Child, Command, Stdio};

use super::*;
use crate::poller::iocp::packet::stand_in;
use crate::poller::iocp::{Iocp, Ticket};
use crate::poller::{Events, Poller, Source};

const READABLE: Interest = Interest::READABLE;
const TRIGGERS: [Trigger; 3] = [Trigger::Level, Trigger::Edge, Trigger::OneShot];
const HANG: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_millis(20);

/// By the system's thread; by packets; and where these are refused, early and late.
fn ways() -> Vec<Option<&'static Calls>> {
    let mut ways = vec![
        None,
        Some(&stand_in::CALLS),
        Some(&stand_in::NO_CREATE),
        Some(&stand_in::NO_ASSOCIATE),
    ];
    match Calls::of_system() {
        Some(calls) => ways.push(Some(calls)),
        None => println!("skipped: this system has no wait completion packets"),
    }
    ways
}

/// A child that lives until its standard input ends.
fn child() -> Child {
    Command::new("cmd.exe")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn end(child: &mut Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

struct Rig {
    poller: Iocp,
    events: Events,
}

impl Rig {
    fn new(calls: Option<&'static Calls>) -> Rig {
        Rig {
            poller: Iocp::with_packets(calls).unwrap(),
            events: Events::with_capacity(8),
        }
    }

    fn add(&self, child: &Child, key: u64, trigger: Trigger) -> Ticket {
        let source = Source::process(child);
        // SAFETY: the tests delete it before the child is dropped, or drop the poller.
        unsafe { self.poller.add(source, Key(key), READABLE, trigger) }.unwrap()
    }

    fn modify(&self, ticket: &Ticket, child: &Child, key: u64, trigger: Trigger) {
        let source = Source::process(child);
        self.poller
            .modify(ticket, source, Key(key), READABLE, trigger)
            .unwrap();
    }

    fn delete(&self, ticket: Ticket, child: &Child) {
        self.poller.delete(ticket, Source::process(child)).unwrap();
    }

    fn wait(&mut self, timeout: Duration) -> Vec<Event> {
        self.poller.wait(&mut self.events, Some(timeout)).unwrap();
        self.events.iter().copied().collect()
    }

    fn expect(&mut self, key: u64) {
        let event = Event::new(Key(key), Readiness::READABLE);
        assert_eq!(self.wait(HANG), [event]);
    }

    fn expect_silence(&mut self) {
        assert_eq!(self.wait(QUIET), []);
    }

    fn is_by_packet(&self) -> bool {
        let table = lock(&self.poller.exits().table);
        let mut vigils = table.vigils.values();
        vigils.all(|vigil| matches!(vigil.wait.by, By::Packet(_)))
    }
}

#[test]
fn the_way_is_the_one_that_is_meant() {
    let mut child = child();
    for (calls, is_by_packet) in [
        (None, false),
        (Some(&stand_in::CALLS), true),
        (Some(&stand_in::NO_CREATE), false),
        (Some(&stand_in::NO_ASSOCIATE), false),
    ] {
        let rig = Rig::new(calls);
        let _ticket = rig.add(&child, 1, Trigger::Level);
        assert_eq!(rig.is_by_packet(), is_by_packet);
    }
    end(&mut child);
}

#[test]
fn exit() {
    for calls in ways() {
        for trigger in TRIGGERS {
            let mut rig = Rig::new(calls);
            let mut child = child();
            let ticket = rig.add(&child, 1, trigger);
            rig.expect_silence();
            // The wait goes on under another key.
            rig.modify(&ticket, &child, 2, trigger);
            rig.expect_silence();
            end(&mut child);
            rig.expect(2);
            if trigger == Trigger::Level {
                (0..5).for_each(|_| rig.expect(2));
            } else {
                rig.expect_silence();
            }
            rig.delete(ticket, &child);
            rig.expect_silence();
        }
    }
}

/// Row a09: children that are gone before, during and after the registration.
#[test]
fn a09_spawn_true_1000() {
    let mut command = Command::new("cmd.exe");
    command.args(["/c", "exit"]);
    for calls in ways() {
        let mut rig = Rig::new(calls);
        for key in 0..9 {
            let mut child = command.spawn().unwrap();
            if key % 3 == 0 {
                end(&mut child);
            }
            (0..key % 3 * 2_000).for_each(|_| std::thread::yield_now());
            let ticket = rig.add(&child, key, TRIGGERS[(key / 3) as usize]);
            rig.expect(key);
            rig.delete(ticket, &child);
            end(&mut child);
        }
    }
}

/// Row a10: told again for each time that the owner asks, and no more often.
#[test]
fn a10_pidfd_spurious() {
    let mut child = child();
    end(&mut child);
    for calls in ways() {
        for trigger in [Trigger::Edge, Trigger::OneShot] {
            let mut rig = Rig::new(calls);
            let ticket = rig.add(&child, 1, trigger);
            rig.expect(1);
            for key in 0..10 {
                rig.expect_silence();
                // The second finds a packet on its way.
                rig.modify(&ticket, &child, 99, trigger);
                rig.modify(&ticket, &child, key, trigger);
                rig.expect(key);
                rig.expect_silence();
                rig.poller.rearm(&ticket, READABLE).unwrap();
                if trigger == Trigger::Edge {
                    rig.expect(key);
                }
            }
            rig.expect_silence();
            rig.delete(ticket, &child);
        }
    }
}

/// What was in the port when its process was deleted finds nobody, and no other process.
#[test]
fn a_packet_of_one_that_was_deleted() {
    let (mut gone, mut alive) = (child(), child());
    end(&mut gone);
    for calls in ways().into_iter().chain([Some(&stand_in::NO_CANCEL)]) {
        for trigger in TRIGGERS {
            let mut rig = Rig::new(calls);
            let ticket = rig.add(&gone, 1, trigger);
            rig.expect(1);
            // One that tells again.
            rig.modify(&ticket, &gone, 2, trigger);
            rig.delete(ticket, &gone);
            let ticket = rig.add(&alive, 3, trigger);
            rig.expect_silence();
            // And one that tells for the first time, or is about to.
            let other = rig.add(&gone, 4, trigger);
            rig.delete(other, &gone);
            rig.expect_silence();
            rig.delete(ticket, &alive);
        }
    }
    end(&mut alive);
}

#[test]
fn a_packet_that_is_refused_later_is_posted() {
    let mut child = child();
    end(&mut child);
    for trigger in [Trigger::Level, Trigger::Edge] {
        let mut rig = Rig::new(Some(&stand_in::CALLS));
        let ticket = rig.add(&child, 1, trigger);
        rig.expect(1);
        for vigil in lock(&rig.poller.exits().table).vigils.values_mut() {
            let By::Packet(packet) = &mut vigil.wait.by else {
                panic!("no packet");
            };
            // The same packet: it is taken back by the same `cancel`.
            packet.replace_calls(&stand_in::NO_ASSOCIATE);
        }
        rig.modify(&ticket, &child, 2, trigger);
        rig.expect(2);
        rig.delete(ticket, &child);
        rig.expect_silence();
    }
}

/// Whoever is waited for when the poller goes lives on.
#[test]
fn a_poller_that_goes_first() {
    let mut child = child();
    for calls in ways() {
        let rig = Rig::new(calls);
        let ticket = rig.add(&child, 1, Trigger::Edge);
        let port = Arc::downgrade(rig.poller.port());
        drop(rig);
        assert!(port.upgrade().is_none(), "nothing keeps the port");
        drop(ticket);
    }
    end(&mut child);
}
