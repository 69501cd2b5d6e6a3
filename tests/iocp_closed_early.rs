//! Sockets that are closed before they are deleted, in the one order in which `Iocp` then asks AFD
//! about a number that means nothing, or something else.
//!
//! That is a breach of the contract of `add`, from which nothing worse may come than events under a
//! foreign key. The tests stand in a program of their own, and take turns, so that the number is
//! nobody's: Wine's server (8.0) does not survive a poll that names a socket which another thread is
//! just about to make.
#![cfg(windows)]

#[path = "support/mod.rs"]
mod support;

use std::sync::Mutex;

use ekio::poller::iocp::Iocp;
use ekio::poller::{Interest, Poller as _, Readiness, Source, Trigger};

use support::net::{send, tcp_pair, udp_to_itself};
use support::repeat;

const READABLE: Interest = Interest::READABLE;

static TURN: Mutex<()> = Mutex::new(());

type Rig = support::rig::Rig<Iocp>;

/// Row a02: what cannot be asked about any more spoils no `wait`.
#[test]
fn a02_closed_before_the_next_poll() {
    let _turn = TURN.lock();
    let mut rig = Rig::new();
    let census = rig.poller.census();
    let (near, far) = tcp_pair();
    let (good, good_peer) = tcp_pair();
    let good_ticket = rig.add(Source::socket(&good), 2, READABLE, Trigger::Level);
    let ticket = rig.add(Source::socket(&near), 1, READABLE, Trigger::Level);
    send(&far, b"x");
    rig.expect(1, Readiness::READABLE);
    // The next wait will ask AFD about a socket that there is no more.
    drop(near);
    rig.expect_silence();
    send(&good_peer, b"x");
    rig.expect(2, Readiness::READABLE);
    rig.delete(ticket, Source::socket(&good));
    rig.delete(good_ticket, Source::socket(&good));
    drop(rig);
    assert_eq!(census(), (0, 0), "(in the kernel, in memory)");
}

#[test]
fn a24_closed_before_the_next_poll() {
    let _turn = TURN.lock();
    for round in 0..repeat(10_000) {
        let mut rig = Rig::new();
        let census = rig.poller.census();
        let socket = udp_to_itself();
        let trigger = [Trigger::Level, Trigger::Edge, Trigger::OneShot][round % 3];
        let ticket = rig.add(Source::socket(&socket), 1, READABLE, trigger);
        socket.send(b"x").unwrap();
        rig.expect(1, Readiness::READABLE);
        drop(socket);
        // Refused, or told that it is gone; and `wait` does not mind.
        let answer = rig.poller.rearm(&ticket, READABLE);
        assert_eq!(answer.is_err(), trigger == Trigger::Edge);
        rig.settle();
        match round & 1 {
            0 => drop(ticket),
            _ => {
                let other = udp_to_itself();
                rig.delete(ticket, Source::socket(&other));
            }
        }
        drop(rig);
        assert_eq!(census(), (0, 0), "(in the kernel, in memory)");
    }
}
