//! What is `Iocp`'s own: AFD, the port, and who owns the memory that the kernel borrows.
//!
//! What it shares with every other backend is in `poller_conformance`.
#![cfg(windows)]

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::windows::io::{AsRawSocket as _, FromRawHandle as _, OwnedHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ekio::poller::iocp::{Associated, Iocp, Request, Ticket};
use ekio::poller::{Event, Events, Interest, Key, Poller, Readiness, Source, Trigger};

/// A test that takes longer hangs.
const WATCHDOG: Duration = Duration::from_secs(30);
/// Long enough to believe that nothing more will come.
const QUIET: Duration = Duration::from_millis(50);

/// How often to repeat what a soak repeats `whole` times.
fn repeat(whole: usize) -> usize {
    let factor = std::env::var("EKIO_REPEAT").ok();
    match factor.and_then(|factor| factor.parse::<usize>().ok()) {
        Some(times) => times.min(whole),
        None => whole / 100,
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (there, _) = listener.accept().unwrap();
    for stream in [&here, &there] {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
    }
    (here, there)
}

/// A port of this machine on which nobody listens.
fn deserted() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn add(
    poller: &Iocp,
    stream: &TcpStream,
    key: u64,
    interest: Interest,
    trigger: Trigger,
) -> Ticket {
    // SAFETY: each test deletes its sockets before it closes them, or tests what happens otherwise,
    // and then it minds no foreign events.
    unsafe { poller.add(Source::socket(stream), Key(key), interest, trigger) }.unwrap()
}

/// Waits until this key has shown at least this, and gives all that it has shown.
fn wait_for(poller: &Iocp, key: u64, wanted: Readiness) -> Readiness {
    let mut events = Events::with_capacity(64);
    let mut seen = Readiness::NONE;
    let start = Instant::now();
    while !seen.contains(wanted) {
        assert!(
            start.elapsed() < WATCHDOG,
            "waiting for {wanted:?}, seen {seen:?}"
        );
        poller.wait(&mut events, Some(WATCHDOG)).unwrap();
        for event in events.iter().filter(|event| event.key == Key(key)) {
            seen |= event.readiness;
        }
    }
    seen
}

/// All that comes within a while, by key.
fn quiet(poller: &Iocp) -> HashMap<u64, Readiness> {
    let mut events = Events::with_capacity(64);
    let mut seen = HashMap::new();
    let start = Instant::now();
    while start.elapsed() < QUIET {
        poller.wait(&mut events, Some(QUIET)).unwrap();
        for event in &events {
            *seen.entry(event.key.0).or_default() |= event.readiness;
        }
    }
    seen
}

fn nothing(poller: &Iocp) {
    let seen = quiet(poller);
    assert!(seen.is_empty(), "{seen:?}");
}

/// Asserts that everything the kernel had has come back, and all memory was freed.
fn assert_nothing_lives(census: impl Fn() -> (usize, usize)) {
    assert_eq!(census(), (0, 0), "(in the kernel, in memory)");
}

#[test]
fn level_reports_until_it_is_drained() {
    let poller = Iocp::new().unwrap();
    let (here, mut there) = pair();
    let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::Level);
    nothing(&poller);
    there.write_all(b"xy").unwrap();
    wait_for(&poller, 1, Readiness::READABLE);
    let mut events = Events::with_capacity(4);
    for _ in 0..5 {
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert_eq!(events.len(), 1, "at every wait");
    }
    (&here).read_exact(&mut [0; 1]).unwrap();
    wait_for(&poller, 1, Readiness::READABLE);
    (&here).read_exact(&mut [0; 1]).unwrap();
    nothing(&poller);
    there.write_all(b"z").unwrap();
    wait_for(&poller, 1, Readiness::READABLE);
    poller.delete(ticket, Source::socket(&here)).unwrap();
}

#[test]
fn level_reports_all_that_holds() {
    let poller = Iocp::new().unwrap();
    for trigger in [Trigger::Level, Trigger::OneShot] {
        let (here, mut there) = pair();
        // The poll ends at once, for the socket is writable.
        let ticket = add(&poller, &here, 1, Interest::BOTH, trigger);
        there.write_all(b"x").unwrap();
        until_readable(&here);
        let mut events = Events::with_capacity(4);
        poller.wait(&mut events, Some(WATCHDOG)).unwrap();
        let both = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(events.iter().next().unwrap().readiness, both);
        poller.delete(ticket, Source::socket(&here)).unwrap();
    }
}

/// Waits by other means than the poller's.
fn until_readable(stream: &TcpStream) {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(WATCHDOG)).unwrap();
    stream.peek(&mut [0; 1]).unwrap();
    stream.set_read_timeout(None).unwrap();
    stream.set_nonblocking(true).unwrap();
}

#[test]
fn edge_needs_rearm() {
    let poller = Iocp::new().unwrap();
    let (here, mut there) = pair();
    let ticket = add(&poller, &here, 1, Interest::BOTH, Trigger::Edge);
    wait_for(&poller, 1, Readiness::WRITABLE);
    nothing(&poller);
    there.write_all(b"x").unwrap();
    // The direction that has not been reported is still asked for.
    let seen = wait_for(&poller, 1, Readiness::READABLE);
    assert!(!seen.contains(Readiness::WRITABLE), "{seen:?}");
    there.write_all(b"y").unwrap();
    nothing(&poller);
    let mut buffer = [0; 8];
    while (&here).read(&mut buffer).is_ok() {}
    poller.rearm(&ticket, Interest::READABLE).unwrap();
    nothing(&poller);
    there.write_all(b"z").unwrap();
    wait_for(&poller, 1, Readiness::READABLE);
    // Both directions at once, while data is there.
    poller.rearm(&ticket, Interest::BOTH).unwrap();
    wait_for(&poller, 1, Readiness::READABLE | Readiness::WRITABLE);
    poller.delete(ticket, Source::socket(&here)).unwrap();
}

#[test]
fn a25_raw_read_rearm() {
    use windows_sys::Win32::Networking::WinSock::recv;
    let poller = Iocp::new().unwrap();
    let (here, mut there) = pair();
    let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::Edge);
    for _ in 0..10 {
        there.write_all(b"x").unwrap();
        wait_for(&poller, 1, Readiness::READABLE);
        // A read that no wrapper sees.
        let mut buffer = [0_u8; 8];
        let raw = here.as_raw_socket() as usize;
        loop {
            // SAFETY: recv asks for a socket and for room of the length given.
            let count = unsafe { recv(raw, buffer.as_mut_ptr(), 8, 0) };
            if count < 0 {
                break;
            }
        }
        poller.rearm(&ticket, Interest::READABLE).unwrap();
    }
    poller.delete(ticket, Source::socket(&here)).unwrap();
}

#[test]
fn c01_short_read_with_fin() {
    let poller = Iocp::new().unwrap();
    let (here, mut there) = pair();
    let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::Edge);
    there.write_all(b"xyz").unwrap();
    there.shutdown(Shutdown::Write).unwrap();
    wait_for(&poller, 1, Readiness::READABLE);
    let mut buffer = [0; 8];
    assert_eq!((&here).read(&mut buffer).unwrap(), 3);
    // A short read is proof enough here: the end is reported after it.
    poller.rearm(&ticket, Interest::READABLE).unwrap();
    // (It may have been told with the data.)
    assert_eq!((&here).read(&mut buffer).unwrap(), 0);
    poller.delete(ticket, Source::socket(&here)).unwrap();
}

#[test]
fn one_shot_is_quiet_until_modify() {
    let poller = Iocp::new().unwrap();
    let (here, mut there) = pair();
    let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::OneShot);
    there.write_all(b"x").unwrap();
    wait_for(&poller, 1, Readiness::READABLE);
    there.write_all(b"y").unwrap();
    nothing(&poller);
    let source = Source::socket(&here);
    for key in 2..5 {
        poller
            .modify(
                &ticket,
                source,
                Key(key),
                Interest::READABLE,
                Trigger::OneShot,
            )
            .unwrap();
        wait_for(&poller, key, Readiness::READABLE);
        nothing(&poller);
    }
    poller.delete(ticket, source).unwrap();
}

#[test]
fn silence() {
    let poller = Iocp::new().unwrap();
    let (here, there) = pair();
    let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::Level);
    let source = Source::socket(&here);
    poller
        .modify(&ticket, source, Key(1), Interest::NONE, Trigger::Level)
        .unwrap();
    drop(there);
    nothing(&poller);
    poller
        .modify(&ticket, source, Key(2), Interest::READABLE, Trigger::Level)
        .unwrap();
    let seen = wait_for(&poller, 2, Readiness::READABLE);
    assert!(seen.contains(Readiness::READ_CLOSED));
    poller.delete(ticket, source).unwrap();
}

#[test]
fn accept() {
    let poller = Iocp::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let source = Source::socket(&listener);
    // SAFETY: deleted below, before it is closed.
    let ticket = unsafe { poller.add(source, Key(1), Interest::READABLE, Trigger::Edge) }.unwrap();
    for _ in 0..3 {
        nothing(&poller);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        wait_for(&poller, 1, Readiness::READABLE);
        listener.accept().unwrap();
        assert!(listener.accept().is_err());
        poller.rearm(&ticket, Interest::READABLE).unwrap();
    }
    poller.delete(ticket, source).unwrap();
}

/// A TCP socket that is being connected.
fn connecting(address: SocketAddr) -> TcpStream {
    use std::os::windows::io::FromRawSocket as _;
    use windows_sys::Win32::Networking::WinSock::{
        AF_INET, FIONBIO, IN_ADDR, IN_ADDR_0, INVALID_SOCKET, SOCK_STREAM, SOCKADDR_IN, connect,
        ioctlsocket, socket,
    };
    let SocketAddr::V4(address) = address else {
        panic!("an IPv4 address is wanted")
    };
    // std starts Winsock when it makes its first socket.
    drop(TcpListener::bind("127.0.0.1:0"));
    // SAFETY: socket asks for nothing but numbers.
    let raw = unsafe { socket(AF_INET.into(), SOCK_STREAM, 0) };
    assert_ne!(raw, INVALID_SOCKET);
    // SAFETY: from_raw_socket asks for an open socket that nobody else owns: the one just made.
    let stream = unsafe { TcpStream::from_raw_socket(raw as u64) };
    let mut yes = 1;
    // SAFETY: ioctlsocket asks for an integer to read.
    assert_eq!(unsafe { ioctlsocket(raw, FIONBIO, &raw mut yes) }, 0);
    let name = SOCKADDR_IN {
        sin_family: AF_INET,
        sin_port: address.port().to_be(),
        sin_addr: IN_ADDR {
            S_un: IN_ADDR_0 {
                S_addr: u32::from_ne_bytes(address.ip().octets()),
            },
        },
        sin_zero: [0; 8],
    };
    // SAFETY: connect asks for an address of the length given, which is the local above.
    let answer = unsafe { connect(raw, (&raw const name).cast(), size_of_val(&name) as i32) };
    assert_eq!(answer, -1);
    assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::WouldBlock);
    stream
}

#[test]
fn connect_succeeds() {
    let poller = Iocp::new().unwrap();
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = connecting(listener.local_addr().unwrap());
        let ticket = add(&poller, &stream, 1, Interest::WRITABLE, trigger);
        let seen = wait_for(&poller, 1, Readiness::WRITABLE);
        assert!(!seen.intersects(Readiness::TERMINAL), "{seen:?}");
        assert!(stream.take_error().unwrap().is_none());
        poller.delete(ticket, Source::socket(&stream)).unwrap();
    }
}

#[test]
fn connect_is_refused() {
    let poller = Iocp::new().unwrap();
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        for late in [false, true] {
            let stream = connecting(deserted());
            if late {
                // It has failed before the poller hears of it.
                thread::sleep(QUIET);
            }
            let ticket = add(&poller, &stream, 1, Interest::WRITABLE, trigger);
            let seen = wait_for(&poller, 1, Readiness::ERROR);
            assert!(seen.contains(Readiness::WRITABLE | Readiness::WRITE_CLOSED));
            let error = stream.take_error().unwrap().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            if trigger != Trigger::Level {
                nothing(&poller);
            }
            poller.delete(ticket, Source::socket(&stream)).unwrap();
        }
    }
}

#[test]
fn half_close_and_then_reset() {
    let poller = Iocp::new().unwrap();
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        let (here, mut there) = pair();
        let ticket = add(&poller, &here, 1, Interest::READABLE, trigger);
        there.write_all(b"last words").unwrap();
        there.shutdown(Shutdown::Write).unwrap();
        wait_for(&poller, 1, Readiness::READABLE);
        let mut words = Vec::new();
        until_readable(&here);
        here.set_nonblocking(false).unwrap();
        (&here).read_to_end(&mut words).unwrap();
        here.set_nonblocking(true).unwrap();
        assert_eq!(words, b"last words");
        let source = Source::socket(&here);
        poller
            .modify(&ticket, source, Key(2), Interest::BOTH, trigger)
            .unwrap();
        let seen = wait_for(&poller, 2, Readiness::READ_CLOSED | Readiness::WRITABLE);
        assert!(!seen.contains(Readiness::WRITE_CLOSED), "{seen:?}");
        if trigger == Trigger::Edge {
            nothing(&poller);
            // What is over is not asked for again.
            poller.rearm(&ticket, Interest::READABLE).unwrap();
            nothing(&poller);
        }
        (&here).write_all(b"answer").unwrap();
        poller.delete(ticket, source).unwrap();
    }
}

/// Closes so that the peer is told of a reset.
fn reset(stream: TcpStream) {
    use windows_sys::Win32::Networking::WinSock::{LINGER, SO_LINGER, SOL_SOCKET, setsockopt};
    let linger = LINGER {
        l_onoff: 1,
        l_linger: 0,
    };
    let raw = stream.as_raw_socket() as usize;
    // SAFETY: setsockopt asks for a value of the length given, which is the local above.
    let answer = unsafe {
        setsockopt(
            raw,
            SOL_SOCKET,
            SO_LINGER,
            (&raw const linger).cast(),
            size_of::<LINGER>() as i32,
        )
    };
    assert_eq!(answer, 0);
    drop(stream);
}

#[test]
fn a_reset_is_told() {
    let poller = Iocp::new().unwrap();
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        for interest in [Interest::READABLE, Interest::WRITABLE, Interest::BOTH] {
            let (here, there) = pair();
            let ticket = add(&poller, &here, 1, interest, trigger);
            if interest.contains(Interest::WRITABLE) {
                wait_for(&poller, 1, Readiness::WRITABLE);
            }
            reset(there);
            until_reset(&here);
            if trigger == Trigger::Edge {
                poller.rearm(&ticket, Interest::BOTH).unwrap();
            }
            if trigger == Trigger::OneShot && interest.contains(Interest::WRITABLE) {
                let source = Source::socket(&here);
                poller
                    .modify(&ticket, source, Key(1), interest, trigger)
                    .unwrap();
            }
            let closed = Readiness::READ_CLOSED | Readiness::WRITE_CLOSED;
            wait_for(&poller, 1, closed);
            match trigger {
                Trigger::Level => drop(wait_for(&poller, 1, closed)),
                Trigger::Edge => {
                    poller.rearm(&ticket, Interest::BOTH).unwrap();
                    nothing(&poller);
                }
                Trigger::OneShot => nothing(&poller),
            }
            poller.delete(ticket, Source::socket(&here)).unwrap();
        }
    }
}

fn until_reset(stream: &TcpStream) {
    stream.set_nonblocking(false).unwrap();
    // (Wine may have fetched the error for itself, and then tells of an end.)
    match stream.peek(&mut [0; 1]) {
        Ok(0) => {}
        other => assert_eq!(other.unwrap_err().kind(), io::ErrorKind::ConnectionReset),
    }
    stream.set_nonblocking(true).unwrap();
}

#[test]
fn urgent_data_has_a_direction_of_its_own() {
    use windows_sys::Win32::Networking::WinSock::{MSG_OOB, recv, send};
    let poller = Iocp::new().unwrap();
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        let (here, there) = pair();
        let ticket = add(&poller, &here, 1, Interest::PRIORITY, trigger);
        nothing(&poller);
        // SAFETY: send asks for bytes of the length given.
        let count = unsafe { send(there.as_raw_socket() as usize, b"!".as_ptr(), 1, MSG_OOB) };
        assert_eq!(count, 1);
        let seen = wait_for(&poller, 1, Readiness::PRIORITY);
        assert_eq!(seen, Readiness::PRIORITY);
        let mut byte = 0_u8;
        // SAFETY: recv asks for room of the length given.
        let count = unsafe { recv(here.as_raw_socket() as usize, &raw mut byte, 1, MSG_OOB) };
        assert_eq!((count, byte), (1, b'!'));
        nothing(&poller);
        poller.delete(ticket, Source::socket(&here)).unwrap();
    }
}

#[test]
fn what_holds_is_found_without_sleeping() {
    let poller = Iocp::new().unwrap();
    let (here, mut there) = pair();
    there.write_all(b"x").unwrap();
    until_readable(&here);
    let mut events = Events::with_capacity(4);
    let source = Source::socket(&here);
    let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::Edge);
    poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
    assert_eq!(events.len(), 1, "add");
    poller
        .modify(&ticket, source, Key(2), Interest::READABLE, Trigger::Edge)
        .unwrap();
    poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
    assert_eq!(events.len(), 1, "modify");
    poller.rearm(&ticket, Interest::READABLE).unwrap();
    poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
    assert_eq!(events.len(), 1, "rearm");
    // While a poll is under way, which must be cancelled first. (Wine cancels a moment later.)
    let (here, there) = (there, here);
    let source = Source::socket(&here);
    let other = add(&poller, &here, 3, Interest::READABLE, Trigger::Edge);
    poller
        .modify(&other, source, Key(4), Interest::BOTH, Trigger::Edge)
        .unwrap();
    wait_for(&poller, 4, Readiness::WRITABLE);
    poller.delete(other, source).unwrap();
    poller.delete(ticket, Source::socket(&there)).unwrap();
}

#[test]
fn the_table_answers() {
    let poller = Iocp::new().unwrap();
    let stranger = Iocp::new().unwrap();
    let (here, there) = pair();
    let source = Source::socket(&here);
    let ticket = add(&poller, &here, 1, Interest::BOTH, Trigger::Level);
    let twice = |poller: &Iocp| {
        // SAFETY: the socket is deleted below.
        unsafe { poller.add(source, Key(2), Interest::BOTH, Trigger::Level) }
    };
    let kind = twice(&poller).unwrap_err().kind();
    assert_eq!(kind, io::ErrorKind::AlreadyExists);
    // In the table of another poller it is new.
    let other = twice(&stranger).unwrap();
    for answer in [
        stranger.modify(&ticket, source, Key(1), Interest::BOTH, Trigger::Level),
        stranger.rearm(&ticket, Interest::BOTH),
        poller.modify(
            &ticket,
            Source::socket(&there),
            Key(1),
            Interest::BOTH,
            Trigger::Level,
        ),
        stranger.delete(ticket, source),
    ] {
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    stranger.delete(other, source).unwrap();
    // That ticket was dropped without a delete, so its place may be taken.
    let ticket = twice(&poller).unwrap();
    poller.delete(ticket, source).unwrap();
    let ticket = twice(&poller).unwrap();
    poller.delete(ticket, source).unwrap();
    for kind in [Source::Signal(2)] {
        // SAFETY: nothing is added.
        let answer = unsafe { poller.add(kind, Key(1), Interest::READABLE, Trigger::Level) };
        assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}

#[test]
fn notifications_coalesce_and_none_is_lost() {
    let poller = Iocp::new().unwrap();
    let mut events = Events::with_capacity(4);
    for _ in 0..3 {
        poller.notify().unwrap();
    }
    poller.wait(&mut events, None).unwrap();
    assert!(events.is_empty());
    let start = Instant::now();
    poller.wait(&mut events, Some(QUIET)).unwrap();
    assert!(events.is_empty() && start.elapsed() >= QUIET);

    let rounds = repeat(10_000);
    let (turns, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut events = Events::with_capacity(4);
            while turns.load(Ordering::SeqCst) < rounds {
                poller.wait(&mut events, Some(WATCHDOG)).unwrap();
                // Everything published before a notification is seen after the wait that it ended.
                turns.store(begun.load(Ordering::SeqCst), Ordering::SeqCst);
            }
        });
        for round in 1..=rounds {
            begun.store(round, Ordering::SeqCst);
            poller.notify().unwrap();
            let start = Instant::now();
            while turns.load(Ordering::SeqCst) < round {
                assert!(start.elapsed() < WATCHDOG, "a notification was lost");
                thread::yield_now();
            }
        }
    });
}

#[test]
fn posts_arrive_once_from_many_threads() {
    let poller = Iocp::new().unwrap();
    let census = poller.census();
    let each = repeat(100_000) as u64;
    let mut seen = HashMap::new();
    thread::scope(|scope| {
        for thread in 0..4 {
            let poller = &poller;
            scope.spawn(move || {
                for number in 0..each {
                    let mut event = Event::new(Key(thread), Readiness::READABLE);
                    event.payload = number;
                    poller.post(event).unwrap();
                }
            });
        }
        let mut events = Events::with_capacity(7);
        while (seen.len() as u64) < 4 * each {
            poller.wait(&mut events, Some(WATCHDOG)).unwrap();
            assert!(!events.is_empty());
            for event in &events {
                *seen.entry((event.key, event.payload)).or_insert(0) += 1;
            }
        }
    });
    assert!(seen.values().all(|count| *count == 1));
    nothing(&poller);
    // What is still in the queue at the end is freed.
    poller
        .post(Event::new(Key(1), Readiness::READABLE))
        .unwrap();
    assert_eq!(census().0, 1);
    drop(poller);
    assert_nothing_lives(census);
}

#[test]
fn time_outs_are_kept() {
    let poller = Iocp::new().unwrap();
    let mut events = Events::with_capacity(1);
    for timeout in [1, 100_000, 1_000_000, 1_500_000, 20_000_000] {
        let timeout = Duration::from_nanos(timeout);
        let start = Instant::now();
        poller.wait(&mut events, Some(timeout)).unwrap();
        assert!(start.elapsed() >= timeout && events.is_empty());
    }
    for timeout in [
        Some(Duration::MAX),
        Some(Duration::from_millis(u64::from(u32::MAX))),
        Some(Duration::from_secs(u64::from(u32::MAX))),
        None,
    ] {
        poller.notify().unwrap();
        poller.wait(&mut events, timeout).unwrap();
    }
}

#[test]
fn one_waits_at_a_time_and_each_may() {
    let poller = Iocp::new().unwrap();
    let census = poller.census();
    let (here, mut there) = pair();
    let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::Level);
    thread::scope(|scope| {
        let sleeping = scope.spawn(|| {
            let mut events = Events::with_capacity(4);
            loop {
                match poller.wait(&mut events, None) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => continue,
                    other => other.unwrap(),
                }
                if events.iter().any(|event| event.key == Key(9)) {
                    return;
                }
            }
        });
        let mut events = Events::with_capacity(4);
        let start = Instant::now();
        loop {
            match poller.wait(&mut events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => break,
                other => other.unwrap(),
            }
            assert!(start.elapsed() < WATCHDOG);
        }
        poller
            .post(Event::new(Key(9), Readiness::READABLE))
            .unwrap();
        sleeping.join().unwrap();
    });
    // A thread that is busy with what it took does not keep another one from the port.
    there.write_all(b"x").unwrap();
    wait_for(&poller, 1, Readiness::READABLE);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                wait_for(&poller, 1, Readiness::READABLE);
            }
            is_done.store(true, Ordering::SeqCst);
        });
        let start = Instant::now();
        while !is_done.load(Ordering::SeqCst) {
            assert!(start.elapsed() < WATCHDOG);
            std::hint::spin_loop();
        }
    });
    poller.delete(ticket, Source::socket(&here)).unwrap();
    drop(poller);
    assert_nothing_lives(census);
}

#[test]
fn many_sockets_through_a_small_list() {
    const COUNT: u64 = 100;
    let poller = Iocp::new().unwrap();
    let census = poller.census();
    let pairs: Vec<_> = (0..COUNT).map(|_| pair()).collect();
    let tickets: Vec<_> = (0..COUNT)
        .zip(&pairs)
        .map(|(key, (here, _))| add(&poller, here, key, Interest::READABLE, Trigger::Level))
        .collect();
    for (_, there) in &pairs {
        (&*there).write_all(b"x").unwrap();
    }
    let mut events = Events::with_capacity(8);
    let mut counts = HashMap::new();
    let start = Instant::now();
    while counts.len() < COUNT as usize || counts.values().any(|count| *count < 3) {
        assert!(start.elapsed() < WATCHDOG, "somebody is never served");
        poller.wait(&mut events, Some(WATCHDOG)).unwrap();
        assert!(events.len() <= 8);
        for event in &events {
            *counts.entry(event.key).or_insert(0) += 1;
        }
    }
    for (ticket, (here, _)) in tickets.into_iter().zip(&pairs) {
        poller.delete(ticket, Source::socket(here)).unwrap();
    }
    nothing(&poller);
    drop(poller);
    assert_nothing_lives(census);
}

/// Row a01: there is no list of sources that wait to be submitted, so none can be overlooked.
#[test]
fn a01_register_vs_wait() {
    let poller = Iocp::new().unwrap();
    let (here, mut there) = pair();
    there.write_all(b"x").unwrap();
    until_readable(&here);
    let served = AtomicUsize::new(0);
    let rounds = repeat(100_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut events = Events::with_capacity(4);
            while served.load(Ordering::SeqCst) < rounds {
                poller.wait(&mut events, None).unwrap();
                for event in &events {
                    served.fetch_max(event.key.0 as usize, Ordering::SeqCst);
                }
            }
        });
        for round in 1..=rounds {
            let key = round as u64;
            let ticket = add(&poller, &here, key, Interest::READABLE, Trigger::OneShot);
            let start = Instant::now();
            while served.load(Ordering::SeqCst) < round {
                assert!(start.elapsed() < WATCHDOG, "a registration was lost");
                thread::yield_now();
            }
            poller.delete(ticket, Source::socket(&here)).unwrap();
        }
    });
}

/// Row a02, as far as it can befall us: what cannot be submitted spoils no `wait`.
#[test]
fn a02_wait_err_then_ok() {
    let poller = Iocp::new().unwrap();
    let census = poller.census();
    let (here, mut there) = pair();
    let (good, mut good_peer) = pair();
    let good_ticket = add(&poller, &good, 2, Interest::READABLE, Trigger::Level);
    let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::Level);
    there.write_all(b"x").unwrap();
    wait_for(&poller, 1, Readiness::READABLE);
    // The next wait would ask AFD for a socket that there is no more.
    drop(here);
    nothing(&poller);
    good_peer.write_all(b"x").unwrap();
    wait_for(&poller, 2, Readiness::READABLE);
    poller.delete(ticket, Source::socket(&good)).unwrap();
    poller.delete(good_ticket, Source::socket(&good)).unwrap();
    drop(poller);
    assert_nothing_lives(census);
}

#[test]
fn submitted_by_a_thread_that_has_ended() {
    let poller = Iocp::new().unwrap();
    let (here, mut there) = pair();
    let ticket = thread::scope(|scope| {
        let adder = || add(&poller, &here, 1, Interest::READABLE, Trigger::Edge);
        scope.spawn(adder).join().unwrap()
    });
    nothing(&poller);
    there.write_all(b"x").unwrap();
    wait_for(&poller, 1, Readiness::READABLE);
    poller.delete(ticket, Source::socket(&here)).unwrap();
}

/// Row a23: modified again and again while its poll is under way.
#[test]
fn a23_modify_while_pending() {
    let poller = Iocp::new().unwrap();
    let census = poller.census();
    let (here, mut there) = pair();
    let source = Source::socket(&here);
    let ticket = add(&poller, &here, 0, Interest::NONE, Trigger::Edge);
    let is_over = AtomicBool::new(false);
    let newest = AtomicUsize::new(0);
    let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot];
    let interests = [
        Interest::READABLE,
        Interest::PRIORITY,
        Interest::BOTH,
        Interest::NONE,
        Interest::WRITABLE,
    ];
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut events = Events::with_capacity(4);
            while !is_over.load(Ordering::SeqCst) {
                poller.wait(&mut events, Some(WATCHDOG)).unwrap();
                for event in &events {
                    newest.fetch_max(event.key.0 as usize, Ordering::SeqCst);
                }
                assert!(census().0 <= 1, "one poll at a time");
            }
        });
        let rounds = repeat(10_000);
        for round in 0..rounds {
            let key = Key(round as u64 + 1);
            let (interest, trigger) = (interests[round % 5], triggers[round % 3]);
            poller
                .modify(&ticket, source, key, interest, trigger)
                .unwrap();
            if round % 7 == 0 {
                poller.rearm(&ticket, Interest::BOTH).unwrap();
            }
        }
        there.write_all(b"x").unwrap();
        let last = rounds + 1;
        poller
            .modify(
                &ticket,
                source,
                Key(last as u64),
                Interest::READABLE,
                Trigger::OneShot,
            )
            .unwrap();
        let start = Instant::now();
        while newest.load(Ordering::SeqCst) < last {
            assert!(start.elapsed() < WATCHDOG, "the last word was lost");
            thread::yield_now();
        }
        is_over.store(true, Ordering::SeqCst);
        poller.notify().unwrap();
    });
    poller.delete(ticket, source).unwrap();
    drop(poller);
    assert_nothing_lives(census);
}

/// Row a24: every order of completion, cancellation, closing and dropping.
#[test]
fn a24_afd_live_ops_zero() {
    let mut events = Events::with_capacity(8);
    for round in 0..repeat(100_000) {
        let poller = Iocp::new().unwrap();
        let census = poller.census();
        let (here, mut there) = pair();
        let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::Level);
        assert_eq!(census(), (1, 1));
        if round & 1 != 0 {
            there.write_all(b"x").unwrap();
        }
        if round & 2 != 0 {
            poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        }
        match round >> 2 & 7 {
            0 => poller.delete(ticket, Source::socket(&here)).unwrap(),
            1 => {
                poller.delete(ticket, Source::socket(&here)).unwrap();
                poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
                assert!(events.is_empty(), "deleted");
            }
            // Never deleted.
            2 => drop(ticket),
            // Closed first.
            3 => {
                drop(here);
                poller.delete(ticket, Source::socket(&there)).unwrap();
            }
            4 => {
                drop(here);
                poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
                poller.delete(ticket, Source::socket(&there)).unwrap();
            }
            5 => {
                drop(ticket);
                drop(here);
                poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            }
            // The poller goes first.
            6 => {
                drop(poller);
                assert_eq!(census(), (0, 1), "the ticket's memory is its own");
                drop(ticket);
                assert_nothing_lives(census);
                continue;
            }
            // Deleted and added again, with the old packet still to come.
            _ => {
                for key in 2..5 {
                    let ticket = add(&poller, &there, key, Interest::READABLE, Trigger::Edge);
                    poller.delete(ticket, Source::socket(&there)).unwrap();
                }
                drop(ticket);
            }
        }
        drop(poller);
        assert_nothing_lives(census);
    }
}

#[test]
fn a24_many_threads() {
    let poller = Arc::new(Iocp::new().unwrap());
    let census = poller.census();
    let rounds = repeat(10_000);
    let adders: Vec<_> = (0..3)
        .map(|_| {
            let poller = Arc::clone(&poller);
            thread::spawn(move || {
                for round in 0..rounds {
                    let (here, mut there) = pair();
                    let interest = [Interest::READABLE, Interest::BOTH][round % 2];
                    let ticket = add(&poller, &here, 1, interest, Trigger::Edge);
                    there.write_all(b"x").unwrap();
                    poller.rearm(&ticket, Interest::BOTH).unwrap();
                    poller.delete(ticket, Source::socket(&here)).unwrap();
                }
            })
        })
        .collect();
    let mut events = Events::with_capacity(8);
    while adders.iter().any(|adder| !adder.is_finished()) {
        poller.wait(&mut events, Some(QUIET)).unwrap();
    }
    for adder in adders {
        adder.join().unwrap();
    }
    nothing(&poller);
    drop(poller);
    assert_nothing_lives(census);
}

#[test]
fn closing_frees_the_place() {
    let poller = Iocp::new().unwrap();
    let census = poller.census();
    let (here, there) = pair();
    let ticket = add(&poller, &here, 1, Interest::READABLE, Trigger::Level);
    drop(here);
    nothing(&poller);
    assert_eq!(census().0, 0, "AFD says that it was closed");
    let source = Source::socket(&there);
    let answer = poller.rearm(&ticket, Interest::READABLE);
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::NotFound);
    poller.delete(ticket, source).unwrap();
    drop(poller);
    assert_nothing_lives(census);
}

/// Both ends of a named pipe that are overlapped: the server's, and the client's.
fn named_pipe() -> (OwnedHandle, OwnedHandle) {
    use std::os::windows::fs::OpenOptionsExt as _;
    let (server, name) = pipe_server();
    let client = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(name)
        .unwrap();
    (server, client.into())
}

const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;

fn pipe_server() -> (OwnedHandle, String) {
    use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
    use windows_sys::Win32::System::Pipes::CreateNamedPipeW;
    const PIPE_ACCESS_DUPLEX: u32 = 3;
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!(r"\\.\pipe\ekio-test-{}-{number}", std::process::id());
    let wide: Vec<u16> = name.encode_utf16().chain([0]).collect();
    // SAFETY: CreateNamedPipeW asks for a name that ends with a zero.
    let raw = unsafe {
        CreateNamedPipeW(
            wide.as_ptr(),
            PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED,
            0,
            1,
            4096,
            4096,
            0,
            std::ptr::null(),
        )
    };
    assert_ne!(raw, INVALID_HANDLE_VALUE);
    // SAFETY: from_raw_handle asks for an open handle that nobody else owns: the one just made.
    (unsafe { OwnedHandle::from_raw_handle(raw) }, name)
}

/// Waits for one event of this key.
fn one(poller: &Iocp, key: u64) -> Event {
    let mut events = Events::with_capacity(1);
    poller.wait(&mut events, Some(WATCHDOG)).unwrap();
    let event = *events.iter().next().expect("an event");
    assert_eq!(event.key, Key(key));
    event
}

/// Two ends of a named pipe, both associated.
fn associated_pipe(poller: &Iocp) -> (Associated, Associated) {
    let (server, client) = named_pipe();
    (
        poller.associate(server).unwrap(),
        poller.associate(client).unwrap(),
    )
}

/// Waits until the operation has ended.
fn finish(poller: &Iocp, request: &mut Request) -> (io::Result<usize>, Vec<u8>) {
    let mut events = Events::with_capacity(4);
    let start = Instant::now();
    loop {
        if let Some(finished) = request.finish() {
            return finished;
        }
        assert!(start.elapsed() < WATCHDOG);
        poller.wait(&mut events, Some(WATCHDOG)).unwrap();
    }
}

#[test]
fn pipes_by_completion() {
    let poller = Iocp::new().unwrap();
    let census = poller.census();
    let (server, client) = associated_pipe(&poller);
    // The client is there already.
    let mut connect = server.connect(Key(1)).unwrap();
    assert_eq!(one(&poller, 1).readiness, Readiness::WRITABLE);
    connect.finish().unwrap().0.unwrap();

    let mut read = server.read(Key(2), vec![0; 100]).unwrap();
    assert!(read.finish().is_none(), "not yet");
    nothing(&poller);
    let mut write = client.write(Key(3), b"hello".to_vec()).unwrap();
    let (mut events, mut seen) = (Events::with_capacity(1), HashMap::new());
    while seen.len() < 2 {
        poller.wait(&mut events, Some(WATCHDOG)).unwrap();
        let event = events.iter().next().expect("an event");
        seen.insert(event.key.0, (event.readiness, event.payload));
    }
    assert_eq!(seen[&2], (Readiness::READABLE, 5));
    assert_eq!(seen[&3], (Readiness::WRITABLE, 5));
    assert_eq!(write.finish().unwrap().0.unwrap(), 5);
    let (result, buffer) = read.finish().unwrap();
    assert_eq!(&buffer[..result.unwrap()], b"hello");
    assert!(read.finish().is_none(), "once");
    let reserved = server.read(Key::RESERVED, Vec::new());
    assert_eq!(reserved.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    drop((connect, read, write, server, client, poller));
    assert_nothing_lives(census);
}

#[test]
fn a_pipe_s_server_waits_for_its_client() {
    let poller = Iocp::new().unwrap();
    let (server, name) = pipe_server();
    let server = poller.associate(server).unwrap();
    let mut connect = server.connect(Key(1)).unwrap();
    nothing(&poller);
    let _client = std::fs::File::open(name).unwrap();
    assert_eq!(one(&poller, 1).readiness, Readiness::WRITABLE);
    connect.finish().unwrap().0.unwrap();
}

#[test]
fn operations_on_pipes_are_cancelled() {
    let poller = Iocp::new().unwrap();
    let census = poller.census();
    let (server, client) = associated_pipe(&poller);
    // By request.
    let mut read = server.read(Key(4), vec![0; 100]).unwrap();
    read.cancel();
    assert!(one(&poller, 4).readiness.contains(Readiness::ERROR));
    read.finish().unwrap().0.unwrap_err();
    drop(read);
    // By dropping: no event, and the bytes are for the next one.
    drop(server.read(Key(5), vec![0; 100]).unwrap());
    nothing(&poller);
    assert_eq!(census(), (0, 0));
    let mut read = server.read(Key(6), vec![0; 100]).unwrap();
    let mut write = client.write(Key(7), b"again".to_vec()).unwrap();
    assert_eq!(finish(&poller, &mut read).0.unwrap(), 5);
    assert_eq!(finish(&poller, &mut write).0.unwrap(), 5);
    drop((read, write));
    // By the other end, which goes.
    let mut read = server.read(Key(8), vec![0; 100]).unwrap();
    drop(client);
    let error = finish(&poller, &mut read).0.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    // By their own end.
    drop(read);
    let (server, _client) = associated_pipe(&poller);
    let mut read = server.read(Key(9), vec![0; 100]).unwrap();
    drop(server);
    finish(&poller, &mut read).0.unwrap_err();
    drop((read, poller, _client));
    assert_nothing_lives(census);
}

#[test]
fn a24_requests_in_every_order() {
    for round in 0..repeat(1_000) {
        let poller = Iocp::new().unwrap();
        let census = poller.census();
        let (server, client) = associated_pipe(&poller);
        let read = server.read(Key(1), vec![0; 100]).unwrap();
        let write = (round & 1 != 0).then(|| client.write(Key(2), vec![7; 10]).unwrap());
        match round >> 1 & 7 {
            0 => drop((read, write, server, client, poller)),
            1 => drop((server, read, poller, write, client)),
            2 => drop((client, poller, read, write, server)),
            3 => drop((poller, read, write, server, client)),
            4 => drop((poller, server, client, read, write)),
            5 => drop((server, client, poller, read, write)),
            6 => drop((write, server, read, poller, client)),
            _ => {
                drop(poller);
                let answer = server.read(Key(3), vec![0; 1]);
                assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::NotFound);
                drop((read, write, server, client));
            }
        }
        assert_nothing_lives(census);
    }
}

#[test]
fn a_stranger_s_packet_is_dropped() {
    use std::os::windows::fs::{FileExt as _, OpenOptionsExt as _};
    let poller = Iocp::new().unwrap();
    let census = poller.census();
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open("Cargo.toml")
        .unwrap();
    let duplicate = file.try_clone().unwrap();
    let file = poller.associate(file.into()).unwrap();
    // std makes an OVERLAPPED of its own for this.
    let _ = duplicate.seek_read(&mut [0; 9], 0);
    nothing(&poller);
    let mut read = file.read(Key(1), vec![0; 9]).unwrap();
    assert_eq!(one(&poller, 1).payload, 9);
    assert_eq!(read.finish().unwrap().1, b"[package]");
    drop((poller, file, read));
    assert_nothing_lives(census);
}
