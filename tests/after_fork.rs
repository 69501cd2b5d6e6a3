//! A child of `fork` has none of its parent's threads and cannot use its parent's queues; it gets its
//! own. Forks concern the whole process, so this program has one test.

#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::net::UdpSocket;
use std::time::Duration;

use ekio::io::Async;
use futures_lite::future::{block_on, zip};
use support::unix::in_a_fork;

/// What needs the shared reactor, and its thread.
fn talk() {
    let socket = support::net::udp_to_itself();
    talk_by(&Async::new(socket).unwrap());
}

fn talk_by(socket: &Async<UdpSocket>) {
    block_on(async {
        let mut byte = [0];
        let receive = socket.read_with(|socket| socket.recv(&mut byte));
        let send = async {
            ekio::time::sleep(Duration::from_millis(1)).await;
            socket.write_with(|socket| socket.send(b"x")).await
        };
        let (received, sent) = zip(receive, send).await;
        assert_eq!((received.unwrap(), sent.unwrap()), (1, 1));
    });
}

#[test]
fn b_fork_outside_of_block_on() {
    let socket = Async::new(support::net::udp_to_itself()).unwrap();
    talk_by(&socket);
    let answer = in_a_fork(|| {
        let outcome = std::panic::catch_unwind(talk);
        i32::from(outcome.is_err())
    });
    assert_eq!(answer, 0);
    talk_by(&socket);
    talk();
}
