//! The program, by raw sockets.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::thread;

use super::support::HANG;
use super::support::example::{self, Running};

struct Server {
    _process: Running,
    address: SocketAddr,
}

impl Server {
    fn start(arguments: &[&str]) -> Server {
        let process = Running::start(Command::new(example::path("mini_redis")).args(arguments));
        let address = process.first_line.strip_prefix("listening on ");
        let address = address.and_then(|address| address.parse().ok());
        let address =
            address.unwrap_or_else(|| panic!("the first line is {:?}", process.first_line));
        Server {
            _process: process,
            address,
        }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(HANG)).unwrap();
        Client(stream)
    }
}

/// Tells a story to a server of one thread, and to one of two.
fn each(story: impl Fn(&Server)) {
    story(&Server::start(&[]));
    story(&Server::start(&["127.0.0.1:0", "--workers", "2"]));
}

struct Client(TcpStream);

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    #[track_caller]
    fn expect(&mut self, expected: &[u8]) {
        let mut answer = vec![0; expected.len()];
        self.0.read_exact(&mut answer).unwrap();
        assert_eq!(
            answer.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    /// Everything up to the end.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).unwrap();
        String::from_utf8(rest).unwrap()
    }
}

#[test]
fn speaks_resp_and_inline() {
    each(|server| {
        let mut client = server.connect();
        client.send(b"*1\r\n$4\r\nPING\r\n");
        client.expect(b"+PONG\r\n");
        client.send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\n\0\r\n\r\n");
        client.expect(b"+OK\r\n");
        client.send(b"get a\r\n");
        client.expect(b"$3\r\n\0\r\n\r\n");
        for byte in b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n" {
            client.send(&[*byte]);
        }
        client.expect(b"$5\r\nhello\r\n");
        client.send(b"NONSENSE\r\nGET\r\nTTL a\r\n");
        client.expect(b"-ERR unknown command 'NONSENSE'\r\n");
        client.expect(b"-ERR wrong number of arguments for 'get' command\r\n");
        client.expect(b":-1\r\n");
        client.0.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.rest(), "");
    });
}

#[test]
fn a_pipeline_is_answered_in_order() {
    each(|server| {
        let client = server.connect();
        let mut writer = Client(client.0.try_clone().unwrap());
        let write = thread::spawn(move || {
            let all: String = (0..20_000)
                .map(|number| format!("ECHO {number}\r\n"))
                .collect();
            writer.send(all.as_bytes());
            writer.0.shutdown(Shutdown::Write).unwrap();
        });
        let answers = Client(client.0.try_clone().unwrap()).rest();
        let mut expected = String::new();
        for number in 0..20_000 {
            let text = number.to_string();
            expected += &format!("${}\r\n{text}\r\n", text.len());
        }
        assert!(answers == expected);
        write.join().unwrap();
    });
}

#[test]
fn increments_of_many_clients_add_up() {
    each(|server| {
        let clients: Vec<_> = (0..10)
            .map(|_| {
                let mut client = server.connect();
                thread::spawn(move || {
                    client.send(&b"INCR n\r\n".repeat(100));
                    client.0.shutdown(Shutdown::Write).unwrap();
                    assert_eq!(client.rest().lines().count(), 100);
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        let mut client = server.connect();
        client.send(b"GET n\r\n");
        client.expect(b"$4\r\n1000\r\n");
    });
}

#[test]
fn keys_expire() {
    each(|server| {
        let mut client = server.connect();
        client.send(b"SET a 1 PX 20\r\nSET b 1 EX 100\r\nTTL b\r\nEXPIRE b 0\r\nGET b\r\n");
        client.expect(b"+OK\r\n+OK\r\n:100\r\n:1\r\n$-1\r\n");
        let _watchdog = super::support::watchdog::Watchdog::start();
        loop {
            client.send(b"GET a\r\n");
            let mut first = [0; 5];
            client.0.read_exact(&mut first).unwrap();
            match &first {
                b"$-1\r\n" => break,
                b"$1\r\n1" => client.expect(b"\r\n"),
                other => panic!("{}", other.escape_ascii()),
            }
        }
    });
}

#[test]
fn nonsense_ends_its_connection_with_a_word_and_nothing_else() {
    each(|server| {
        let mut bystander = server.connect();
        bystander.send(b"*2\r\n$4\r\nECHO\r\n$4\r\nha");
        let many_arrays = b"*1\r\n".repeat(100_000);
        let cases: &[(&[u8], &str)] = &[
            (
                b"PING\r\n*x\r\n",
                "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
            ),
            (
                b"*1\r\n$-5\r\n",
                "-ERR Protocol error: invalid bulk length\r\n",
            ),
            (
                b"*1\r\n$99999999999\r\n",
                "-ERR Protocol error: too big request\r\n",
            ),
            (
                &many_arrays,
                "-ERR Protocol error: expected '$', got '*'\r\n",
            ),
            (
                &[b'x'; 200_000],
                "-ERR Protocol error: too big inline request\r\n",
            ),
        ];
        for (bytes, expected) in cases {
            let mut client = server.connect();
            client.send(bytes);
            assert_eq!(client.rest(), *expected);
        }
        // Gone in the middle of a request.
        server
            .connect()
            .send(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$100\r\nxx");
        bystander.send(b"lf\r\n");
        bystander.expect(b"$4\r\nhalf\r\n");
    });
}

#[test]
fn a_client_that_does_not_listen_waits_alone() {
    each(|server| {
        let mut client = server.connect();
        let value = vec![b'x'; 1 << 20];
        client.send(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${}\r\n", value.len()).as_bytes());
        client.send(&value);
        client.send(b"\r\n");
        client.expect(b"+OK\r\n");
        // A hundred megabytes, if the server were to keep them.
        client.send(&b"GET big\r\n".repeat(100));
        let mut other = server.connect();
        for _ in 0..100 {
            other.send(b"PING\r\n");
            other.expect(b"+PONG\r\n");
        }
        let header = format!("${}\r\n", value.len());
        client.expect(header.as_bytes());
        let mut answer = vec![0; value.len()];
        client.0.read_exact(&mut answer).unwrap();
        assert!(answer == value);
        client.expect(b"\r\n$");
    });
}

#[test]
fn misuse_is_explained() {
    for arguments in [
        &["--workers"][..],
        &["--workers", "0"],
        &["--nonsense"],
        &["a:1", "b:2"],
    ] {
        let run = example::run("mini_redis", arguments);
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.err.contains("--help"), "{run:?}");
    }
    let run = example::run("mini_redis", &["--help"]);
    assert!(run.code == Some(0) && run.out.contains("Usage"), "{run:?}");
    let run = example::run("mini_redis", &["127.0.0.1:nonsense"]);
    assert!(
        run.code == Some(1) && run.err.contains("cannot serve"),
        "{run:?}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_and_it_says_what_it_did() {
    use std::process::Stdio;
    for arguments in [&[][..], &["--workers", "2"]] {
        let mut command = Command::new(example::path("mini_redis"));
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let _watchdog = super::support::watchdog::Watchdog::start();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        let mut client = Client(TcpStream::connect(address).unwrap());
        client.send(b"PING\r\nPING\r\n");
        client.expect(b"+PONG\r\n+PONG\r\n");
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .unwrap()
                .success()
        );
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "commands: 2, clients: 1\n");
        assert!(child.wait().unwrap().success());
    }
}
