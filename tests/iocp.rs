//! What is `Iocp`'s own: AFD, the port, and who owns the memory that the kernel borrows.
//!
//! What it shares with every other backend is in `poller_conformance`.
#![cfg(windows)]

#[path = "support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::net::{Shutdown, TcpStream};
use std::os::windows::fs::{FileExt as _, OpenOptionsExt as _};
use std::os::windows::io::{FromRawHandle as _, OwnedHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ekio::poller::iocp::{Associated, Iocp, Request, Ticket};
use ekio::poller::{Event, Events, Interest, Key, Poller, Readiness, Source, Trigger};

use support::net::{connect, drain, drain_data, refusing, reset, send, tcp_pair, udp_to_itself};
use support::watchdog::Watchdog;
use support::{HANG, QUIET, repeat};

const READABLE: Interest = Interest::READABLE;

type Rig = support::rig::Rig<Iocp>;

/// Asserts that everything the kernel had has come back, and that all memory was freed.
fn assert_nothing_lives(census: impl Fn() -> (usize, usize)) {
    assert_eq!(census(), (0, 0), "(in the kernel, in memory)");
}

/// Waits by other means than the poller's.
fn until_readable(stream: &TcpStream) {
    let _watchdog = Watchdog::start();
    stream.set_nonblocking(false).unwrap();
    // How it became readable is the caller's affair.
    let _ = stream.peek(&mut [0; 1]);
    stream.set_nonblocking(true).unwrap();
}

#[test]
fn level_and_one_shot_report_all_that_holds() {
    let mut rig = Rig::new();
    for trigger in [Trigger::Level, Trigger::OneShot] {
        let (near, far) = tcp_pair();
        // The poll ends at once, for the socket is writable.
        let ticket = rig.add(Source::socket(&near), 1, Interest::BOTH, trigger);
        send(&far, b"x");
        until_readable(&near);
        let events = rig.wait(HANG);
        let both = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(events, [Event::new(Key(1), both)]);
        rig.delete(ticket, Source::socket(&near));
    }
}

#[test]
fn edge_asks_for_what_was_not_told() {
    let mut rig = Rig::new();
    let (near, far) = tcp_pair();
    let ticket = rig.add(Source::socket(&near), 1, Interest::BOTH, Trigger::Edge);
    rig.expect(1, Readiness::WRITABLE);
    rig.expect_silence();
    send(&far, b"x");
    let seen = rig.expect(1, Readiness::READABLE);
    assert_eq!(seen, Readiness::READABLE, "writable was told before");
    // Now nothing is asked for.
    send(&far, b"y");
    rig.expect_silence();
    assert_eq!(rig.poller.census()().0, 0, "and nothing is under way");
    // A re-arming looks anew, and each direction has its own.
    rig.rearm(&ticket, READABLE);
    assert_eq!(rig.expect_any(1), Readiness::READABLE);
    drain_data(&near);
    rig.rearm(&ticket, READABLE);
    rig.expect_silence();
    rig.rearm(&ticket, Interest::WRITABLE);
    assert_eq!(rig.expect_any(1), Readiness::WRITABLE);
    send(&far, b"z");
    assert_eq!(rig.expect_any(1), Readiness::READABLE);
    rig.delete(ticket, Source::socket(&near));
}

#[test]
fn edge_asks_no_more_for_what_is_over() {
    let mut rig = Rig::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, Interest::BOTH, Trigger::Edge);
    far.shutdown(Shutdown::Write).unwrap();
    rig.expect(1, Readiness::READ_CLOSED | Readiness::WRITABLE);
    rig.rearm(&ticket, READABLE);
    rig.expect_silence();
    rig.rearm(&ticket, Interest::BOTH);
    assert_eq!(rig.expect_any(1), Readiness::WRITABLE);
    reset(far);
    until_readable(&near);
    rig.rearm(&ticket, Interest::BOTH);
    rig.expect(1, Readiness::WRITE_CLOSED | Readiness::ERROR);
    rig.rearm(&ticket, Interest::BOTH);
    rig.expect_silence();
    // Who asks from the beginning is told again.
    rig.modify(&ticket, source, 2, Interest::BOTH, Trigger::Edge);
    rig.expect(2, Readiness::READ_CLOSED | Readiness::WRITE_CLOSED);
    rig.delete(ticket, source);
}

#[test]
fn a_connection_that_failed_long_ago() {
    let (_holder, address) = refusing();
    let stream = connect(address).unwrap();
    for trigger in [Trigger::Edge, Trigger::Level, Trigger::OneShot] {
        let mut rig = Rig::new();
        let source = Source::socket(&stream);
        let ticket = rig.add(source, 1, Interest::WRITABLE, trigger);
        rig.expect(1, Readiness::ERROR | Readiness::WRITABLE);
        rig.delete(ticket, source);
    }
    let error = stream.take_error().unwrap().unwrap();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn what_holds_is_found_without_sleeping() {
    let mut rig = Rig::new();
    let (near, far) = tcp_pair();
    send(&far, b"x");
    until_readable(&near);
    let source = Source::socket(&near);
    for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
        let ticket = rig.add(source, 1, READABLE, trigger);
        assert_eq!(rig.wait(Duration::ZERO).len(), 1, "add");
        rig.modify(&ticket, source, 2, READABLE, trigger);
        assert_eq!(rig.wait(Duration::ZERO).len(), 1, "modify");
        rig.ask_again(&ticket, source, (3, READABLE, trigger), READABLE);
        assert_eq!(rig.wait(Duration::ZERO).len(), 1, "in the trigger's way");
        rig.delete(ticket, source);
    }
    assert_eq!(drain(&near).0, b"x");
}

#[test]
fn whose_ticket_it_is() {
    let (rig, stranger) = (Rig::new(), Rig::new());
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let wish = (Key(1), Interest::BOTH, Trigger::Level);
    let ticket = rig.add(source, 1, wish.1, wish.2);
    // In the table of another poller it is new.
    let other = stranger.add(source, 1, wish.1, wish.2);
    let elsewhere = Source::socket(&far);
    for answer in [
        stranger
            .poller
            .modify(&ticket, source, wish.0, wish.1, wish.2),
        rig.poller
            .modify(&ticket, elsewhere, wish.0, wish.1, wish.2),
        stranger.poller.rearm(&ticket, Interest::BOTH),
        stranger.poller.delete(ticket, source),
    ] {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound);
    }
    stranger.delete(other, source);
    // That ticket is gone and was never deleted, so its place may be taken.
    let ticket = rig.add(source, 1, wish.1, wish.2);
    let twice = rig.try_add(source, 1, wish.1, wish.2);
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::AlreadyExists);
    rig.delete(ticket, source);
}

/// The port counts who is at work on its packets; that must not keep others from them.
#[test]
fn a_busy_waiter_keeps_nobody_from_the_port() {
    let rig = Rig::new();
    let (near, far) = tcp_pair();
    let ticket = rig.add(Source::socket(&near), 1, READABLE, Trigger::Level);
    send(&far, b"x");
    let poller = &rig.poller;
    let wait = || {
        let mut events = Events::with_capacity(4);
        poller.wait(&mut events, Some(HANG)).unwrap();
        assert_eq!(events.len(), 1);
    };
    let is_done = AtomicBool::new(false);
    wait();
    thread::scope(|scope| {
        scope.spawn(|| {
            (0..100).for_each(|_| wait());
            is_done.store(true, Ordering::SeqCst);
        });
        let _watchdog = Watchdog::start();
        while !is_done.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
    });
    rig.delete(ticket, Source::socket(&near));
}

/// Windows cancels what a thread has begun when it ends, unless it is for a port.
#[test]
fn submitted_by_a_thread_that_has_ended() {
    let mut rig = Rig::new();
    let (near, far) = tcp_pair();
    let ticket = thread::scope(|scope| {
        let adder = || rig.add(Source::socket(&near), 1, READABLE, Trigger::Edge);
        scope.spawn(adder).join().unwrap()
    });
    rig.expect_silence();
    send(&far, b"x");
    rig.expect(1, Readiness::READABLE);
    rig.delete(ticket, Source::socket(&near));
}

#[test]
fn closing_frees_the_place() {
    let mut rig = Rig::new();
    let census = rig.poller.census();
    let (near, far) = tcp_pair();
    let ticket = rig.add(Source::socket(&near), 1, READABLE, Trigger::Level);
    drop(near);
    rig.expect_silence();
    assert_eq!(census().0, 0, "AFD says that it was closed");
    let answer = rig.poller.rearm(&ticket, READABLE);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound);
    rig.delete(ticket, Source::socket(&far));
    drop(rig);
    assert_nothing_lives(census);
}

/// Row a23: modified again and again while its poll is under way.
#[test]
fn a23_modify_while_pending() {
    let rig = Rig::new();
    let poller = &rig.poller;
    let census = poller.census();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 0, Interest::NONE, Trigger::Edge);
    let triggers = [Trigger::Level, Trigger::Edge, Trigger::OneShot];
    let interests = [
        READABLE,
        Interest::PRIORITY,
        Interest::BOTH,
        Interest::NONE,
        Interest::WRITABLE,
    ];
    let rounds = repeat(10_000);
    let last = rounds + 1;
    let newest = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _watchdog = Watchdog::start();
            let mut events = Events::with_capacity(4);
            while newest.load(Ordering::SeqCst) < last {
                poller.wait(&mut events, None).unwrap();
                for event in &events {
                    newest.fetch_max(event.key.0 as usize, Ordering::SeqCst);
                }
                assert!(census().0 <= 1, "one poll at a time");
            }
        });
        for round in 1..=rounds {
            let (interest, trigger) = (interests[round % 5], triggers[round % 3]);
            rig.modify(&ticket, source, round as u64, interest, trigger);
            if round % 7 == 0 {
                rig.rearm(&ticket, Interest::BOTH);
            }
        }
        send(&far, b"x");
        // Whatever has happened before, the last word counts.
        rig.modify(&ticket, source, last as u64, READABLE, Trigger::OneShot);
    });
    rig.delete(ticket, source);
    drop(rig);
    assert_nothing_lives(census);
}

/// Row a24: every order of completion, cancellation, closing and dropping.
#[test]
fn a24_afd_live_ops_zero() {
    let mut events = Events::with_capacity(8);
    // (A connection for each would use up the ports of a soak.)
    let (other, _) = tcp_pair();
    for round in 0..repeat(100_000) {
        let poller = Iocp::new().unwrap();
        let census = poller.census();
        let socket = udp_to_itself();
        let add = |key, trigger| {
            // SAFETY: a breach of "delete before close" mixes up events and nothing else; here it
            // is what the test is about.
            unsafe { poller.add(Source::socket(&socket), Key(key), READABLE, trigger) }.unwrap()
        };
        let mut look = |poller: &Iocp| {
            poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            events.len()
        };
        let ticket = add(1, Trigger::Level);
        assert_eq!(census(), (1, 1));
        if round & 1 != 0 {
            socket.send(b"x").unwrap();
        }
        let is_told = round & 2 != 0 && look(&poller) > 0;
        // Once a socket is closed, the ticket alone says which it was.
        let some = Source::socket(&other);
        match round >> 2 & 7 {
            0 => poller.delete(ticket, some).unwrap(),
            1 => {
                poller.delete(ticket, some).unwrap();
                assert_eq!(look(&poller), 0, "deleted");
            }
            2 => drop((ticket, socket)),
            3 => {
                drop(socket);
                poller.delete(ticket, some).unwrap();
            }
            // What was told will be asked about again by the next wait: see `iocp_closed_early`.
            4 | 5 if is_told => poller.delete(ticket, some).unwrap(),
            4 => {
                drop(socket);
                look(&poller);
                poller.delete(ticket, some).unwrap();
            }
            5 => {
                drop((ticket, socket));
                look(&poller);
            }
            6 => {
                drop(poller);
                assert_eq!(census(), (0, 1), "the ticket's memory is its own");
                drop(ticket);
                assert_nothing_lives(census);
                continue;
            }
            // Again and again, with the old packets still to come.
            _ => {
                poller.delete(ticket, some).unwrap();
                for key in 2..5 {
                    poller.delete(add(key, Trigger::Edge), some).unwrap();
                }
                drop(add(5, Trigger::OneShot));
                drop(add(6, Trigger::Edge));
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
                    let socket = udp_to_itself();
                    let source = Source::socket(&socket);
                    let interest = [READABLE, Interest::BOTH][round % 2];
                    // SAFETY: it is deleted below, before it is closed.
                    let ticket = unsafe { poller.add(source, Key(1), interest, Trigger::Edge) };
                    let ticket: Ticket = ticket.unwrap();
                    socket.send(b"x").unwrap();
                    poller.rearm(&ticket, Interest::BOTH).unwrap();
                    poller.delete(ticket, source).unwrap();
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
    drop(poller);
    assert_nothing_lives(census);
}

const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;

/// The server's end of a named pipe, and the pipe's name.
fn pipe_server() -> (OwnedHandle, String) {
    use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
    use windows_sys::Win32::System::Pipes::CreateNamedPipeW;
    const PIPE_ACCESS_DUPLEX: u32 = 3;
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!(r"\\.\pipe\ekio-test-{}-{number}", std::process::id());
    let wide: Vec<u16> = name.encode_utf16().chain([0]).collect();
    // SAFETY: CreateNamedPipeW asks for a name that ends with a zero, which the local above is.
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
    // SAFETY: from_raw_handle asks for an open handle that nobody else owns, which was made just
    // now.
    (unsafe { OwnedHandle::from_raw_handle(raw) }, name)
}

/// Two ends of a named pipe, the server's first.
fn pipe(poller: &Iocp) -> (Associated, Associated) {
    let (server, name) = pipe_server();
    let client = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(FILE_FLAG_OVERLAPPED)
        .open(name)
        .unwrap();
    (
        poller.associate(server).unwrap(),
        poller.associate(client.into()).unwrap(),
    )
}

/// Waits until the operation has ended.
fn finish(rig: &mut Rig, request: &mut Request) -> (io::Result<usize>, Vec<u8>) {
    let _watchdog = Watchdog::start();
    loop {
        if let Some(finished) = request.finish() {
            return finished;
        }
        rig.wait(HANG);
    }
}

#[test]
fn pipes_by_completion() {
    let mut rig = Rig::new();
    let census = rig.poller.census();
    let (server, client) = pipe(&rig.poller);
    // The client is there already.
    let mut connect = server.connect(Key(1)).unwrap();
    assert_eq!(
        rig.wait(HANG),
        [Event::new(Key(1), Readiness::WRITABLE)],
        "connected"
    );
    connect.finish().unwrap().0.unwrap();

    let mut read = server.read(Key(2), vec![0; 100]).unwrap();
    rig.expect_silence();
    assert!(read.finish().is_none(), "not yet");
    let mut write = client.write(Key(3), b"hello".to_vec()).unwrap();
    let mut seen = HashMap::new();
    while seen.len() < 2 {
        let events = rig.wait(HANG);
        seen.extend(events.iter().map(|event| (event.key, *event)));
    }
    let expected = |key, readiness| Event {
        payload: 5,
        ..Event::new(key, readiness)
    };
    assert_eq!(seen[&Key(2)], expected(Key(2), Readiness::READABLE));
    assert_eq!(seen[&Key(3)], expected(Key(3), Readiness::WRITABLE));
    assert_eq!(write.finish().unwrap().0.unwrap(), 5);
    let (result, buffer) = read.finish().unwrap();
    assert_eq!(&buffer[..result.unwrap()], b"hello");
    assert!(read.finish().is_none(), "once");
    let reserved = server.read(Key::RESERVED, Vec::new());
    assert_eq!(reserved.unwrap_err().kind(), ErrorKind::InvalidInput);
    drop((connect, read, write, server, client, rig));
    assert_nothing_lives(census);
}

#[test]
fn a_pipe_s_server_waits_for_its_client() {
    let mut rig = Rig::new();
    let (server, name) = pipe_server();
    let server = rig.poller.associate(server).unwrap();
    let mut connect = server.connect(Key(1)).unwrap();
    rig.expect_silence();
    let _client = File::open(name).unwrap();
    assert_eq!(rig.expect_any(1), Readiness::WRITABLE);
    connect.finish().unwrap().0.unwrap();
}

#[test]
fn operations_on_pipes_are_cancelled() {
    let mut rig = Rig::new();
    let census = rig.poller.census();
    let (server, client) = pipe(&rig.poller);
    // By request.
    let mut read = server.read(Key(4), vec![0; 100]).unwrap();
    read.cancel();
    assert!(rig.expect_any(4).contains(Readiness::ERROR));
    read.finish().unwrap().0.unwrap_err();
    drop(read);
    // By dropping: there is no event, and the bytes are for the next one.
    drop(server.read(Key(5), vec![0; 100]).unwrap());
    rig.expect_silence();
    assert_nothing_lives(&census);
    let mut read = server.read(Key(6), vec![0; 100]).unwrap();
    let mut write = client.write(Key(7), b"again".to_vec()).unwrap();
    assert_eq!(finish(&mut rig, &mut read).0.unwrap(), 5);
    assert_eq!(finish(&mut rig, &mut write).0.unwrap(), 5);
    drop((read, write));
    // By the other end, which goes.
    let mut read = server.read(Key(8), vec![0; 100]).unwrap();
    drop(client);
    let error = finish(&mut rig, &mut read).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    drop(read);
    // By their own end.
    let (server, client) = pipe(&rig.poller);
    let mut read = server.read(Key(9), vec![0; 100]).unwrap();
    drop(server);
    finish(&mut rig, &mut read).0.unwrap_err();
    drop((read, rig, client));
    assert_nothing_lives(census);
}

#[test]
fn a24_requests_in_every_order() {
    for round in 0..repeat(1_600) {
        let poller = Iocp::new().unwrap();
        let census = poller.census();
        let (server, client) = pipe(&poller);
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
                assert_eq!(answer.unwrap_err().kind(), ErrorKind::NotFound);
                drop((read, write, server, client));
            }
        }
        assert_nothing_lives(census);
    }
}

/// An operation that somebody else has started on the same file ends in our port too.
#[test]
fn a_stranger_s_packet_is_dropped() {
    let mut rig = Rig::new();
    let census = rig.poller.census();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(FILE_FLAG_OVERLAPPED);
    let file = options.open("Cargo.toml").unwrap();
    let duplicate = file.try_clone().unwrap();
    let file = rig.poller.associate(file.into()).unwrap();
    // std makes an OVERLAPPED of its own for this, on its stack.
    let _ = duplicate.seek_read(&mut [0; 9], 0);
    rig.expect_silence();
    let mut read = file.read(Key(1), vec![0; 9]).unwrap();
    assert_eq!(rig.wait(HANG)[0].payload, 9);
    assert_eq!(read.finish().unwrap().1, b"[package]");
    drop((rig, file, read));
    assert_nothing_lives(census);
}

#[test]
fn what_is_not_overlapped_is_refused() {
    let rig = Rig::new();
    let mut file = File::open("Cargo.toml").unwrap();
    file.read_exact(&mut [0; 1]).unwrap();
    let answer = rig.poller.associate(file.into());
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::InvalidInput);
}
