//! The example `tcp_echo`, from outside: what it prints, what it echoes, what it survives, and what
//! it costs.

#[path = "support/mod.rs"]
mod support;

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use support::example::{self, Running};
use support::{HANG, QUIET, net, skipped, strace};

struct Server {
    process: Running,
    address: SocketAddr,
}

impl Server {
    fn start(command: &mut Command) -> Server {
        Server::of(Running::start(command))
    }

    fn of(process: Running) -> Server {
        let address = process.first_line.strip_prefix("listening on ");
        let address = address.and_then(|address| address.parse().ok());
        let address =
            address.unwrap_or_else(|| panic!("the first line is {:?}", process.first_line));
        Server { process, address }
    }

    fn plain(arguments: &[&str]) -> Server {
        Server::start(Command::new(example::path("tcp_echo")).args(arguments))
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        stream
    }
}

/// Sends a message and expects it back.
fn round_trip(mut stream: &TcpStream, message: &[u8]) -> io::Result<()> {
    stream.write_all(message)?;
    let mut echo = vec![0; message.len()];
    stream.read_exact(&mut echo)?;
    assert!(echo == message, "the echo differs");
    Ok(())
}

#[test]
fn echoes_to_many_at_once() {
    let server = Server::plain(&[]);
    assert!(server.address.ip().is_loopback() && server.address.port() != 0);
    let clients: Vec<_> = (0..16).map(|_| server.connect()).collect();
    for round in 0..4 {
        for (number, client) in clients.iter().enumerate() {
            round_trip(client, format!("{round} {number}").as_bytes()).unwrap();
        }
    }
    let mut client = clients.into_iter().next().unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "it hangs up in return");
}

/// One thread, by both of its names, and several.
const MODES: [&[&str]; 3] = [&[], &["--workers", "0"], &["--workers=2"]];

/// Each of 64 clients is a thread of its own, so that many messages are under way at a time.
#[test]
fn echoes_to_64_connections_at_once_in_each_mode() {
    for mode in MODES {
        let server = Server::plain(mode);
        let clients: Vec<_> = (0..64).map(|_| server.connect()).collect();
        let threads = clients.into_iter().enumerate().map(|(number, client)| {
            thread::spawn(move || {
                for round in 0..20 {
                    let message = format!("{number} {round} ").repeat(1 + round * 10);
                    round_trip(&client, message.as_bytes()).unwrap();
                }
                client.shutdown(Shutdown::Write).unwrap();
                assert_eq!((&client).read(&mut [0]).unwrap(), 0);
            })
        });
        let threads: Vec<_> = threads.collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

/// More than all buffers on the way hold, so that the server has to wait for room to write while
/// nobody reads.
#[test]
fn echoes_more_than_the_buffers_hold() {
    const SIZE: usize = 16 * 1024 * 1024;
    for mode in MODES {
        let server = Server::plain(&[mode, &["127.0.0.1:0"]].concat());
        echo_much(&server, SIZE);
    }
}

fn echo_much(server: &Server, size: usize) {
    let stream = server.connect();
    let mut reader = stream.try_clone().unwrap();
    let byte_at = |place: usize| (place % 251) as u8;
    let writer = thread::spawn(move || {
        let data: Vec<u8> = (0..size).map(byte_at).collect();
        (&stream).write_all(&data).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    let mut echo = Vec::new();
    reader.read_to_end(&mut echo).unwrap();
    writer.join().unwrap();
    assert_eq!(echo.len(), size);
    assert!(
        echo.iter()
            .enumerate()
            .all(|(place, byte)| *byte == byte_at(place))
    );
}

#[test]
fn survives_its_clients() {
    for mode in MODES {
        let mut server = Server::plain(mode);
        let bystander = server.connect();
        for _ in 0..4 {
            let broken = server.connect();
            round_trip(&broken, b"soon gone").unwrap();
            (&broken).write_all(b"and no time to read").unwrap();
            net::reset(broken);
            drop(server.connect());
        }
        round_trip(&bystander, b"still there?").unwrap();
        round_trip(&server.connect(), b"and for others?").unwrap();
        assert!(!server.process.has_ended());
    }
}

#[test]
fn listens_where_it_is_told() {
    let server = Server::plain(&["localhost:0"]);
    round_trip(&server.connect(), b"by name").unwrap();
    if TcpListener::bind("[::1]:0").is_err() {
        return skipped("there is no IPv6 on this machine");
    }
    let server = Server::plain(&["[::1]:0"]);
    assert!(server.address.is_ipv6());
    round_trip(&server.connect(), b"by IPv6").unwrap();
}

#[test]
fn explains_what_is_wrong() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let holder = TcpListener::bind(&taken);
    for (arguments, code, hint) in [
        (&["nonsense"][..], 1, "as in nonsense:7000"),
        (
            &["127.0.0.1:99999"],
            1,
            "cannot listen on `127.0.0.1:99999`",
        ),
        (&["no-such-host.invalid:0"], 1, "cannot listen on"),
        (&["a", "b"], 2, "not `a` and `b`"),
        (&["a", "b"], 2, "--help"),
        (&["--port"], 2, "no option `--port`"),
        (&["-w2"], 2, "no option `-w2`"),
        (&["--workers"], 2, "wants a number"),
        (&["--workers", "many"], 2, "not `many`"),
        (&["--workers", "-1"], 2, "not `-1`"),
        (&["--workers="], 2, "not ``"),
        (&["--workers=1", "--workers=2"], 2, "twice"),
        (&["--workers", "1000000"], 1, "from 1 to 1024 workers"),
        (&["--workers=2", "nonsense"], 1, "as in nonsense:7000"),
    ] {
        let finished = example::run("tcp_echo", arguments);
        assert_eq!(finished.code, Some(code), "{arguments:?}: {finished:?}");
        assert!(finished.err.contains(hint), "{arguments:?}: {finished:?}");
        assert_eq!(finished.out, "");
    }
    if holder.is_ok() {
        let finished = example::run("tcp_echo", &[&taken]);
        assert_eq!(finished.code, Some(1), "{finished:?}");
        assert!(finished.err.contains(&taken), "{finished:?}");
    }
    let help = example::run("tcp_echo", &["--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    let usage = "Usage: tcp_echo [--workers N] [ADDR]";
    assert!(help.out.contains(usage), "{help:?}");
    let help = example::run("tcp_echo", &["--workers", "2", "-h"]);
    assert_eq!(help.code, Some(0));
}

/// Out of descriptors it serves whom it has, and everybody again when some have left.
#[cfg(unix)]
#[test]
fn b_emfile_survived() {
    MODES.into_iter().for_each(survive_emfile);
}

/// (Each queue of libkqueue takes several descriptors, and there is one for each thread.)
#[cfg(unix)]
fn survive_emfile(mode: &[&str]) {
    let mut command = Command::new("sh");
    let server = example::path("tcp_echo");
    command
        .args(["-c", "ulimit -n 48 && exec \"$0\" \"$@\" 2>/dev/null"])
        .arg(server)
        .args(mode);
    let mut server = Server::start(&mut command);
    let first = server.connect();
    round_trip(&first, b"there is room").unwrap();
    let crowd: Vec<_> = (0..80).map(|_| server.connect()).collect();
    round_trip(&first, b"still served").unwrap();
    drop(crowd);
    round_trip(&server.connect(), b"there is room again").unwrap();
    assert!(!server.process.has_ended());
}

/// What the essay of the example promises, seen from below.
#[test]
fn costs_two_calls_for_each_message() {
    const CLIENTS: usize = 64;
    const ROUNDS: usize = 250;

    let traced = match strace::start("tcp_echo") {
        Ok(traced) => traced,
        Err(why) => return skipped(why),
    };
    let (server, log) = (Server::of(traced.process), traced.log);

    let clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    // The first is answered before the server waits for more, and has its first event; the second after.
    for client in clients.iter().chain(&clients) {
        round_trip(client, b"hello").unwrap();
    }
    for message in ["idle 1", "idle 2", "idle 3"] {
        // Nothing depends on the length of this pause; it gives the server time to do too much.
        thread::sleep(QUIET);
        round_trip(&clients[0], message.as_bytes()).unwrap();
    }
    for _ in 0..ROUNDS {
        for mut client in &clients {
            client.write_all(&[b'x'; 64]).unwrap();
        }
        for mut client in &clients {
            client.read_exact(&mut [0; 64]).unwrap();
        }
    }
    for client in clients {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!((&client).read(&mut [0]).unwrap(), 0);
    }
    drop(server);

    let calls = log.calls();
    let count = |what: &str| calls.iter().filter(|call| call.contains(what)).count();
    let waits = calls.iter().filter(|call| strace::is_wait(call)).count();
    let others = calls.len() - waits;
    let round_trips = CLIENTS * (2 + ROUNDS);
    let each = others as f64 / round_trips as f64;
    println!("{round_trips} round trips: {waits} waits and {others} other calls, {each:.4} each");
    assert!(each <= 2.05, "{each} calls for each round trip");
    let (added, deleted) = (count("EPOLL_CTL_ADD"), count("EPOLL_CTL_DEL"));
    println!(
        "{CLIENTS} connections: {added} times ADD (one for the listener), {deleted} times DEL"
    );
    assert!(added <= CLIENTS + 1 && deleted <= CLIENTS);
    assert_eq!(count("EPOLL_CTL_MOD"), 0);

    // Between these two messages nothing happened.
    let place = |call: &str, message: &str| {
        let is_it = |said: &String| said.starts_with(call) && said.contains(message);
        calls.iter().position(is_it).unwrap()
    };
    // (`sendto` and `recvfrom`, or what 32-bit x86 calls `send` and `recv`.)
    let idle = &calls[place("send", "\"idle 2\"") + 1..place("recv", "\"idle 3\"")];
    println!("idle: {idle:?}");
    assert_eq!(idle.len(), 1);
    assert!(strace::is_wait(&idle[0]) && idle[0].contains(", -1"));
}
