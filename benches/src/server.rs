//! A peer's server in a process of its own: how the conductor starts it, and what happens there.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::{Command, Stdio};

use crate::children::LIMIT;
use crate::peers::{self, Peer, Server};
use crate::process::{Started, bound_to_parent};

/// What a server serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Echo,
    Http,
    Hyper,
}

const SERVICES: [(&str, Service); 3] = [
    ("echo", Service::Echo),
    ("http", Service::Http),
    ("hyper", Service::Hyper),
];

/// More than the connections that any load makes at a time, which would be refused otherwise.
const BACKLOG: i32 = 4096;

impl Service {
    fn name(self) -> &'static str {
        let known = SERVICES.iter().find(|(_, service)| *service == self);
        known.expect("all of them are named").0
    }

    /// The peer's function for it, if it can.
    pub fn of(self, peer: &Peer) -> Option<fn(Server) -> io::Result<()>> {
        match self {
            Service::Echo => peer.echo,
            Service::Http => peer.http,
            Service::Hyper => peer.hyper,
        }
    }
}

/// What the process is told.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub service: Service,
    pub workers: usize,
    pub buffer: usize,
}

/// A server that runs; it ends with this value.
pub struct Running {
    pub process: Started,
    pub address: SocketAddrV4,
}

impl Running {
    /// `under` is a program, with its arguments, that is to run ours: a profiler, or nothing. What a
    /// profiler writes to its standard error can be read there.
    pub fn start(
        peer: &Peer,
        setup: Setup,
        core: Option<usize>,
        under: &[&str],
    ) -> io::Result<Running> {
        let this = std::env::current_exe()?;
        let mut command = match under {
            [] => Command::new(this),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(this);
                command
            }
        };
        command.args(["serve", peer.name, setup.service.name()]);
        command.args([setup.workers, setup.buffer].map(|number| number.to_string()));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        if !under.is_empty() {
            command.stderr(Stdio::piped());
        }
        let cores: Vec<usize> = core.into_iter().collect();
        let mut process = Started::on(&cores, &mut command)?;
        let output = process.child().stdout.take().expect("it is piped");
        let mut port = String::new();
        BufReader::new(output).read_line(&mut port)?;
        let port = port.trim().parse().map_err(|_| {
            io::Error::other(format!(
                "the server of {} ends before it listens",
                peer.name
            ))
        })?;
        Ok(Running {
            process,
            address: SocketAddrV4::new(Ipv4Addr::LOCALHOST, port),
        })
    }
}

/// In that process: `arguments` are what `Running::start` gave it.
pub fn serve(arguments: &[String]) -> io::Result<()> {
    let wrong = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "serve PEER SERVICE WORKERS BUFFER",
        )
    };
    let [peer, service, workers, buffer] = arguments else {
        return Err(wrong());
    };
    let peer = peers::named(peer).ok_or_else(wrong)?;
    let service = SERVICES.iter().find(|(name, _)| name == service);
    let serve = service
        .and_then(|(_, service)| service.of(peer))
        .ok_or_else(wrong)?;
    let workers = workers.parse().map_err(|_| wrong())?;
    let buffer = buffer.parse().map_err(|_| wrong())?;

    bound_to_parent(LIMIT)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&listener, BACKLOG)?;
    // The connections inherit it on Linux, which saves every peer a call for each.
    rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
    let mut output = io::stdout().lock();
    writeln!(output, "{}", listener.local_addr()?.port())?;
    output.flush()?;
    drop(output);
    serve(Server {
        listener,
        workers,
        buffer,
    })
}
