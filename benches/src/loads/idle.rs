//! What a connection costs in memory while it does nothing.
//!
//! The server is the peer's echo. It runs in a child that counts what its allocator gives out; another
//! process holds the other ends.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::{fs, thread};

use super::{Figure, Load, Work};
use crate::children::{LIMIT, figures_of_work};
use crate::memory::Growth;
use crate::meter::Figures;
use crate::peers::Server;
use crate::process::{Started, bound_to_parent};

const CONNECTIONS: u32 = 10_000;
/// Of the task of each connection, and in the figure.
const BUFFER: usize = 64;
const BACKLOG: i32 = 4096;

/// What the process has of the system's memory for it, with what allocators add and what a runtime maps
/// by itself, and what the allocator was asked for.
const FIGURES: &[Figure] = &[
    Figure {
        name: "resident",
        unit: "bytes",
    },
    Figure {
        name: "bytes",
        unit: "bytes",
    },
];

pub const LOADS: &[Load] = &[Load {
    name: "idle",
    title: "memory of each of 10,000 idle connections, with its task and a buffer of 64 bytes",
    figures: FIGURES,
    can: |peer| peer.echo.is_some(),
    run: |peer, _| figures_of_work(peer, "idle", CONNECTIONS, None, FIGURES),
    // Nearly the same each time.
    rounds: 3,
}];

pub const WORKS: &[Work] = &[Work {
    name: "idle",
    run: |peer, count| {
        let echo = peer.echo?;
        Some(measure(echo, count).expect("a server and its clients on loopback"))
    },
}];

/// In the child. The server never returns; it ends with the process.
fn measure(echo: fn(Server) -> io::Result<()>, count: u32) -> io::Result<Figures> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&listener, BACKLOG)?;
    let mut clients = Clients::start(listener.local_addr()?)?;
    thread::spawn(move || {
        let server = Server {
            listener,
            workers: 1,
            buffer: BUFFER,
        };
        echo(server).expect("a server on loopback");
    });
    // The runtime has come up.
    clients.connect(1)?;
    let (growth, before) = (Growth::start(), resident()?);
    clients.connect(count)?;
    let (bytes, resident) = (growth.bytes(), resident()? - before);
    Ok(vec![
        ("bytes", bytes as f64 / f64::from(count)),
        ("resident", resident / f64::from(count)),
    ])
}

/// Bytes of this process that are in memory and no file's.
fn resident() -> io::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: Option<f64> = kilobytes.and_then(|number| number.parse().ok());
    kilobytes
        .map(|kilobytes| kilobytes * 1024.0)
        .ok_or_else(|| io::Error::other("/proc/self/status does not tell RssAnon"))
}

/// The process that holds the other ends. What is said between the two is allocated beforehand.
struct Clients {
    /// Ends it when this value does.
    _process: Started,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Clients {
    fn start(address: SocketAddr) -> io::Result<Clients> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["hold", &address.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Started::on(&[], &mut command)?;
        let input = process.child().stdin.take().expect("it is piped");
        let output = process.child().stdout.take().expect("it is piped");
        Ok(Clients {
            _process: process,
            input,
            output: BufReader::new(output),
        })
    }

    /// Returns when so many more have had their first bytes back, and their tasks wait for others.
    fn connect(&mut self, count: u32) -> io::Result<()> {
        self.input.write_all(&count.to_ne_bytes())?;
        let answer = self.output.fill_buf()?.len();
        self.output.consume(answer);
        match answer {
            0 => Err(io::Error::other("the process with the clients has ended")),
            _ => Ok(()),
        }
    }
}

/// What that process does until its input ends.
pub fn hold(arguments: &[String]) -> io::Result<()> {
    let [address] = arguments else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "hold ADDRESS"));
    };
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    bound_to_parent(LIMIT)?;
    let mut all = Vec::new();
    let mut count = [0; 4];
    while io::stdin().read_exact(&mut count).is_ok() {
        for _ in 0..u32::from_ne_bytes(count) {
            let mut stream = TcpStream::connect(address)?;
            let mut message = [7; BUFFER];
            stream.write_all(&message)?;
            stream.read_exact(&mut message)?;
            all.push(stream);
        }
        let mut output = io::stdout();
        output.write_all(b".")?;
        output.flush()?;
    }
    Ok(())
}
