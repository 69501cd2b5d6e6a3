//! What does not depend on the machine's mood: the system calls and the instructions of a server.
//!
//! Each is the difference of two runs that differ in nothing but how many round trips they make, so
//! that neither the start of the server nor its connections are in the figure. A server that is
//! traced is slow, and finds more to do in each turn than one that is not; that is so for every peer.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::churn::{CLIENTS, SETUP};
use super::{Effort, Figure, Load};
use crate::children::figures_of_plan;
use crate::generator::{Extent, Plan, Traffic};
use crate::meter::Figures;
use crate::peers::{self, Peer};
use crate::process::{Cores, Started, is_installed};
use crate::server::Running;

pub const LOADS: &[Load] = &[
    load(
        "calls-1",
        "system calls of a round trip of 64 bytes on 1 connection (strace)",
        CALLS,
        |peer, _| difference(peer, echo(1), calls),
    ),
    load(
        "calls-64",
        "system calls of a round trip of 64 bytes on 64 connections (strace)",
        CALLS,
        |peer, _| difference(peer, echo(64), calls),
    ),
    load(
        "calls-churn",
        "system calls of a connection that comes, echoes 64 bytes and goes (strace)",
        CALLS,
        |peer, _| difference(peer, (Traffic::Churn, CLIENTS), calls),
    ),
    load(
        "instructions-64",
        "user instructions of a round trip of 64 bytes on 64 connections (callgrind)",
        INSTRUCTIONS,
        |peer, _| difference(peer, echo(64), instructions),
    ),
];

const CALLS: &[Figure] = &[Figure {
    name: "calls",
    unit: "calls",
}];

const INSTRUCTIONS: &[Figure] = &[Figure {
    name: "instructions",
    unit: "instructions",
}];

/// Round trips of the two runs: the first lets buffers grow, the second has so many more that half a
/// turn of the queue more or less does not show.
const FEW: u64 = 2_000;
const MANY: u64 = 12_000;

const fn load(
    name: &'static str,
    title: &'static str,
    figures: &'static [Figure],
    run: fn(&Peer, Effort) -> io::Result<Figures>,
) -> Load {
    Load {
        name,
        title,
        figures,
        can: |peer| peer.echo.is_some(),
        run,
        rounds: 1,
    }
}

fn echo(connections: usize) -> (Traffic, usize) {
    (Traffic::Echo(64), connections)
}

type Count = fn(&Peer, Plan) -> io::Result<(&'static str, u64)>;

fn difference(peer: &Peer, traffic: (Traffic, usize), count: Count) -> io::Result<Figures> {
    let (traffic, connections) = traffic;
    let plan = |round_trips| Plan {
        traffic,
        connections,
        warm_up: Extent::Count(0),
        counted: Extent::Count(round_trips),
    };
    let (name, few) = count(peer, plan(FEW))?;
    let (_, many) = count(peer, plan(MANY))?;
    let more = many.saturating_sub(few) as f64;
    Ok(vec![(name, more / (MANY - FEW) as f64)])
}

/// Of all threads of the server, while the generator carries out its plan.
fn calls(peer: &Peer, plan: Plan) -> io::Result<(&'static str, u64)> {
    needs("strace")?;
    let cores = Cores::of_this_machine()?;
    let server = Running::start(peer, SETUP, cores.server, &[])?;
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-p", &server.process.pid().to_string()]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut strace = Started::on(&[], &mut command)?;
    let output = strace.child().stderr.take().expect("it is piped");
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output.read_line(&mut line)?;
    if !line.contains(" attached") {
        return Err(unsupported(format!(
            "strace cannot attach: {}",
            line.trim()
        )));
    }
    figures_of_plan(&server, plan, cores.load, &[])?;
    strace.send(Signal::INT)?;
    let mut table = String::new();
    output.read_to_string(&mut table)?;
    Ok(("calls", sum_of_calls(&table)))
}

/// Adds the fourth column up: `% time`, `seconds`, `usecs/call`, `calls`, perhaps `errors`, the name.
fn sum_of_calls(table: &str) -> u64 {
    let rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() >= 5 && row.last() != Some(&"total"))
        .filter_map(|row| row[3].parse::<u64>().ok())
        .sum()
}

/// From the start of the server to its end.
fn instructions(peer: &Peer, plan: Plan) -> io::Result<(&'static str, u64)> {
    needs("valgrind")?;
    if peers::is_on_uring(peer.name) {
        // It would have to be killed, and callgrind writes its sum at an orderly end.
        let why = "valgrind delivers no signal to a process that waits for io_uring";
        return Err(unsupported(why.into()));
    }
    let cores = Cores::of_this_machine()?;
    let under = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
    ];
    let counted = || {
        let mut server = Running::start(peer, SETUP, cores.server, &under)?;
        figures_of_plan(&server, plan, cores.load, &[])?;
        server.process.send(Signal::TERM)?;
        let mut report = String::new();
        let mut output = server.process.child().stderr.take().expect("it is piped");
        output.read_to_string(&mut report)?;
        // Such as `==123== Collected : 456`.
        let total = report
            .lines()
            .find_map(|line| line.split_once("Collected : "));
        let total = total.and_then(|(_, total)| total.trim().parse().ok());
        let total: io::Result<u64> = total.ok_or_else(|| io::Error::other(report));
        total
    };
    let total = counted();
    let total = total.map_err(|error| unsupported(format!("not under valgrind: {error}")))?;
    Ok(("instructions", total))
}

fn needs(program: &str) -> io::Result<()> {
    if is_installed(program) {
        return Ok(());
    }
    Err(unsupported(format!("{program} is not installed")))
}

fn unsupported(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_added_up_with_errors_and_without() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000100           1       300           sendto
 40.00    0.000050           1        42         7 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.000150           1       342         7 total
";
        assert_eq!(sum_of_calls(table), 342);
    }
}
