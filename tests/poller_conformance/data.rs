//! Data, room, connections and datagrams come and are taken.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;

use ekio::poller::{Interest, Poller, Readiness, Source, Trigger};

use crate::support::net::{
    End, connect, drain, drain_data, fill, receive_urgent, send, send_urgent, tcp_listener,
    tcp_pair, udp_to_itself,
};
use crate::support::rig::Rig;
use crate::support::skipped;

const READABLE: Interest = Interest::READABLE;
const WRITABLE: Interest = Interest::WRITABLE;

pub fn arrives<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let wish = (7, READABLE, trigger);
    let ticket = rig.add(source, 7, READABLE, trigger);
    rig.expect_silence();
    for round in 0..3 {
        send(&far, b"hello");
        let readiness = rig.expect(7, Readiness::READABLE);
        assert!(!readiness.intersects(Readiness::TERMINAL), "{readiness:?}");
        match trigger {
            Trigger::Level => {
                rig.expect(7, Readiness::READABLE);
            }
            Trigger::Edge => {}
            Trigger::OneShot => rig.expect_silence(),
        }
        assert_eq!(drain_data(&near), b"hello", "round {round}");
        rig.ask_again(&ticket, source, wish, READABLE);
        rig.expect_silence();
    }
    rig.delete(ticket, source);
}

pub fn holds_at_add<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    send(&far, b"early");
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, READABLE, trigger);
    rig.expect(1, Readiness::READABLE);
    // A change of mind is told anew what holds.
    rig.modify(&ticket, source, 2, READABLE, trigger);
    rig.expect(2, Readiness::READABLE);
    assert_eq!(drain_data(&near), b"early");
    rig.delete(ticket, source);
}

pub fn partly_read<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let wish = (1, READABLE, trigger);
    let ticket = rig.add(source, 1, READABLE, trigger);
    send(&far, b"abcd");
    rig.expect(1, Readiness::READABLE);
    let mut part = [0; 2];
    (&near).read_exact(&mut part).unwrap();
    assert_eq!(&part, b"ab");
    match trigger {
        Trigger::Level => {
            rig.expect(1, Readiness::READABLE);
        }
        // The owner has not met would-block, so nothing is promised, and nothing forbidden.
        Trigger::Edge => rig.settle(),
        Trigger::OneShot => {
            rig.expect_silence();
            rig.modify(&ticket, source, 1, READABLE, trigger);
            rig.expect(1, Readiness::READABLE);
        }
    }
    rig.forget();
    assert_eq!(drain_data(&near), b"cd");
    rig.ask_again(&ticket, source, wish, READABLE);
    rig.expect_silence();
    send(&far, b"e");
    rig.expect(1, Readiness::READABLE);
    assert_eq!(drain_data(&near), b"e");
    rig.delete(ticket, source);
}

pub fn room_to_write<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let wish = (1, WRITABLE, trigger);
    let ticket = rig.add(source, 1, WRITABLE, trigger);
    let readiness = rig.expect(1, Readiness::WRITABLE);
    assert!(!readiness.intersects(Readiness::TERMINAL), "{readiness:?}");
    assert_eq!(fill(&near).1, End::WouldBlock);
    rig.ask_again(&ticket, source, wish, WRITABLE);
    rig.forget();
    // How much room there must be is the system's affair, so take everything until we are told.
    rig.expect_while(1, Readiness::WRITABLE, || drain_data(&far));
    rig.delete(ticket, source);
}

pub fn both_directions<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let wish = (1, Interest::BOTH, trigger);
    let ticket = rig.add(source, 1, Interest::BOTH, trigger);
    rig.expect(1, Readiness::WRITABLE);
    send(&far, b"x");
    if trigger == Trigger::OneShot {
        // One event quiets both directions.
        rig.expect_silence();
        rig.modify(&ticket, source, 1, Interest::BOTH, trigger);
    }
    rig.expect(1, Readiness::READABLE);
    assert_eq!(drain_data(&near), b"x");
    rig.ask_again(&ticket, source, wish, READABLE);
    rig.forget();
    send(&far, b"y");
    rig.expect(1, Readiness::READABLE);
    // To lose interest in one direction is heard at once.
    assert_eq!(drain_data(&near), b"y");
    rig.modify(&ticket, source, 1, READABLE, trigger);
    rig.expect_silence();
    rig.delete(ticket, source);
}

/// Far more sources are ready than there is room in the list: each has its turn.
pub fn hundreds_of_events<P: Poller>(trigger: Trigger) {
    const COUNT: u64 = 200;
    #[cfg(unix)]
    crate::support::unix::raise_open_files();
    let mut rig = Rig::<P>::with_room_for(7);
    let sockets: Vec<_> = (0..COUNT).map(|_| udp_to_itself()).collect();
    let mut tickets = Vec::new();
    for (key, socket) in (0..).zip(&sockets) {
        socket.send(b"x").unwrap();
        tickets.push(rig.add(Source::socket(socket), key, READABLE, trigger));
    }
    let mut counts = vec![0_u32; sockets.len()];
    // Fair enough is: everybody within five times the number of waits that it takes at best.
    let mut waits = 0;
    while counts.contains(&0) {
        waits += 1;
        assert!(waits <= 5 * COUNT.div_ceil(7), "starved: {counts:?}");
        let events = rig.wait(crate::support::HANG);
        assert!(!events.is_empty() && events.len() <= 7);
        for event in events {
            assert!(event.readiness.is_readable());
            counts[usize::try_from(event.key.0).unwrap()] += 1;
        }
    }
    if trigger == Trigger::OneShot {
        assert!(counts.iter().all(|count| *count == 1), "{counts:?}");
        rig.expect_silence();
    }
    for (ticket, socket) in tickets.into_iter().zip(&sockets) {
        rig.delete(ticket, Source::socket(socket));
    }
    rig.expect_silence();
}

pub fn connection_to_accept<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (listener, address) = tcp_listener();
    let source = Source::socket(&listener);
    let wish = (1, READABLE, trigger);
    let ticket = rig.add(source, 1, READABLE, trigger);
    rig.expect_silence();
    for _ in 0..2 {
        let _near = connect(address).unwrap();
        rig.expect(1, Readiness::READABLE);
        listener.accept().unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        rig.ask_again(&ticket, source, wish, READABLE);
        rig.forget();
    }
    rig.expect_silence();
    rig.delete(ticket, source);
}

pub fn datagram<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let socket = udp_to_itself();
    let source = Source::socket(&socket);
    let wish = (1, READABLE, trigger);
    let ticket = rig.add(source, 1, READABLE, trigger);
    rig.expect_silence();
    for _ in 0..2 {
        socket.send(b"x").unwrap();
        rig.expect(1, Readiness::READABLE);
        let mut buffer = [0; 4];
        assert_eq!(socket.recv(&mut buffer).unwrap(), 1);
        let error = socket.recv(&mut buffer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        rig.ask_again(&ticket, source, wish, READABLE);
        rig.forget();
    }
    rig.delete(ticket, source);
}

/// Reading goes past the poller (by another handle of the same socket); one call re-arms.
pub fn raw_read_rearm<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let elsewhere: TcpStream = near.try_clone().unwrap();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, READABLE, trigger);
    for _ in 0..3 {
        send(&far, b"x");
        rig.expect(1, Readiness::READABLE);
        assert_eq!(drain_data(&elsewhere), b"x");
        rig.rearm(&ticket, READABLE);
        rig.forget();
    }
    rig.delete(ticket, source);
}

pub fn out_of_band<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    if !P::CAPS.priority {
        let error = rig.try_add(source, 1, Interest::PRIORITY, trigger);
        assert_eq!(error.err().unwrap().kind(), ErrorKind::Unsupported);
        return skipped("this poller does not watch for out-of-band data");
    }
    let wish = (1, Interest::PRIORITY, trigger);
    let ticket = rig.add(source, 1, Interest::PRIORITY, trigger);
    // Ordinary data is none of its business.
    send(&far, b"ordinary");
    rig.expect_silence();
    for byte in *b"!?" {
        send_urgent(&far, byte);
        let readiness = rig.expect(1, Readiness::PRIORITY);
        assert!(!readiness.intersects(Readiness::TERMINAL), "{readiness:?}");
        if trigger == Trigger::OneShot {
            rig.expect_silence();
        }
        assert_eq!(receive_urgent(&near).unwrap(), byte);
        drain_data(&near);
        rig.ask_again(&ticket, source, wish, Interest::PRIORITY);
        rig.forget();
    }
    rig.expect_silence();
    rig.delete(ticket, source);
}

/// Data and the end of the stream may come as one edge: whoever trusts a short read to have emptied
/// the socket must have been told of the end.
pub fn short_read_with_fin<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, READABLE, trigger);
    send(&far, b"last");
    far.shutdown(std::net::Shutdown::Write).unwrap();
    let mut readiness = rig.expect(1, Readiness::READABLE);
    let mut buffer = [0; 100];
    assert_eq!((&near).read(&mut buffer).unwrap(), 4, "a short read");
    if P::CAPS.short_read_proves_empty {
        // It counts as would-block, then.
        rig.rearm(&ticket, READABLE);
        while !readiness.contains(Readiness::READ_CLOSED) {
            readiness |= rig.expect_any(1);
        }
    }
    assert_eq!(drain(&near), (Vec::new(), End::Closed));
    rig.delete(ticket, source);
}

/// A read stops at the urgent mark though there is more behind it: whoever reads on until
/// would-block gets it.
pub fn short_read_at_urgent_mark<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, READABLE, trigger);
    send(&far, b"ab");
    send_urgent(&far, b'!');
    send(&far, b"cd");
    let mut data = Vec::new();
    while data.len() < 4 {
        rig.expect(1, Readiness::READABLE);
        let mut buffer = [0; 100];
        while let Ok(count) = (&near).read(&mut buffer) {
            assert_ne!(count, 0);
            data.extend_from_slice(&buffer[..count]);
        }
        rig.rearm(&ticket, READABLE);
    }
    assert_eq!(data, b"abcd");
    rig.delete(ticket, source);
}
