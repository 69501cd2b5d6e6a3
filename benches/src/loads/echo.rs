//! Messages that come back.

use std::io;
use std::time::Duration;

use super::traffic::{FIGURES, measure};
use super::{Effort, Load, ROUNDS_OF_SERVERS};
use crate::generator::{Extent, Plan, Traffic};
use crate::meter::Figures;
use crate::peers::Peer;
use crate::server::{Service, Setup};

/// Long enough for caches, branch predictors and TCP's windows to have found their size.
pub const WARM_UP: Extent = Extent::Time(Duration::from_millis(200));

/// For messages of 64 bytes.
pub const BUFFER: usize = 1024;

pub const LOADS: &[Load] = &[
    load(
        "echo-1",
        "64 bytes come back on 1 connection",
        |peer, effort| echo(peer, effort, 64, 1, 1),
    ),
    load(
        "echo-64",
        "64 bytes come back on each of 64 connections",
        |peer, effort| echo(peer, effort, 64, 64, 1),
    ),
    load(
        "echo-1000",
        "64 bytes come back on each of 1,000 connections",
        |peer, effort| echo(peer, effort, 64, 1000, 1),
    ),
    load(
        "echo-64-2",
        "the same on 64 connections, by two workers",
        |peer, effort| echo(peer, effort, 64, 64, 2),
    ),
    load(
        "echo-16k",
        "16 KiB come back on each of 8 connections",
        |peer, effort| echo(peer, effort, 16 * 1024, 8, 1),
    ),
];

const fn load(
    name: &'static str,
    title: &'static str,
    run: fn(&Peer, Effort) -> io::Result<Figures>,
) -> Load {
    Load {
        name,
        title,
        figures: FIGURES,
        can: |peer| peer.echo.is_some(),
        run,
        rounds: ROUNDS_OF_SERVERS,
    }
}

/// A server's buffers are larger than a message, as they are wherever it is not known how long one will
/// be. That makes a difference: a read that does not fill the buffer tells that no more has come.
fn echo(
    peer: &Peer,
    effort: Effort,
    bytes: usize,
    connections: usize,
    workers: usize,
) -> io::Result<Figures> {
    let setup = Setup {
        service: Service::Echo,
        workers,
        buffer: BUFFER.max(2 * bytes),
    };
    let plan = Plan {
        traffic: Traffic::Echo(bytes),
        connections,
        warm_up: WARM_UP,
        counted: Extent::Time(effort.time()),
    };
    measure(peer, setup, plan)
}
