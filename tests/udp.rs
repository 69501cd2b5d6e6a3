//! Datagrams arrive whole, from whomever, wherever they are waited for.

#[path = "support/mod.rs"]
mod support;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::thread;

use ekio::net::UdpSocket;
use ekio::poller::OsPoller;
use futures_lite::future::{or, poll_fn, zip};
use support::futures::{Counter, cancel, everywhere, poll_once, poll_with, until_one_waits};
use support::watchdog::Watchdog;
use support::{repeat, skipped};

async fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Two sockets that are connected to each other.
async fn pair() -> (UdpSocket, UdpSocket) {
    let ((one, here), (other, there)) = (bind().await, bind().await);
    one.connect(there).await.unwrap();
    other.connect(here).await.unwrap();
    assert_eq!(one.peer_addr().unwrap(), there);
    (one, other)
}

/// An address where nobody is (any longer).
async fn nobody() -> SocketAddr {
    bind().await.1
}

#[test]
fn unconnected_with_many() {
    everywhere(|| async {
        let (server, address) = bind().await;
        let mut buffer = [0; 64];
        let (one, other) = (bind().await, bind().await);
        for round in 0..100_u8 {
            for (client, name) in [&one, &other] {
                cancel(server.recv_from(&mut buffer)).await;
                let message = [round; 40];
                let send = client.send_to(&message, address);
                let receive = server.recv_from(&mut buffer);
                let (sent, received) = zip(send, receive).await;
                assert_eq!((sent.unwrap(), received.unwrap()), (40, (40, *name)));
                assert_eq!(buffer[..40], [round; 40]);
                server.send_to(&[round], *name).await.unwrap();
                assert_eq!(client.recv_from(&mut buffer).await.unwrap(), (1, address));
            }
        }
        let error = one.0.peer_addr().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        assert!(one.0.send(b"to whom?").await.is_err());
        assert!(format!("{server:?}").contains("UdpSocket"));
    });
}

#[test]
fn connected_to_one() {
    everywhere(|| async {
        let (near, far) = pair().await;
        let (stranger, _) = bind().await;
        let mut buffer = [0; 16];
        stranger
            .send_to(b"not for me", near.local_addr().unwrap())
            .await
            .unwrap();
        cancel(near.recv(&mut buffer)).await;
        for round in 0..100_u8 {
            let (sent, received) = zip(far.send(&[round]), near.recv(&mut buffer)).await;
            assert_eq!((sent.unwrap(), received.unwrap()), (1, 1));
            assert_eq!(buffer[0], round);
        }
        // A datagram of nothing is a datagram.
        far.send(&[]).await.unwrap();
        assert_eq!(near.recv(&mut buffer).await.unwrap(), 0);
        // And another peer than before.
        let address = stranger.local_addr().unwrap();
        near.connect(address).await.unwrap();
        near.send(b"hello").await.unwrap();
        let from = near.local_addr().unwrap();
        assert_eq!(stranger.recv_from(&mut buffer).await.unwrap(), (5, from));
    });
}

#[test]
fn a_long_datagram_is_cut() {
    everywhere(|| async {
        let (near, far) = pair().await;
        let from = far.local_addr().unwrap();
        let mut buffer = [0; 4];
        for _ in 0..2 {
            far.send(b"longer").await.unwrap();
            assert_eq!(near.peek(&mut buffer).await.unwrap(), 4);
            assert_eq!(near.peek_from(&mut buffer).await.unwrap(), (4, from));
            assert_eq!(near.recv(&mut buffer).await.unwrap(), 4);
            assert_eq!(&buffer, b"long");
            // The rest is lost, and what comes next is whole.
            far.send(b"next").await.unwrap();
            assert_eq!(near.recv_from(&mut buffer).await.unwrap(), (4, from));
            assert_eq!(&buffer, b"next");
            far.send(b"longer").await.unwrap();
            assert_eq!(near.recv_from(&mut buffer[..2]).await.unwrap(), (2, from));
            far.send(b"longer").await.unwrap();
            assert_eq!(near.recv(&mut []).await.unwrap(), 0);
            cancel(near.recv(&mut buffer)).await;
        }
    });
}

#[test]
fn a_peek_takes_nothing() {
    everywhere(|| async {
        let (near, far) = pair().await;
        let mut buffer = [0; 16];
        cancel(near.peek(&mut buffer)).await;
        cancel(near.peek_from(&mut buffer)).await;
        far.send(b"seen").await.unwrap();
        for _ in 0..3 {
            assert_eq!(near.peek(&mut buffer).await.unwrap(), 4);
            let from = far.local_addr().unwrap();
            assert_eq!(near.peek_from(&mut buffer).await.unwrap(), (4, from));
        }
        assert_eq!(near.recv(&mut buffer).await.unwrap(), 4);
        cancel(near.peek(&mut buffer)).await;
    });
}

/// A peer that is gone is no reason not to hear the others.
#[test]
fn b_udp_connreset() {
    everywhere(|| async {
        let (server, address) = bind().await;
        let (good, good_address) = bind().await;
        let mut buffer = [0; 16];
        for round in 0..20_u8 {
            for _ in 0..3 {
                server.send_to(b"anybody?", nobody().await).await.unwrap();
            }
            good.send_to(&[round], address).await.unwrap();
            let received = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!((received, buffer[0]), ((1, good_address), round));
            cancel(server.recv_from(&mut buffer)).await;
            server.send_to(b"answer", good_address).await.unwrap();
            assert_eq!(good.recv_from(&mut buffer).await.unwrap(), (6, address));
        }
        assert!(server.take_error().unwrap().is_none());
        // One that has come from `std` is treated in the same way.
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        server.send_to(b"anybody?", nobody().await).unwrap();
        let server = UdpSocket::from_std(server).unwrap();
        server.send_to(b"anybody?", nobody().await).await.unwrap();
        let address = server.local_addr().unwrap();
        good.send_to(b"me", address).await.unwrap();
        assert_eq!(server.recv(&mut buffer).await.unwrap(), 2);
    });
}

/// A connected peer that is gone is told of once, and when it is back it is heard.
#[test]
fn a_refusal_is_reported_once() {
    everywhere(|| async {
        let (near, here) = bind().await;
        let there = nobody().await;
        near.connect(there).await.unwrap();
        let mut buffer = [0; 16];
        near.send(b"anybody?").await.unwrap();
        if cfg!(windows) {
            skipped("Windows does not tell that a peer is gone, and it need not");
        } else if support::is_libkqueue::<OsPoller>() {
            skipped("libkqueue takes the error itself");
        } else {
            let error = near.recv(&mut buffer).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
        // (Wine leaves it to the host, which may tell after all.)
        let _ = near.take_error();
        let far = UdpSocket::bind(there).await.unwrap();
        far.send_to(b"here I am", here).await.unwrap();
        assert_eq!(near.recv(&mut buffer).await.unwrap(), 9);
        cancel(near.recv(&mut buffer)).await;
        near.send(b"welcome").await.unwrap();
        assert_eq!(far.recv_from(&mut buffer).await.unwrap(), (7, here));
    });
}

#[test]
fn now_or_never() {
    everywhere(|| async {
        let (near, far) = pair().await;
        let from = far.local_addr().unwrap();
        let mut buffer = [0; 16];
        for round in 0..50_u8 {
            let readable = until_one_waits(|| {
                let error = near.try_recv(&mut buffer).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                near.readable()
            })
            .await;
            far.writable().await.unwrap();
            assert_eq!(far.try_send(&[round]).unwrap(), 1);
            readable.await.unwrap();
            // Somebody who waits finds it, too.
            assert_eq!(near.peek(&mut buffer).await.unwrap(), 1);
            assert_eq!(near.try_recv_from(&mut buffer).unwrap(), (1, from));
            assert_eq!(buffer[0], round);
        }
        let (sender, from) = bind().await;
        let (receiver, to) = bind().await;
        assert_eq!(sender.try_send_to(b"x", to).unwrap(), 1);
        receiver.readable().await.unwrap();
        assert_eq!(receiver.recv_from(&mut buffer).await.unwrap(), (1, from));
    });
}

#[test]
fn by_hand() {
    everywhere(|| async {
        let (near, here) = bind().await;
        let (far, there) = bind().await;
        let mut buffer = [0; 16];
        let sent = poll_fn(|cx| far.poll_send_to(cx, b"one", here)).await;
        assert_eq!(sent.unwrap(), 3);
        let received = poll_fn(|cx| near.poll_recv_from(cx, &mut buffer)).await;
        assert_eq!(received.unwrap(), (3, there));
        near.connect(there).await.unwrap();
        far.connect(here).await.unwrap();
        let sent = poll_fn(|cx| near.poll_send(cx, b"two")).await;
        assert_eq!(sent.unwrap(), 3);
        let received = poll_fn(|cx| far.poll_recv(cx, &mut buffer)).await;
        assert_eq!((received.unwrap(), &buffer[..3]), (3, &b"two"[..]));
    });
}

#[test]
fn two_receivers_share_a_socket() {
    everywhere(|| async {
        let (near, far) = pair().await;
        let receive = || async {
            let mut byte = [0];
            assert_eq!(near.recv(&mut byte).await.unwrap(), 1);
            byte[0]
        };
        let mut both = pin!(zip(receive(), receive()));
        assert!(poll_once(both.as_mut()).await.is_pending());
        far.send(b"a").await.unwrap();
        far.send(b"b").await.unwrap();
        let (one, other) = both.await;
        assert_eq!([one.min(other), one.max(other)], *b"ab");
    });
}

#[test]
fn a_dropped_receive_loses_no_datagram() {
    everywhere(|| async {
        let (near, far) = pair().await;
        for round in 0..repeat(10_000) {
            let byte = [round as u8];
            let mut buffer = [0; 1];
            cancel(near.recv(&mut buffer)).await;
            // One that is dropped with its wake under way.
            let send = async {
                far.send(&byte).await.unwrap();
                None
            };
            let receive = async { Some(near.recv(&mut buffer).await.unwrap()) };
            if or(send, receive).await.is_none() {
                near.recv(&mut buffer).await.unwrap();
            }
            assert_eq!(buffer, byte);
        }
    });
}

#[test]
fn from_one_block_on_to_the_next_on_another_thread() {
    let _watchdog = Watchdog::start();
    let (mut near, mut far) = ekio::block_on(async {
        let (near, far) = pair().await;
        cancel(near.recv(&mut [0])).await;
        cancel(far.recv(&mut [0])).await;
        (near, far)
    });
    for round in 0..repeat(1_000) as u8 {
        let thread = thread::spawn(move || {
            ekio::block_on(async {
                let mut byte = [0];
                let (received, sent) = zip(far.recv(&mut byte), near.send(&[round])).await;
                assert_eq!((received.unwrap(), sent.unwrap()), (1, 1));
                assert_eq!(byte, [round]);
            });
            (near, far)
        });
        (near, far) = thread.join().unwrap();
    }
    // Outside of any, what waited inside of one is woken, and finds another reactor.
    let (counter, waker) = Counter::new();
    let mut byte = [0];
    let mut receive = pin!(near.recv(&mut byte));
    ekio::block_on(async { assert!(poll_with(receive.as_mut(), &waker).is_pending()) });
    counter.wait_for(1);
    assert!(poll_with(receive.as_mut(), &waker).is_pending());
    futures_lite::future::block_on(far.send(b"x")).unwrap();
    counter.wait_for(2);
    assert!(poll_with(receive, &waker).is_ready());
}

#[test]
fn b_blocking_std() {
    everywhere(|| async {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = UdpSocket::from_std(socket).unwrap();
        // It would block for ever if the mode were not changed.
        cancel(socket.recv(&mut [0])).await;
        let socket = socket.into_std().unwrap();
        let blocked = socket.recv(&mut [0]).unwrap_err();
        assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
        let socket = UdpSocket::from_std(socket).unwrap();
        let itself = socket.local_addr().unwrap();
        socket.send_to(b"x", itself).await.unwrap();
        assert_eq!(socket.recv(&mut [0]).await.unwrap(), 1);
    });
}

#[test]
fn options_reach_the_socket() {
    everywhere(|| async {
        let (socket, _) = bind().await;
        assert!(!socket.broadcast().unwrap());
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
        socket.set_ttl(42).unwrap();
        assert_eq!(socket.ttl().unwrap(), 42);
        assert!(socket.multicast_loop_v4().unwrap());
        socket.set_multicast_loop_v4(false).unwrap();
        assert!(!socket.multicast_loop_v4().unwrap());
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 1);
        socket.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 3);
        assert!(socket.take_error().unwrap().is_none());

        let Ok(socket) = UdpSocket::bind("[::1]:0").await else {
            return skipped("this machine has no IPv6");
        };
        assert!(socket.multicast_loop_v6().unwrap());
        socket.set_multicast_loop_v6(false).unwrap();
        assert!(!socket.multicast_loop_v6().unwrap());
        assert_eq!(socket.multicast_ttl_v6().unwrap(), 1);
        socket.set_multicast_ttl_v6(3).unwrap();
        assert_eq!(socket.multicast_ttl_v6().unwrap(), 3);
    });
}

#[test]
fn a_group_hears_what_is_sent_to_it() {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 1);
    everywhere(|| async {
        let member = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        // On loopback, so that nothing leaves the machine.
        if let Err(error) = member.join_multicast_v4(GROUP, Ipv4Addr::LOCALHOST) {
            return skipped(&format!("loopback has no groups here: {error}"));
        }
        let port = member.local_addr().unwrap().port();
        let (sender, from) = bind().await;
        let mut buffer = [0; 16];
        if let Err(error) = sender.send_to(b"to all", (GROUP, port)).await {
            return skipped(&format!("there is no route to a group here: {error}"));
        }
        assert_eq!(member.recv_from(&mut buffer).await.unwrap(), (6, from));
        member
            .leave_multicast_v4(GROUP, Ipv4Addr::LOCALHOST)
            .unwrap();
        let again = member.leave_multicast_v4(GROUP, Ipv4Addr::LOCALHOST);
        assert!(again.is_err());
    });
}

#[test]
fn a_group_of_ipv6_is_joined_and_left() {
    let group: Ipv6Addr = "ff01::77:1".parse().unwrap();
    everywhere(|| async {
        let Ok(member) = UdpSocket::bind("[::]:0").await else {
            return skipped("this machine has no IPv6");
        };
        if let Err(error) = member.join_multicast_v6(group, 0) {
            return skipped(&format!("no interface has groups of IPv6: {error}"));
        }
        member.leave_multicast_v6(group, 0).unwrap();
        assert!(member.leave_multicast_v6(group, 0).is_err());
    });
}

#[test]
fn ipv6_if_the_machine_has_it() {
    everywhere(|| async {
        let Ok(socket) = UdpSocket::bind("[::1]:0").await else {
            return skipped("this machine has no IPv6");
        };
        let itself = socket.local_addr().unwrap();
        socket.send_to(b"six", itself).await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(socket.peek_from(&mut buffer).await.unwrap(), (3, itself));
        assert_eq!(socket.recv_from(&mut buffer).await.unwrap(), (3, itself));
    });
}

#[test]
fn addresses_are_tried_in_turn() {
    everywhere(|| async {
        let (_held, taken) = bind().await;
        let error = UdpSocket::bind(taken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = UdpSocket::bind([taken, free]).await.unwrap();
        let error = UdpSocket::bind(&[][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = socket.connect(&[][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = socket.send_to(b"x", &[][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        // A name is resolved.
        let port = taken.port();
        socket.send_to(b"x", ("localhost", port)).await.ok();
    });
}

#[test]
fn everything_is_send_and_sync() {
    fn check<T: Send + Sync + Unpin>(_: &T) {}
    fn check_send<T: Send>(_: T) {}
    everywhere(|| async {
        let (socket, address) = bind().await;
        check(&socket);
        check_send(UdpSocket::bind("name:1"));
        check_send(socket.connect("name:1"));
        check_send(socket.send_to(b"x", "name:1"));
        check_send(socket.send_to(b"x", address));
        check_send(socket.recv_from(&mut [0]));
        check_send(socket.readable());
    });
}
