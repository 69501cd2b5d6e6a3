//! The runtimes that are compared. Each is one file with the same small set of functions, and does in
//! each what its own users would do.

use std::io;
use std::net::TcpListener;

use crate::meter::{Figures, Meter};

#[cfg(feature = "compio")]
mod compio;
#[cfg(any(feature = "compio", feature = "monoio"))]
mod deal;
mod ekio;
mod floor;
mod http;
#[cfg(feature = "hyper")]
mod hyper_hello;
#[cfg(feature = "monoio")]
mod monoio;
#[cfg(feature = "smol")]
mod smol;
mod tasks;
mod timers;
#[cfg(feature = "tokio")]
mod tokio;

/// In the order in which they are reported: what no runtime can beat, ours, and the others.
pub static PEERS: &[&Peer] = &[
    &floor::PEER,
    &ekio::PEER,
    #[cfg(feature = "tokio")]
    &tokio::PEER,
    #[cfg(feature = "smol")]
    &smol::PEER,
    #[cfg(feature = "monoio")]
    &monoio::EPOLL,
    #[cfg(feature = "monoio")]
    &monoio::URING,
    #[cfg(feature = "compio")]
    &compio::POLL,
    #[cfg(feature = "compio")]
    &compio::URING,
];

/// The one with this name.
pub fn named(name: &str) -> Option<&'static Peer> {
    PEERS.iter().copied().find(|peer| peer.name == name)
}

/// Whether it waits by io_uring, and not by an event queue.
pub fn is_on_uring(name: &str) -> bool {
    name.ends_with("-uring")
}

/// A runtime, by what it can do. What it cannot is `None`, and is left out of that load.
#[allow(dead_code)] // Until the report reads all of it.
pub struct Peer {
    /// As the command line and the report call it.
    pub name: &'static str,
    /// The package whose version the report tells.
    pub package: &'static str,
    /// Whether it can run on this machine; if not, why.
    pub check: fn() -> Result<(), String>,
    /// Echoes what each connection sends, with a buffer of `buffer` bytes for each; for ever. A
    /// connection's future is an `async` block and no `async fn`, which would keep its arguments twice,
    /// and has a `loop` and no `while let`, which would keep what it matches while it writes.
    pub echo: Option<fn(Server) -> io::Result<()>>,
    /// Answers each HTTP request with "Hello, world!", parsed by `httparse`; for ever.
    pub http: Option<fn(Server) -> io::Result<()>>,
    /// The same by hyper 1.
    pub hyper: Option<fn(Server) -> io::Result<()>>,
    /// Starts `count` tasks and joins them, on one thread.
    pub spawn_join: Option<fn(u32, &mut Meter)>,
    /// The same on so many workers, by one of their tasks.
    pub spawn_join_on: Option<fn(usize, u32, &mut Meter)>,
    /// `tasks` tasks on one thread give way, `count` times all in all.
    pub yield_now: Option<fn(u32, u32, &mut Meter)>,
    /// Two tasks send a number to and fro by two `async-channel`s of one place, `count` times.
    pub ping_pong: Option<fn(u32, &mut Meter)>,
    /// The same, each of the two on a thread of its own.
    pub ping_pong_apart: Option<fn(u32, &mut Meter)>,
    /// So many timers are made, polled once and dropped, as guards that do not fire.
    pub timers_dropped: Option<fn(u32) -> Figures>,
    /// So many tasks each sleep until another moment of the next second.
    pub timers_firing: Option<fn(u32) -> Figures>,
}

impl Peer {
    /// Can do nothing: what each peer's own begins with.
    const IDLER: Peer = Peer {
        name: "",
        package: "",
        check: || Ok(()),
        echo: None,
        http: None,
        hyper: None,
        spawn_join: None,
        spawn_join_on: None,
        yield_now: None,
        ping_pong: None,
        ping_pong_apart: None,
        timers_dropped: None,
        timers_firing: None,
    };
}

/// What a server gets.
pub struct Server {
    /// Bound and listening, still blocking.
    pub listener: TcpListener,
    /// 1: everything on the thread that calls; more: that many threads of a runtime, or for runtimes
    /// that have none, of runtimes of one thread each.
    pub workers: usize,
    /// Bytes of each connection's buffer.
    pub buffer: usize,
}
