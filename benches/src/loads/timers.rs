//! Timers: those that never fire, which are most, and very many that do.

use std::process::{Command, Stdio};
use std::{fs, io};

use super::{Effort, Figure, Load, ROUNDS, Work};
use crate::children::figures_of_work;
use crate::meter::Figures;
use crate::peers::Peer;
use crate::process::{Cores, Started};

const fn figure(name: &'static str, unit: &'static str) -> Figure {
    Figure { name, unit }
}

/// `bytes` are those of a timer that waits.
const DROPPED: &[Figure] = &[
    figure("cpu", "ns"),
    figure("alone", "ns"),
    figure("bytes", "bytes"),
    figure("calls", "calls"),
];
/// All but the calls, which are counted from outside.
const TOLD: &[Figure] = DROPPED.split_at(3).0;
/// How late the tasks wake, on average and at worst.
const FIRING: &[Figure] = &[
    figure("cpu", "ns"),
    figure("late", "ns"),
    figure("latest", "ns"),
];

pub const LOADS: &[Load] = &[
    Load {
        name: "timers-dropped",
        title: "1,000,000 timers are made, polled once and dropped: together, or (`alone`) one by one",
        figures: DROPPED,
        can: |peer| peer.timers_dropped.is_some(),
        run: dropped,
        rounds: ROUNDS,
    },
    Load {
        name: "timers-firing",
        title: "100,000 tasks sleep, each until another moment of one second; CPU time of all",
        figures: FIRING,
        can: |peer| peer.timers_firing.is_some(),
        run: |peer, _| {
            let core = Cores::of_this_machine()?.server;
            figures_of_work(peer, "timers-firing", 100_000, core, FIRING)
        },
        rounds: ROUNDS,
    },
];

pub const WORKS: &[Work] = &[
    Work {
        name: "timers-dropped",
        run: |peer, count| Some(peer.timers_dropped?(count)),
    },
    Work {
        name: "timers-firing",
        run: |peer, count| Some(peer.timers_firing?(count)),
    },
];

fn dropped(peer: &Peer, effort: Effort) -> io::Result<Figures> {
    let core = Cores::of_this_machine()?.server;
    // As many in the short mode, because a tree or a wheel of fewer is another one.
    let mut figures = figures_of_work(peer, "timers-dropped", 1_000_000, core, TOLD)?;
    match calls_of_one(peer, effort) {
        Ok(calls) => figures.push(("calls", calls)),
        // A machine without strace has the other figures.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(figures)
}

/// System calls of one timer, as the difference between many and few of them.
fn calls_of_one(peer: &Peer, effort: Effort) -> io::Result<f64> {
    let few = match effort {
        Effort::Whole => 20_000,
        Effort::Short => 2_000,
    };
    let (fewer, more) = (calls(peer, few)?, calls(peer, 2 * few)?);
    Ok((more as f64 - fewer as f64) / f64::from(few))
}

/// Of the whole process, but for those by which the allocator gets memory.
fn calls(peer: &Peer, count: u32) -> io::Result<usize> {
    let log = std::env::temp_dir().join(format!("ekio-benches-{}.strace", std::process::id()));
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-e",
        "trace=!%memory",
        "-e",
        "signal=none",
        "-o",
    ]);
    command.arg(&log).arg(std::env::current_exe()?);
    command.args(["run", peer.name, "timers-dropped", &count.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = Started::on(&[], &mut command)?.child().wait()?;
    let lines = fs::read_to_string(&log)?.lines().count();
    fs::remove_file(&log)?;
    match status.success() {
        true => Ok(lines),
        false => Err(io::Error::other(format!("strace ends with {status}"))),
    }
}
