//! What a task costs: to start and join one, to give way, and to pass a number on. Each runs in a child
//! that measures itself; on one core, if it is of one thread.

use std::io;

use super::{Effort, Figure, Load, ROUNDS, Work};
use crate::children::figures_of_work;
use crate::meter::{Figures, Meter};
use crate::peers::Peer;
use crate::process::Cores;

/// CPU time is of all threads.
const FIGURES: &[Figure] = &[
    Figure {
        name: "cpu",
        unit: "ns",
    },
    Figure {
        name: "wall",
        unit: "ns",
    },
];

pub const LOADS: &[Load] = &[
    load(
        "spawn-join",
        "a task is started and joined, on one thread",
        |peer| peer.spawn_join.is_some(),
        |peer, effort| on_one_core(peer, "spawn-join", effort.of(1_000_000)),
    ),
    load(
        "spawn-join-2",
        "a task is started and joined, on two workers",
        |peer| peer.spawn_join_on.is_some(),
        |peer, effort| on_all_cores(peer, "spawn-join-2", effort.of(1_000_000)),
    ),
    load(
        "yield-1",
        "a task gives way, and there is no other",
        |peer| peer.yield_now.is_some(),
        |peer, effort| on_one_core(peer, "yield-1", effort.of(10_000_000)),
    ),
    load(
        "yield-1000",
        "a task gives way to 999 others",
        |peer| peer.yield_now.is_some(),
        |peer, effort| on_one_core(peer, "yield-1000", effort.of(10_000_000)),
    ),
    load(
        "ping-pong",
        "a number goes to and fro by two async-channels, on one thread",
        |peer| peer.ping_pong.is_some(),
        |peer, effort| on_one_core(peer, "ping-pong", effort.of(1_000_000)),
    ),
    load(
        "ping-pong-2",
        "a number goes to and fro by two async-channels, between two threads",
        |peer| peer.ping_pong_apart.is_some(),
        |peer, effort| on_all_cores(peer, "ping-pong-2", effort.of(100_000)),
    ),
];

const fn load(
    name: &'static str,
    title: &'static str,
    can: fn(&Peer) -> bool,
    run: fn(&Peer, Effort) -> io::Result<Figures>,
) -> Load {
    Load {
        name,
        title,
        figures: FIGURES,
        can,
        run,
        rounds: ROUNDS,
    }
}

fn on_one_core(peer: &Peer, work: &str, count: u32) -> io::Result<Figures> {
    let cores = Cores::of_this_machine()?;
    figures_of_work(peer, work, count, cores.server, FIGURES)
}

fn on_all_cores(peer: &Peer, work: &str, count: u32) -> io::Result<Figures> {
    figures_of_work(peer, work, count, None, FIGURES)
}

/// In the child.
pub const WORKS: &[Work] = &[
    Work {
        name: "spawn-join",
        run: |peer, count| metered(count, peer.spawn_join, |work, meter| work(count, meter)),
    },
    Work {
        name: "spawn-join-2",
        run: |peer, count| {
            metered(count, peer.spawn_join_on, |work, meter| {
                work(2, count, meter)
            })
        },
    },
    Work {
        name: "yield-1",
        run: |peer, count| metered(count, peer.yield_now, |work, meter| work(1, count, meter)),
    },
    Work {
        name: "yield-1000",
        run: |peer, count| {
            metered(count, peer.yield_now, |work, meter| {
                work(1000, count, meter)
            })
        },
    },
    Work {
        name: "ping-pong",
        run: |peer, count| metered(count, peer.ping_pong, |work, meter| work(count, meter)),
    },
    Work {
        name: "ping-pong-2",
        run: |peer, count| {
            metered(count, peer.ping_pong_apart, |work, meter| {
                work(count, meter)
            })
        },
    },
];

fn metered<F>(count: u32, work: Option<F>, run: impl FnOnce(F, &mut Meter)) -> Option<Figures> {
    let mut meter = Meter::default();
    run(work?, &mut meter);
    Some(meter.per_operation(count))
}
